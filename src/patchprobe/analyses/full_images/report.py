"""Tables and figure of the scores on full images beside those on tiles."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.dots import Mark, draw_dots, upper_limit
from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import (
    METHOD_NAMES,
    METRIC_NAMES,
    interval_note,
    order_labels,
    order_methods,
    prepare_beside,
)

_MARKS = {"tiles": Mark("tiles", "o"), "full images": Mark("full images", "s", hollow=True)}


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set and metric: a line per model, both classifiers on tiles and on full images.

    ``rows`` are measurements as read, of patch classification of clean tiles and of full images; ``.csv`` holds all of
    them. ``models`` gives the order of lines, ``interval`` the level of the intervals. Raises StoreError if seeds are
    mixed, ValueError for an unknown suffix.
    """
    shown = _marked(rows)
    tables = []
    for dataset, part in shown.groupby("dataset", sort=True):
        keys = [(method, mark) for method in order_methods(part) for mark in _MARKS]
        columns = [(METHOD_NAMES.get(method, method), mark) for method, mark in keys]
        protocols = ", ".join(sorted(part["protocol"].unique()))
        notes = (
            interval_note(interval, of="Clean images"),
            "Full images are seen at once, at the scale of the tiles, with interpolated position embeddings.",
            f"Protocols {protocols}; seed {part['seed'].iloc[0]}.",
        )
        for metric, shown_as in METRIC_NAMES.items():
            own = part[part["metric"] == metric]
            scores = lay_out_scores(own, ["method", "mark"], order_labels(own, models), keys)
            name = f"{dataset}-full-images-{metric.replace('_', '-')}"
            title = f"{dataset}: {shown_as}, tiles and full images"
            tables.append(Table(name, title, "model", columns, scores, notes))
    write_tables(outputs, "Full images beside tiles", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set, a panel per classifier: tiles and full images of each model.

    Raises as :func:`table`.
    """
    shown = _marked(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    panels = {METHOD_NAMES.get(method, method): shown[shown["method"] == method] for method in order_methods(shown)}
    draw_dots(
        panels,
        _MARKS,
        outputs,
        quantity="mIoU over pixels (fraction)",
        models=models,
        empty="No model saw full images.",
        limits=(0.0, upper_limit(shown)),
    )


def _marked(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of clean images prepared, with ``mark``: tiles or full images."""
    shown = prepare_beside(rows[rows["corruption"] == "clean"])
    full = shown["protocol"].str.startswith("full-images-v")
    return shown.assign(mark=full.map({True: "full images", False: "tiles"}))
