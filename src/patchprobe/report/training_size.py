"""Tables and figure of scores against the number of training images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import curve_table, draw_curves
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METHOD_NAMES, METRIC_NAMES, interval_note, order_methods, prepare


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set, metric and classifier: a line per number of training images, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = [
        curve_table(
            part[(part["metric"] == metric) & (part["method"] == method)],
            "training_images",
            name=f"{dataset}-training-size-{metric.replace('_', '-')}-{method}",
            title=f"{dataset}: {shown_as} by training images, {METHOD_NAMES.get(method, method)}",
            corner="training images",
            models=models,
            notes=(interval_note(interval), "Each set of training images contains the smaller ones."),
        )
        for dataset, part in shown.groupby("dataset", sort=True)
        for metric, shown_as in METRIC_NAMES.items()
        for method in order_methods(part)
    ]
    write_tables(outputs, "Training-set size", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the number of training images, a panel per classifier.

    A line per model with its interval as a band; numbers of images are evenly spaced. Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    draw_curves(
        {METHOD_NAMES.get(method, method): shown[shown["method"] == method] for method in order_methods(shown)},
        "training_images",
        outputs,
        axis="training images",
        quantity="mIoU over pixels (fraction)",
        models=models,
    )
