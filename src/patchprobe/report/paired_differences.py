"""Table of the paired differences between models and variants."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.errors import StoreError
from patchprobe.report.formats import Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METHOD_NAMES, interval_note, order_methods

_METRICS = {"pixel_miou": "mIoU", "pixel_accuracy": "accuracy"}


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """Read files of :func:`patchprobe.analyses.paired_differences.differences` into one frame.

    Raises StoreError that names a file that cannot be read.
    """
    missing = dict.fromkeys(("value", "ci_low", "ci_high"), "")
    parts = []
    for path in paths:
        try:
            # Only numbers can be missing; an empty text is an empty text.
            parts.append(pd.read_csv(path, keep_default_na=False, na_values=missing))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({error}): delete it and run again") from error
    return pd.concat(parts, ignore_index=True)


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, interval: float) -> None:
    """Write a table per data set: a line per pair, mIoU and accuracy over pixels for both classifiers.

    ``rows`` are those of :func:`read`; ``.csv`` holds all of them. ``interval`` is the level of the intervals.
    """
    tables = [_pairs(str(dataset), part, interval) for dataset, part in rows.groupby("dataset", sort=True)]
    write_tables(outputs, "Paired differences", rows, tables)


def _pairs(dataset: str, rows: pd.DataFrame, interval: float) -> Table:
    keys = [(method, metric) for method in order_methods(rows) for metric in _METRICS]
    columns = [(METHOD_NAMES.get(method, method), _METRICS[metric]) for method, metric in keys]
    pair = _label(rows["model"], rows["variant"]) + " - " + _label(rows["other_model"], rows["other_variant"])
    found = {
        (row["pair"], row["method"], row["metric"]): Score(
            row["value"], row["ci_low"], row["ci_high"], best=bool(row["excludes_zero"])
        )
        for row in rows.assign(pair=pair).to_dict("records")
    }
    lines = [(name, [found[(name, *key)] for key in keys]) for name in pair.drop_duplicates()]
    notes = (
        interval_note(interval),
        "First minus second, on the same resamples of images. Bold: the interval leaves out 0, for this pair alone.",
        f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}, {rows['images'].iloc[0]} evaluation images.",
    )
    title = f"{dataset}: differences between models over pixels"
    return Table(f"{dataset}-paired-differences", title, "pair", columns, lines, notes)


def _label(model: pd.Series, variant: pd.Series) -> pd.Series:
    return model.where(variant == "", model + " " + variant)
