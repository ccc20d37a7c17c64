"""Tables and figure of the removal sweep: scores without the features of highest variance."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import draw_methods, method_tables
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import interval_note, prepare


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set, metric and classifier: a line per number of removed features, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    tables = method_tables(
        prepare(rows),
        "at",
        name="removal-sweep",
        subject="without the features of highest variance",
        corner="removed",
        models=models,
        notes=(interval_note(interval), "A dash stands where a model has no more features than would be removed."),
    )
    write_tables(outputs, "Removal of the features of highest variance", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the number of removed features, a panel per classifier.

    A line per model with its interval as a band; numbers of features are evenly spaced. Raises as :func:`table`.
    """
    draw_methods(
        prepare(rows), "at", outputs, dataset=dataset, axis="removed features of highest variance", models=models
    )
