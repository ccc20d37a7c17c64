"""Tables and figure of the overlap of high-variance features between data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.dots import Mark, draw_dots
from patchprobe.report.formats import Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import order_labels, prepare

_SHARED, _CHANCE = "shared_features", "shared_features_by_chance"
_MARKS = {_SHARED: Mark("shared", "o"), _CHANCE: Mark("by chance", "|", size=9)}


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], paper: Mapping[str, int]) -> None:
    """Write a table per pair of data sets: how many features each model shares, a line per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines, ``paper`` how many of
    200 the paper has for pairs of data sets, such as ``ade20k and cityscapes``. Raises
    StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = []
    for (one, other), part in shown.groupby(["dataset", "other_dataset"], sort=True):
        values = part.pivot(index="label", columns="metric", values="value")
        counts = part.drop_duplicates("label").set_index("label")["n"]
        lines = [
            (
                label,
                [
                    round(values.loc[label, _SHARED] * counts[label]),
                    f"{values.loc[label, _CHANCE] * counts[label]:.1f}",
                    int(counts[label]),
                ],
            )
            for label in order_labels(part, models)
        ]
        notes = (
            "Features of highest variance over the labelled training patches of each data set, clean tiles, last block; "
            "by chance is the mean of two independent draws.",
            *(f"arXiv 2401.00463 has {paper[pair]} of 200." for pair in (f"{one} and {other}",) if pair in paper),
            f"Protocol {part['protocol'].iloc[0]}, seed {part['seed'].iloc[0]}.",
        )
        columns = [("features of highest variance", name) for name in ("shared", "by chance", "compared")]
        title = f"{one} and {other}: shared features of highest variance"
        tables.append(Table(f"{one}-{other}-variance-overlap", title, "model", columns, lines, notes))
    write_tables(outputs, "Overlap of features of highest variance", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str]) -> None:
    """Draw the share of features that each pair of data sets has in common, a panel per pair. Raises as :func:`table`."""
    shown = prepare(rows)
    shown = shown.assign(mark=shown["metric"])
    draw_dots(
        {f"{one}, {other}": part for (one, other), part in shown.groupby(["dataset", "other_dataset"], sort=True)},
        _MARKS,
        outputs,
        quantity="shared (fraction)",
        models=models,
        empty="No model has enough features.",
        limits=(0, 1.05),
        apart=False,
    )
