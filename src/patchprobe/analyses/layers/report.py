"""Tables and figure of the scores layer by layer, over all classes, the easy ones and the others."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import curve_table, draw_curves
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import METRIC_NAMES, interval_note, prepare

_PANELS = {"pixel_miou": "all classes", "pixel_miou_easy": "easy classes", "pixel_miou_rest": "other classes"}
_METRICS = {
    "pixel_miou": METRIC_NAMES["pixel_miou"],
    "pixel_miou_easy": "mIoU over pixels of easy classes",
    "pixel_miou_rest": "mIoU over pixels of the other classes",
    "patch_miou": METRIC_NAMES["patch_miou"],
    "patch_miou_easy": "mIoU over patches of easy classes",
    "patch_miou_rest": "mIoU over patches of the other classes",
}


def table(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float, easy_classes: Sequence[str]
) -> None:
    """Write a table per data set and group of classes: a line per block, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals, ``easy_classes`` are named in a note. Raises StoreError if seeds or protocols are mixed,
    ValueError for an unknown suffix.
    """
    shown = prepare(rows, every_layer=True)
    notes = (
        interval_note(interval),
        f"1-NN among the tokens of the same block; easy classes, where there: {', '.join(easy_classes) or 'none'}.",
    )
    tables = [
        curve_table(
            part[part["metric"] == metric],
            "layer",
            name=f"{dataset}-layers-{metric.replace('_', '-')}",
            title=f"{dataset}: {shown_as}, block by block",
            corner="block",
            models=models,
            notes=notes,
        )
        for dataset, part in shown.groupby("dataset", sort=True)
        for metric, shown_as in _METRICS.items()
        if (part["metric"] == metric).any()
    ]
    write_tables(outputs, "Layer by layer", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the block, a panel each for all, easy and other classes.

    A line per model with its interval as a band. Raises as :func:`table`.
    """
    shown = prepare(rows, every_layer=True)
    shown = shown[shown["dataset"] == dataset]
    found = set(shown["metric"])
    panels = {title: shown[shown["metric"] == metric] for metric, title in _PANELS.items() if metric in found}
    draw_curves(panels, "layer", outputs, axis="block", quantity="1-NN mIoU over pixels (fraction)", models=models)
