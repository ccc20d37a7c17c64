"""The gallery: patches of transformed tiles, and the original patches that models take for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from patchprobe.errors import StoreError
from patchprobe.own_files import read_table
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.selection import axis_of, order_corruptions
from patchprobe.report.style import PAGE, RC, WIDTH, new_figure, save

_COLUMNS = {
    **dict.fromkeys(("dataset", "model", "variant", "corruption", "outcome"), str),
    **dict.fromkeys(("tile", "class", "retrieved_tile", "retrieved_class"), str),
    **dict.fromkeys(("patch", "retrieved_patch", "same_patch", "rows", "columns"), int),
    "level": float,
}
# Inches: a line of text, between pictures, beside the columns of examples, above all, and the least side of a picture.
_LINE, _GAP, _MARGIN, _HEAD, _LEAST = 0.11, 0.04, 0.25, 0.22, 0.45
_FOUND, _SOUGHT, _HIT, _MISS = "#e69f00", "#ffffff", "#009e73", "#d55e00"


def draw_gallery(
    examples: Sequence[Path],
    tiles: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    number: int,
    outcomes: Mapping[str, str],
) -> None:
    """Draw a row for each model, ``number`` hits and as many misses: a query in its tile beside what it found in its own.

    ``examples`` are the tables of examples of all models, ``tiles`` the tile stores, clean and under each corruption,
    ``outcomes`` what outcomes are called, the hit first. The strongest level of each corruption is shown, one corruption
    after the other, misses beginning where hits end. Raises StoreError for a damaged table or a store that lacks a tile.
    """
    table = pd.concat([read_table(path, _COLUMNS, may_be_empty=True) for path in examples])
    stores = {str(store.attrs["corruption"]): store for store in tiles}
    hit = next(iter(outcomes))
    text = 3 * _LINE + _GAP
    side = min((WIDTH - _MARGIN) / (4 * number) - _GAP, max(_LEAST, (PAGE - _HEAD) / len(models) - text))
    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH, _HEAD + len(models) * (side + text))
        put_text(figure, 0.02, 0.12, "Left: query. Right: what it retrieves. White: where it lies in the same tile.")
        for place, model in enumerate(models):
            top = _HEAD + place * (side + text) + 3 * _LINE
            put_text(figure, 0.05, top + side / 2, model, rotation=90, va="center", ha="left")
            own = table[(table["model"] == model) & (table["variant"] == "")]
            hits = _choose(own[own["outcome"] == hit], number, 0)
            misses = _choose(own[own["outcome"] != hit], number, number)
            for column, example in [*enumerate(hits), *enumerate(misses, start=number)]:
                left = _MARGIN + column * 2 * (side + _GAP)
                _draw_pair(figure, left, top, side, example, stores, outcomes[example["outcome"]], column < number)
        save(figure, outputs)


def _choose(table: pd.DataFrame, number: int, first: int) -> list[dict[str, Any]]:
    """Return examples of the strongest level of each corruption in turn, from the ``first`` on, until there are ``number``."""
    by_corruption = []
    for name in order_corruptions(table["corruption"]):
        part = table[table["corruption"] == name]
        change = np.abs(part["level"] - (axis_of(name).neutral or 0.0))
        by_corruption.append(part[change == change.max()].to_dict("records"))
    first %= max(1, len(by_corruption))
    turns = range(max(map(len, by_corruption), default=0))
    in_turn = [
        part[turn] for turn in turns for part in by_corruption[first:] + by_corruption[:first] if turn < len(part)
    ]
    return in_turn[:number]


def _draw_pair(
    figure: Figure,
    left: float,
    top: float,
    side: float,
    example: Mapping[str, Any],
    stores: Mapping[str, xr.Dataset],
    outcome: str,
    hit: bool,
) -> None:
    grid = example["rows"], example["columns"]
    transformed = _tile(stores[example["corruption"]], example["tile"], example["level"])
    original = _tile(stores["clean"], example["retrieved_tile"], 0.0)
    query = put_image(figure, left, top, side, transformed)
    found = put_image(figure, left + side + _GAP / 4, top, side, original)
    _frame(query, transformed, grid, example["patch"], _FOUND)
    if example["tile"] == example["retrieved_tile"]:
        _frame(found, original, grid, example["same_patch"], _SOUGHT)
    _frame(found, original, grid, example["retrieved_patch"], _FOUND)
    level = axis_of(example["corruption"]).title(example["level"])
    ours, theirs = example["class"], example["retrieved_class"]
    put_text(figure, left, top - 2 * _LINE, f"{example['corruption']}, {level}")
    put_text(figure, left, top - _LINE, outcome, color=_HIT if hit else _MISS, weight="bold")
    put_text(figure, left, top - 0.02, ours if hit or ours == theirs else f"{ours}: {theirs}")


def _tile(store: xr.Dataset, tile: str, level: float) -> npt.NDArray[np.uint8]:
    found = np.flatnonzero(store["tile"].to_numpy() == tile)
    levels = np.flatnonzero(np.isclose(store["level"].to_numpy(), level))
    if len(found) != 1 or len(levels) != 1:
        raise StoreError(
            f"{store.encoding.get('source', 'a tile store')} has no tile {tile!r} at level {level:g}: delete it and run again"
        )
    return store["image"].isel(tile=int(found[0]), level=int(levels[0])).to_numpy()


def _frame(ax: Any, image: npt.NDArray[np.uint8], grid: tuple[int, int], patch: int, color: str) -> None:
    height, width = image.shape[0] / grid[0], image.shape[1] / grid[1]
    row, column = divmod(patch, grid[1])
    corner = column * width - 0.5, row * height - 0.5
    ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="black", linewidth=2.0))
    ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=1.1))
