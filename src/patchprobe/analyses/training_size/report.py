"""Tables and figure of scores against the number of training images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import draw_methods, write_method_tables


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a line per number of training images, a column per model; see :func:`write_method_tables`."""
    write_method_tables(
        rows,
        outputs,
        "at",
        heading="Training-set size",
        name="training-size",
        subject="by training images",
        corner="training images",
        models=models,
        interval=interval,
        notes=["Each set of training images contains the smaller ones."],
    )


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw scores against the number of training images; see :func:`draw_methods`."""
    draw_methods(rows, "at", outputs, dataset=dataset, axis="training images", models=models)
