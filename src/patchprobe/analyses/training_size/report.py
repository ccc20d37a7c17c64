"""Tables and figure of scores against the number of training images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import draw_methods, method_tables
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import interval_note, prepare


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set, metric and classifier: a line per number of training images, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    tables = method_tables(
        prepare(rows),
        "at",
        name="training-size",
        subject="by training images",
        corner="training images",
        models=models,
        notes=(interval_note(interval), "Each set of training images contains the smaller ones."),
    )
    write_tables(outputs, "Training-set size", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the number of training images, a panel per classifier.

    A line per model with its interval as a band; numbers of images are evenly spaced. Raises as :func:`table`.
    """
    draw_methods(prepare(rows), "at", outputs, dataset=dataset, axis="training images", models=models)
