"""Tables and figure of the removal sweep: scores without the features of highest variance."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import curve_table, draw_curves
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METHOD_NAMES, METRIC_NAMES, interval_note, order_methods, prepare


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set, metric and classifier: a line per number of removed features, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = [
        curve_table(
            part[(part["metric"] == metric) & (part["method"] == method)],
            "removed",
            name=f"{dataset}-removal-sweep-{metric.replace('_', '-')}-{method}",
            title=f"{dataset}: {shown_as} without the features of highest variance, {METHOD_NAMES.get(method, method)}",
            corner="removed",
            models=models,
            notes=(
                interval_note(interval),
                "A dash stands where a model has no more features than would be removed.",
            ),
        )
        for dataset, part in shown.groupby("dataset", sort=True)
        for metric, shown_as in METRIC_NAMES.items()
        for method in order_methods(part)
    ]
    write_tables(outputs, "Removal of the features of highest variance", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the number of removed features, a panel per classifier.

    A line per model with its interval as a band; numbers of features are evenly spaced. Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    panels = {METHOD_NAMES.get(method, method): shown[shown["method"] == method] for method in order_methods(shown)}
    draw_curves(
        panels,
        "removed",
        outputs,
        axis="removed features of highest variance",
        quantity="mIoU over pixels (fraction)",
        models=models,
    )
