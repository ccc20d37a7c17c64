"""Table of the paired differences between models and variants."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.own_files import read_table
from patchprobe.report.formats import Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METHOD_NAMES, interval_note, order_methods

_TEXTS = ["dataset", "model", "variant", "other_model", "other_variant", "method", "protocol", "metric"]
_COLUMNS = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(("value", "ci_low", "ci_high"), float),
    **{"excludes_zero": bool, "images": int, "seed": int, "spec": str},
}
_METRICS = {"pixel_miou": "mIoU", "pixel_accuracy": "accuracy"}


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """Read files of :func:`patchprobe.analyses.paired_differences.measure.measure` into one frame.

    Raises StoreError that names a file that cannot be read.
    """
    return pd.concat([read_table(path, _COLUMNS, may_be_empty=True) for path in paths], ignore_index=True)


def table(rows: Sequence[Path], outputs: Sequence[Path], *, interval: float) -> None:
    """Write a table per data set: a line per pair, mIoU and accuracy over pixels for both classifiers.

    ``rows`` are files for :func:`read`; ``.csv`` holds all of them. ``interval`` is the level of the intervals.
    """
    found = read(rows)
    tables = [_pairs(str(dataset), part, interval) for dataset, part in found.groupby("dataset", sort=True)]
    write_tables(outputs, "Paired differences", found, tables)


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
