"""Table and figure of overclustering: mIoU by number of clusters and removal."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.analyses.token_contents.report import WITHOUT_LINE, kinds_of, order_parts
from patchprobe.report.dots import Mark, draw_dots
from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import interval_note, note_of_missing, order_known, prepare

_MARKS = {
    "": Mark("all", "o"),
    "drop-top-variance": Mark("drop-top-variance", "s", hollow=True),
    "drop-random": Mark("drop-random", "^", hollow=True),
    "drop-top-components": Mark("drop-top-components", "D", hollow=True),
    "drop-position": Mark("drop-position", "X"),
    "drop-position-planes": Mark("drop-position-planes", "P"),
}
_METRIC, _DEVIATION = "cluster_miou", "cluster_miou_deviation"


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    removals: Sequence[str],
    components: int,
    seeds: int,
    restarts: int,
    iterations: int,
    points_per_cluster: int,
    mask: int,
    interval: float,
) -> None:
    """Write a table per data set: a line per model and removal, and for each number of clusters mIoU and its deviation over runs.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` and ``removals`` give the order of lines, ``interval`` the level of the
    intervals; what k-means did is told in a note. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = []
    for dataset, own in shown.groupby("dataset", sort=True):
        labels = [
            f"{model} {removal}".strip()
            for model in order_known(set(own["model"]), models)
            for removal in order_parts(own.loc[own["model"] == model, "variant"], removals)
        ]
        numbers = sorted(own["at"].unique())
        scores = lay_out_scores(own[own["metric"] == _METRIC], ["at"], labels, [(number,) for number in numbers])
        spread = own[own["metric"] == _DEVIATION].set_index(["label", "at"])["value"].to_dict()
        lines: list[tuple[str, list[Cell]]] = [
            (
                label,
                [
                    cell
                    for number, one in zip(numbers, cells, strict=True)
                    for cell in (one, Score(spread[label, number]) if (label, number) in spread else "-")
                ],
            )
            for label, cells in scores
        ]
        columns = [(f"{number:g} clusters", name) for number in numbers for name in ("mIoU", "deviation of runs")]
        notes = (
            interval_note(interval),
            f"Tokens standardised, {components} principal components at most, k-means of scikit-learn from random points: "
            f"{seeds} {'run' if seeds == 1 else 'runs'} with seeds from 0, each the best of {restarts}, of {iterations} iterations at most on {points_per_cluster} "
            f"patches per cluster at most; clusters and labels at {mask} x {mask} px.",
            "As many clusters as classes get them one to one, so that the sum of IoU is greatest; more get the class that most of their pixels "
            "have, by the truth they are scored on, so that scores rise with their number. A class that is nowhere counts as 0.",
            *note_of_missing(kinds_of(own), [f"drop-{removal}" for removal in removals], WITHOUT_LINE),
            f"Protocol {own['protocol'].iloc[0]}, seed {own['seed'].iloc[0]}.",
        )
        title = f"{dataset}: mIoU of clusters of patches"
        tables.append(Table(f"{dataset}-overclustering", title, "tokens", columns, lines, notes))
    write_tables(outputs, "Overclustering", rows, tables)


def figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str], dataset: str
) -> None:
    """Draw mIoU of one data set, a panel per number of clusters, a mark per removal. Raises as :func:`table`."""
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == _METRIC)]
    shown = shown.assign(mark=[variant.rpartition("-")[0] for variant in shown["variant"]])
    names = [name for name in _MARKS if name in set(shown["mark"])]
    draw_dots(
        {f"{number:g} clusters": part for number, part in shown.groupby("at", sort=True)},
        {name: _MARKS[name] for name in names},
        outputs,
        quantity="mIoU of clusters (fraction)",
        models=models,
        empty="There are no more patches than clusters.",
    )
