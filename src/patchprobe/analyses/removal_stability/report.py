"""Tables and figures of the stability of removals, between data sets and between blocks."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from patchprobe.report.curves import draw_curves
from patchprobe.report.dots import Mark, draw_dots
from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import order_known, prepare
from patchprobe.report.style import MARKERS

_CHANCE = "by chance"
_SHARED = (
    "Of features the share that is the same, of directions the mean squared cosine of the principal angles, which is the share of one "
    "subspace that lies in the other; by chance is the mean of two independent draws."
)


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str]) -> None:
    """Write a table per pair of data sets and one per data set for its blocks: a line per model and removal.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` and ``removals`` give the order of lines. Raises StoreError if
    seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = _shown(rows)
    same = f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}."
    tables = [
        _between(f"{one} and {other}", f"{one}-{other}-removal-stability", part, models, removals, same)
        for (one, other), part in shown[shown["axis"] == ""].groupby(["dataset", "other_dataset"], sort=True)
    ]
    tables += [
        _blocks(str(dataset), part, models, removals, same)
        for dataset, part in shown[shown["axis"] == "block"].groupby("dataset", sort=True)
    ]
    write_tables(outputs, "Stability of removals", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str]) -> None:
    """Draw what pairs of data sets share, a panel per removal, a mark per pair. Raises as :func:`table`."""
    shown = _shown(rows)
    shown = shown[(shown["axis"] == "") & (shown["mark"] != "")]
    pair = shown["dataset"] + ", " + shown["other_dataset"]
    shown = shown.assign(mark=pair.where(shown["mark"] == "shared", _CHANCE))
    pairs = sorted(set(pair))
    marks = {name: Mark(name, MARKERS[place % len(MARKERS)]) for place, name in enumerate(pairs)}
    draw_dots(
        {name: shown[shown["variant"] == name] for name in order_known(set(shown["variant"]), removals)},
        marks | {_CHANCE: Mark(_CHANCE, "|", size=9)},
        outputs,
        quantity="shared (fraction)",
        models=models,
        empty="No model has enough features.",
        limits=(0, 1.05),
        apart=len(pairs) > 1,
    )


def removal_blocks_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, dataset: str, models: Sequence[str], removals: Sequence[str]
) -> None:
    """Draw what each block of a data set shares with the last, a panel per removal, a line per model. Raises as :func:`table`."""
    shown = _shown(rows)
    shown = shown[(shown["axis"] == "block") & (shown["dataset"] == dataset)]
    own = shown[shown["mark"] == "shared"].assign(label=lambda one: one["model"])
    # Models of several widths have several; the highest is drawn.
    chance = shown[shown["mark"] == "chance"].groupby(["variant", "layer"], as_index=False)["value"].max()
    chance = chance.assign(model=_CHANCE, label=_CHANCE, ci_low=float("nan"), ci_high=float("nan"))
    both = pd.concat([own, chance], ignore_index=True)
    panels = {removal: both[both["variant"] == removal] for removal in order_known(set(own["variant"]), removals)}
    # A removal is no variant of a model here: its models look as everywhere.
    draw_curves(
        {title: part.assign(variant="") for title, part in panels.items()},
        "layer",
        outputs,
        axis="block",
        quantity="shared with the last block",
        models=models,
        beside=_CHANCE,
        bands=False,
    )


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all blocks, with ``mark``: what two share, by chance, or nothing for angles."""
    shown = prepare(rows, every_layer=True)
    shared = shown["metric"].isin(["shared_features", "shared_subspace"])
    chance = shown["metric"].str.endswith("_by_chance")
    return shown.assign(mark=shared.map({True: "shared", False: ""}).mask(chance, "chance"))


def _lines(part: pd.DataFrame, models: Sequence[str], removals: Sequence[str]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the label of every line, the removal first, and its rows."""
    return [
        (f"{removal} {model}", removal, part[(part["variant"] == removal) & (part["model"] == model)])
        for removal in order_known(set(part["variant"]), removals)
        for model in order_known(set(part.loc[part["variant"] == removal, "model"]), models)
    ]


def _between(
    pair: str, name: str, part: pd.DataFrame, models: Sequence[str], removals: Sequence[str], same: str
) -> Table:
    lines: list[tuple[str, list[Cell]]] = []
    for label, _, own in _lines(part, models, removals):
        marks, values = own.set_index("mark")["value"], own.set_index("metric")["value"]
        angles = [
            f"{values[key]:.1f}" if key in values else "-"
            for key in ("principal_angle_mean", "principal_angle_largest")
        ]
        lines.append((label, [Score(marks["shared"]), Score(marks["chance"]), int(own["n"].iloc[0]), *angles]))
    notes = (f"{_SHARED} Clean tiles, last block.", same)
    columns = [
        ("", "shared"),
        ("", "by chance"),
        ("", "compared"),
        ("angle (degrees)", "mean"),
        ("angle (degrees)", "largest"),
    ]
    return Table(name, f"{pair}: what removals take out of both", "removal and model", columns, lines, notes)


def _blocks(dataset: str, part: pd.DataFrame, models: Sequence[str], removals: Sequence[str], same: str) -> Table:
    blocks = sorted(part["layer"].unique())
    lines: list[tuple[str, list[Cell]]] = []
    for label, _, own in _lines(part, models, removals):
        shared = own[own["mark"] == "shared"].set_index("layer")["value"]
        chance = own.loc[own["mark"] == "chance", "value"].iloc[0]
        cells: list[Cell] = [*(Score(shared.get(block, float("nan"))) for block in blocks), Score(chance)]
        lines.append((label, [*cells, int(own["n"].iloc[0])]))
    columns = [*(("shared with the last block", f"{block}") for block in blocks), ("", "by chance"), ("", "compared")]
    notes = (f"{_SHARED} Clean tiles; the last block of a model is compared with itself.", same)
    return Table(
        f"{dataset}-removal-blocks",
        f"{dataset}: what removals take out of a block and the last",
        "removal and model",
        columns,
        lines,
        notes,
    )
