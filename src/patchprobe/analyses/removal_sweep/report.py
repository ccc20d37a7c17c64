"""Tables and figure of the removal sweep: scores without the features of highest variance."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import draw_methods, write_method_tables


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a line per number of removed features, a column per model; see :func:`write_method_tables`."""
    write_method_tables(
        rows,
        outputs,
        "at",
        heading="Removal of the features of highest variance",
        name="removal-sweep",
        subject="without the features of highest variance",
        corner="removed",
        models=models,
        interval=interval,
        notes=["A dash stands where a model has no more features than would be removed."],
    )


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw scores against the number of removed features; see :func:`draw_methods`."""
    draw_methods(rows, "at", outputs, dataset=dataset, axis="removed features of highest variance", models=models)
