"""The sheet of segmentations: whole images, their truth, what models make of them, and one tile enlarged."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from scipy import ndimage

from patchprobe.analyses.sheets.choosing import choose_images, choose_models, choose_tile, tiles_of
from patchprobe.analyses.sheets.reading import STRIPE, Part, Shown, colour, part_of, predicted, share_right, stitched
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.selection import METHOD_NAMES, prepare
from patchprobe.report.style import PAGE, RC, WIDTH, new_figure, plain, save

# Inches: between panels, a title above a panel, a line and a letter of a head, a line of the legend, above a block.
_GAP, _TITLE, _LINE, _LETTER, _ENTRY, _ABOVE = 0.03, 0.13, 0.11, 0.055, 0.16, 0.08
_HIGHEST, _LEAST = 2.2, 0.85  # inches, the width of a panel
_TALLEST = 1.25  # of a panel, as a multiple of its width
_COLUMNS = 8  # side by side, before models go on in another band
_PIXEL = 1 / RC["savefig.dpi"]  # inches
_ROOM = 0.055  # inches around the number of a class that have to be of the class


@dataclass(frozen=True)
class _Block:
    """Part of an image with what is known of it: the picture, the truth, and predictions by (model, method)."""

    title: str
    picture: Shown
    truth: Shown
    found: Mapping[tuple[str, str], Shown]
    framed: tuple[float, float, float, float] | None = None
    """Left, top, width and height of the enlarged tile, in px of the picture."""

    @property
    def tallness(self) -> float:
        """Height of its panels as a multiple of their width."""
        rows, columns = self.truth.covered.shape
        return min(_TALLEST, rows / columns)


class _Plan:
    """Where panels stand, and how wide they are, ``side`` inches: as wide as the page allows.

    ``stacked``: the truth below the image, and a model's predictions by its second classifier below those by its first; else all
    beside each other.
    """

    def __init__(
        self,
        models: Sequence[str],
        methods: Sequence[str],
        stacked: bool,
        blocks: Sequence[_Block],
        handles: Sequence[Patch],
    ) -> None:
        self.stacked, self.methods = stacked, methods
        self.rows, self.each = (len(methods), 1) if stacked else (1, len(methods))
        self.first = 1 if stacked else 2
        most = max(1, (_COLUMNS - self.first) // self.each)
        self.bands = [models[i : i + most] for i in range(0, len(models), most)]
        self.columns = self.first + self.each * len(self.bands[0])
        letters = max((len(str(handle.get_label())) for handle in handles), default=1)
        self.entries = max(1, int(WIDTH / (0.5 + 0.05 * letters)))
        self._legend = 0.1 + _ENTRY * -(-len(handles) // self.entries)
        self._tallness = [block.tallness for block in blocks]
        side = min(_HIGHEST, WIDTH / self.columns)
        while side > _LEAST and self.height(side) > PAGE:
            side -= _PIXEL
        self.side = _snapped(side)
        self.left = _snapped((WIDTH - self.columns * self.side) / 2)

    def height(self, side: float) -> float:
        """Return the height of the sheet with panels of a width, in inches."""
        blocks = sum(_ABOVE + _TITLE + self.rows * self.row(side, tallness) for tallness in self._tallness)
        return sum(self.head(band, side) + blocks for band in self.bands) + self._legend

    def row(self, side: float, tallness: float) -> float:
        """Return the height of a row of panels with their titles, in inches."""
        return _snapped(tallness * (side - _GAP)) + _GAP + _TITLE

    def head(self, band: Sequence[str], side: float) -> float:
        """Return the height of the names of models above their columns, with their scores, in inches."""
        names = max(self.name(model, side).count("\n") + 1 for model in band)
        return _LINE * (names + (self.rows if self.stacked else 1)) + 5 * _GAP

    def name(self, model: str, side: float) -> str:
        """Return the name of a model in lines as wide as its columns."""
        return _wrap(model, int(self.each * side / _LETTER))

    def column(self, place: int, method: int = 0) -> float:
        """Return the left edge, in inches, of the column of a model's panels, by its place in its band."""
        return self.left + (self.first + self.each * place + method * (self.each > 1)) * self.side


