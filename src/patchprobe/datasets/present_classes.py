"""Which classes each label map shows, or each tile of an image with boxes, for draws that are balanced over classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from patchprobe.datasets.box_images import BoxDataset
from patchprobe.datasets.boxes import present_ids
from patchprobe.datasets.dataset import Dataset, Record
from patchprobe.datasets.draws import tile_id
from patchprobe.datasets.index import each_or_all_errors
from patchprobe.own_files import damaged, read_table

PRESENT = 1 / 3
"""A category is present in a tile that holds this share of the area of one of its boxes: arXiv 2401.00463, section 4."""


def present_classes(dataset: Dataset, source: str, *, tile: int | None = None, threads: int = 1) -> pd.DataFrame:
    """Read all label maps of one of the data set's own splits: a table with a row per image, by image_id.

    Columns are source, image_id and classes, where classes are the ids with at least one pixel, such as ``3 17 150``;
    void and background are none. With a ``tile``, the side in px, the rows are those tiles of the images of a
    :class:`patchprobe.datasets.box_images.BoxDataset` in which a category is present: side by side from the upper left
    corner, none over the edge of its image. Raises DataError for a missing or broken file. The result does not depend on ``threads``.
    """
    if tile is not None:
        return _present_in_tiles(cast(BoxDataset, dataset), source, tile, threads)

    def shown(record: Record) -> str:
        counts = np.bincount(dataset.read_label(record).ravel(), minlength=256)
        return " ".join(str(i) for i in sorted(dataset.classes.ids) if counts[i] and i != background)

    records, background = dataset.records(source), dataset.classes.background
    found = each_or_all_errors(shown, records, f"{source}: reading label maps", threads)
    rows = [(source, record.image_id, classes) for record, classes in zip(records, found, strict=True)]
    return pd.DataFrame(rows, columns=["source", "image_id", "classes"])


def _present_in_tiles(dataset: BoxDataset, source: str, side: int, threads: int) -> pd.DataFrame:
    def shown(record: Record) -> list[tuple[str, str, str]]:
        present = present_ids(dataset.read_boxes(record), dataset.image_size(record), side, PRESENT)
        return [
            (source, tile_id(record.image_id, window), " ".join(map(str, sorted(ids))))
            for window, ids in present.items()
        ]

    found = each_or_all_errors(shown, dataset.records(source), f"{source}: reading boxes", threads)
    return pd.DataFrame([row for rows in found for row in rows], columns=["source", "image_id", "classes"])


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
