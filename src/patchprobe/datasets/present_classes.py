"""Which classes each label map shows, for draws that are balanced over classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from patchprobe.datasets.dataset import Dataset, Record
from patchprobe.datasets.index import each_or_all_errors
from patchprobe.own_files import damaged, read_table


def present_classes(dataset: Dataset, source: str, *, threads: int = 1) -> pd.DataFrame:
    """Read all label maps of one of the data set's own splits: a table with a row per image, by image_id.

    Columns are source, image_id and classes, where classes are the ids with at least one pixel, such as ``3 17 150``;
    void is none. Raises DataError for a missing or broken label map. The result does not depend on ``threads``.
    """

    def shown(record: Record) -> str:
        counts = np.bincount(dataset.read_label(record).ravel(), minlength=256)
        return " ".join(str(i) for i in sorted(dataset.classes.ids) if counts[i])

    records = dataset.records(source)
    found = each_or_all_errors(shown, records, f"{source}: reading label maps", threads)
    rows = [(source, record.image_id, classes) for record, classes in zip(records, found, strict=True)]
    return pd.DataFrame(rows, columns=["source", "image_id", "classes"])


def read_present_classes(paths: Sequence[Path]) -> Mapping[str, frozenset[int]]:
    """Read tables of :func:`present_classes` written as CSV: the ids of the classes of each image_id.

    Raises StoreError that names a file that is damaged.
    """
    found: dict[str, frozenset[int]] = {}
    for path in paths:
        table = read_table(path, {"image_id": str, "classes": str}, may_be_empty=True)
        try:
            found |= class_sets(table)
        except ValueError as error:
            raise damaged(path, f"column classes holds no ids, {error}") from None
    return found


def class_sets(table: pd.DataFrame) -> Mapping[str, frozenset[int]]:
    """Return the ids of the classes of each image_id in a table of :func:`present_classes`."""
    rows = zip(table["image_id"], table["classes"], strict=True)
    return {image_id: frozenset(map(int, classes.split())) for image_id, classes in rows}