def draw_segmentations(
    tiles: xr.Dataset,
    labels: xr.Dataset,
    predictions: Mapping[str, xr.Dataset],
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    methods: Sequence[str],
    most: int,
    images: int,
) -> None:
    """Draw the sheet; see :func:`patchprobe.analyses.sheets.report.segmentation_sheet`."""
    scores = prepare(rows)
    scores = scores[(scores["corruption"] == "clean") & (scores["metric"] == "pixel_miou")]
    by_method = {str(method): part.set_index("label")["value"] for method, part in scores.groupby("method")}
    models = choose_models(by_method[methods[0]], list(predictions), most)
    stores = {model: predictions[model].isel(level=0) for model in models}
    blocks = _blocks(tiles.isel(level=0), labels, stores, methods, images)

    handles, numbers = _legend(labels, blocks)
    plans = [_Plan(models, methods, stacked, blocks, handles) for stacked in {False, len(methods) > 1}]
    # One above the other unless that makes little difference, since it takes more of the page.
    plan = max(plans, key=lambda plan: plan.side / (1.15 if plan.stacked else 1))
    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH, _snapped(plan.height(plan.side)))
        top = 0.0
        for band in plan.bands:
            top = _draw_heads(figure, top, plan, band, by_method)
            for block in blocks:
                top = _draw_block(figure, top, plan, block, band, labels, numbers)
        figure.legend(
            handles=handles, loc="lower center", ncols=plan.entries, fontsize=6.5, borderaxespad=0.2, handlelength=2
        )
        save(figure, outputs)


def _blocks(
    tiles: xr.Dataset, labels: xr.Dataset, stores: Mapping[str, xr.Dataset], methods: Sequence[str], images: int
) -> list[_Block]:
    """Return a block for each chosen image, and of the first, where it has several tiles, one for the enlarged tile."""
    stored = (labels.sizes["y"], labels.sizes["x"])

    def block(title: str, part: Part, framed: tuple[float, float, float, float] | None = None) -> _Block:
        """Stitch a part of an image with its truth and predictions."""
        found = {(name, m): predicted(store, m, part, stored) for name, store in stores.items() for m in methods}
        return _Block(title, stitched(tiles, "image", part), stitched(labels, "label", part), found, framed)

    blocks: list[_Block] = []
    enlarged: list[_Block] = []
    for image_id in choose_images(labels, images):
        own = tiles_of(labels, image_id).tolist()
        part, framed = part_of(labels, own), None
        if not blocks and len(own) > 1 and _is_small(part):
            tile = choose_tile(labels, image_id)
            alone = part_of(labels, np.flatnonzero(labels["tile"].to_numpy() == tile).tolist())
            enlarged = [block(f"{tile}, the framed tile", alone)]
            (y, x), (top, left) = alone.corners[0], np.min(part.corners, axis=0)
            framed = (x - left, y - top, alone.cut[1], alone.cut[0])
        blocks.append(block(image_id, part, framed))
    return [*blocks, *enlarged]


def _is_small(part: Part) -> bool:
    """Return whether a tile is less than half of a part of an image, so that there is something to enlarge."""
    rows, columns = np.ptp(part.corners, axis=0) + part.cut
    return bool(2 * math.prod(part.cut) < rows * columns)


def _draw_heads(figure: Figure, top: float, plan: _Plan, band: Sequence[str], scores: Mapping[str, pd.Series]) -> float:
    """Write the models of a band above their columns, with their scores by method; returns the lower edge."""
    edge = top + plan.head(band, plan.side)
    text = "mIoU of all\nevaluation images:"
    put_text(figure, plan.column(0) - 3 * _GAP, edge - 2 * _GAP, text, ha="right")
    for place, model in enumerate(band):
        own = [f"{METHOD_NAMES.get(m, m)} {scores[m][model]:.3f}" for m in plan.methods]
        lines = ["\n".join(own)] if plan.stacked else own
        for number, line in enumerate(lines):
            middle = plan.column(place, number) + plan.side / 2
            put_text(figure, middle, edge - 2 * _GAP, line, ha="center")
        middle = plan.column(place) + plan.each * plan.side / 2
        above = edge - 2 * _GAP - _LINE * (len(own) if plan.stacked else 1) - 0.02
        put_text(figure, middle, above, plan.name(model, plan.side), ha="center", weight="bold", fontsize=7)
    return edge


