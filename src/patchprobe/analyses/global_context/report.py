"""Table and figure of global context: how well the central token tells the shares of classes in its tile."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.dots import Mark, draw_dots
from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import interval_note, order_known, order_labels, prepare

_MARKS = {
    "": Mark("all features", "o"),
    "drop-top-variance": Mark("without the highest variance", "s", hollow=True),
    "keep-random": Mark("random ones alone", "^", hollow=True),
    "keep-top-variance": Mark("highest variance alone", "X"),
}
_MEAN = "mean"
# R2 has no lower end: resamples of few images in which a share hardly varies go far down.
_LOWEST_END = -0.25


def table(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float, classes: Sequence[str]
) -> None:
    """Write a table per data set: a line per model and part of its features, a column per class and their mean.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` and ``classes`` give the order,
    ``interval`` the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown
    suffix.
    """
    shown = _with_mean(prepare(rows))
    tables = []
    for dataset, part in shown.groupby("dataset", sort=True):
        names = [*order_known({*part["class"]} - {_MEAN}, classes), _MEAN]
        scores = lay_out_scores(part, ["class"], order_labels(part, models), [(name,) for name in names])
        notes = (
            interval_note(interval),
            "R2 on evaluation tiles of a ridge regression from the central token to the share of pixels of a class.",
            f"Protocol {part['protocol'].iloc[0]}, seed {part['seed'].iloc[0]}.",
        )
        title = f"{dataset}: R2 of the shares of classes from the central token"
        columns = [("", name) for name in names]
        tables.append(Table(f"{dataset}-global-context", title, "features", columns, scores, notes))
    write_tables(outputs, "Global context", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw R2 of one data set, a panel per class and one for their mean, a mark per part of the features.

    Intervals are cut where they go far below all values. Raises as :func:`table`.
    """
    shown = _with_mean(prepare(rows))
    shown = shown[(shown["dataset"] == dataset) & shown["value"].notna()]
    shown = shown.assign(mark=[variant.rpartition("-")[0] for variant in shown["variant"]])
    names = order_known(set(shown["class"]), [_MEAN])
    draw_dots(
        {name: shown[shown["class"] == name] for name in names},
        _MARKS,
        outputs,
        quantity="R2 (evaluation tiles)",
        models=models,
        empty="The data set has none of the classes.",
        limits=_limits(shown) if names else None,
    )


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return an axis that shows every value, and intervals as far down as ``_LOWEST_END``."""
    ends = rows["ci_low"].fillna(rows["value"]).clip(lower=_LOWEST_END)
    return float(min(rows["value"].min(), ends.min(), 0.0)) - 0.03, 1.03


def _with_mean(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{"class": rows["class"].where(rows["metric"] == "share_r2", _MEAN)})
