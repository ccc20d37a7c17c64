"""Tables and figure of the accuracy on whole images by relative ground sample distance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from patchprobe.analyses.image_knn.voting import SCALE_MAE
from patchprobe.report.curves import draw_curves
from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import interval_note, order_labels, prepare

_POOLINGS = {"cls": "[CLS]", "mean": "mean of patch tokens"}
_WAYS = {
    "knn": "k-NN",
    "weighted-knn": "weighted k-NN",
    "scale-mae-knn": "Scale-MAE's k-NN",
    "linear": "linear probe",
}
_SENSOR = "sensor"


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    interval: float,
    k: int,
    temperature: float,
) -> None:
    """Write a table per data set and classifier: a line per model, variant and told distance, the sizes in columns.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines, ``interval`` is the level
    of the intervals, ``k`` and ``temperature`` are those of k-NN. Raises StoreError if seeds or protocols are mixed, ValueError
    for an unknown suffix.
    """
    how = {
        "knn": f"The {k} nearest training images by cosine vote, equally; all of them where there are fewer.",
        "weighted-knn": f"The {k} nearest training images by cosine vote, with the weight exp(cosine / {temperature:g}); all of them where there are fewer.",
        "scale-mae-knn": f"As Scale-MAE's code: cosine, k = {SCALE_MAE.k}, T = {SCALE_MAE.temperature:g}; all training images where there are fewer.",
        "linear": "A linear probe on the same features.",
    }
    shown, tables = _shown(rows), []
    for dataset, part in shown.groupby("dataset", sort=True):
        sizes = sorted(part["percent"].unique())
        keys = [(pooling, size) for pooling in _POOLINGS for size in sizes]
        columns = [(_POOLINGS[pooling], f"{size:g} %") for pooling, size in keys]
        for way, name in _WAYS.items():
            scores = lay_out_scores(part[part["way"] == way], ["pooling", "percent"], order_labels(part, models), keys)
            notes = [
                interval_note(interval, of=f"{part['n'].iloc[0]} images, made smaller to a share of their side"),
                how[way],
                f"Protocol {part['protocol'].iloc[0]}, seed {part['seed'].iloc[0]}.",
            ]
            if (part["axis"] == "relative_size_sensor").any():
                notes.insert(
                    2,
                    f"Lines with {_SENSOR} are told the ground sample distance of the images at each size, the others 1 m per "
                    "pixel at every size, the recipe of Scale-MAE's author.",
                )
            title = f"{dataset}: accuracy on images, {name}"
            tables.append(Table(f"{dataset}-image-{way}", title, "model", columns, scores, tuple(notes)))
    write_tables(outputs, "Image classification", rows, tables)


def figure(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    dataset: str,
    dropped: Mapping[str, Sequence[str]],
) -> None:
    """Draw the accuracy of Scale-MAE's k-NN on one data set against the size of images, a panel per pooled feature.

    A line per model and told distance, as it is and in the variants ``dropped`` of it. Raises as :func:`table`.
    """
    asked = {(model, variant) for model, variants in dropped.items() for variant in ("", *variants)}
    known = [pair in asked for pair in zip(rows["model"], rows["variant"], strict=True)]
    shown = _shown(rows[known])
    shown = shown[(shown["dataset"] == dataset) & (shown["way"] == "scale-mae-knn")]
    panels = {name: shown[shown["pooling"] == pooling] for pooling, name in _POOLINGS.items()}
    draw_curves(
        {name: part for name, part in panels.items() if len(part)},
        "percent",
        outputs,
        axis="relative ground sample distance (%)",
        quantity="accuracy (fraction)",
        models=models,
        bands=False,
    )


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows prepared, with ``way``, ``pooling`` and ``percent``; what is told the sensor's distance is a variant."""
    way_and_pooling = rows["method"].str.rpartition("-")
    told = rows["axis"] == "relative_size_sensor"
    variant = rows["variant"].where(~told, (rows["variant"] + f" {_SENSOR}").str.strip())
    return prepare(rows.assign(variant=variant)).assign(
        way=way_and_pooling[0], pooling=way_and_pooling[2], percent=100 * rows["at"]
    )