def _draw_block(
    figure: Figure,
    top: float,
    plan: _Plan,
    block: _Block,
    band: Sequence[str],
    labels: xr.Dataset,
    numbers: Mapping[int, str],
) -> float:
    """Draw a block for the models of a band, its upper edge at ``top`` inches; returns its lower edge."""
    side = plan.side
    width, row = side - _GAP, plan.row(side, block.tallness)
    height = row - _GAP - _TITLE
    rows = [top + _ABOVE + 2 * _TITLE + r * row for r in range(plan.rows)]
    put_text(figure, plan.left + _GAP / 2, top + _ABOVE + _TITLE - _GAP, block.title, weight="bold")

    def show(x: float, y: float, shown: Shown, title: str, framed: bool = False) -> None:
        """Put one panel with its title at a place of the page, in."""
        x, y = _snapped(x), _snapped(y)
        put_text(figure, x + side / 2, y - _GAP, title, ha="center")
        small = shown.shrunk(round(width / _PIXEL))
        axes = put_image(figure, x + _GAP / 2, y + _GAP / 2, width, colour(small, labels), height=height)
        scale = small.covered.shape[1] / shown.covered.shape[1]
        if shown.pixels.ndim == 2:
            each = min(width / small.covered.shape[1], height / small.covered.shape[0])
            for name, (row, col) in _named(small, _ROOM / each, numbers):
                axes.text(
                    col, row, name, fontsize=4.5, ha="center", va="center_baseline", color="white",
                    path_effects=[withStroke(linewidth=1.1, foreground="black")],
                )  # fmt: skip
        if block.framed and framed:
            left, upper, wide, tall = (scale * value for value in block.framed)
            for color, line in (("black", 1.8), ("white", 0.9)):
                frame = Rectangle(
                    (left - 0.5, upper - 0.5), wide, tall, fill=False, edgecolor=color, linewidth=line, clip_on=True
                )
                axes.add_patch(frame)

    show(plan.left, rows[0], block.picture, "image", framed=True)
    show(plan.left + (0 if plan.stacked else side), rows[-1], block.truth, "truth", framed=True)
    void = labels.attrs["void_id"]
    for place, model in enumerate(band):
        for number, method in enumerate(plan.methods):
            found = block.found[model, method]
            title, share = METHOD_NAMES.get(method, method), share_right(found, block.truth, void)
            if not math.isnan(share):
                title += f": {100 * share:.0f} %" + " right" * (side > 1.1)
            show(plan.column(place, number), rows[number if plan.stacked else 0], found, title)
    return rows[-1] + row - _TITLE


def _named(shown: Shown, room: float, numbers: Mapping[int, str]) -> list[tuple[str, tuple[int, int]]]:
    """Return the number of a class and the (row, column) to write it at, for regions with ``room`` px around it."""
    found = []
    for ident, name in numbers.items():
        mask = np.pad((shown.pixels == ident) & shown.covered, 1)
        if not mask.any():
            continue
        depth = ndimage.distance_transform_edt(mask)[1:-1, 1:-1]
        regions, count = ndimage.label(mask[1:-1, 1:-1])
        for row, col in ndimage.maximum_position(depth, regions, range(1, count + 1)):
            if depth[row, col] >= room:
                found.append((name, (int(row), int(col))))
    return found


def _legend(labels: xr.Dataset, blocks: Sequence[_Block]) -> tuple[list[Patch], dict[int, str]]:
    """Return a patch for every class on the sheet, in the official order, and one for void; and the numbers of classes by id."""
    seen = {
        int(i)
        for block in blocks
        for one in (block.truth, *block.found.values())
        for i in np.unique(one.pixels[one.covered])
    }
    triples = zip(*(labels.attrs[key] for key in ("class_ids", "class_names", "class_colors")), strict=True)
    handles: list[Patch] = []
    numbers: dict[int, str] = {}
    for ident, name, color in triples:
        if ident in seen:
            face = (color[0] / 255, color[1] / 255, color[2] / 255)
            numbers[ident] = str(len(numbers) + 1)
            label = plain(f"{numbers[ident]}  {name}")
            handles.append(Patch(facecolor=face, edgecolor="#888888", linewidth=0.4, label=label))
    if labels.attrs["void_id"] in seen:
        grey = str(STRIPE / 255)
        handles.append(Patch(facecolor="black", edgecolor=grey, hatch="/////", linewidth=0, label="void"))
    return handles, numbers


def _snapped(length: float) -> float:
    """Return a length as a whole number of px of the PNG, so that none of a picture's is drawn twice."""
    return math.floor(length / _PIXEL + 1e-6) * _PIXEL


def _wrap(name: str, width: int) -> str:
    """Break a long name after separators into lines of at most ``width`` letters where it has separators."""
    lines = [""]
    for part in re.findall(r"[^-_. ]+[-_. ]*|[-_. ]+", name):
        if lines[-1] and len(lines[-1]) + len(part.strip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)
