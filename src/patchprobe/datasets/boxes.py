"""Boxes around objects: rotated, with a category each; what part of one lies in a window; the label map that they make."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from patchprobe.datasets.dataset import Window

Polygons = npt.NDArray[Any]

FARTHEST = 1e6
"""Corners are at most so many px away from the upper left corner of their image, in x and in y."""

# Boxes that are worked on at once, so that a million of them, or long ones over many windows, do not fill the memory.
_CUT_AT_ONCE, _DRAWN_AT_ONCE = 256, 20_000
# What lies in a window exactly must not be lost by rounding, nor a line become a box.
_EXACT = 1 - 1e-9
_LINE = 1e-6


@dataclass(frozen=True)
class Boxes:
    """The boxes of one image: ``corners`` float64 (n, 4, 2), ``ids`` uint8 (n,) and ``difficult`` bool (n,).

    Corners are (x, y) in px along the outline, from the upper left corner of the image: the first pixel covers 0 to 1 of
    both. They may lie outside the image, see :data:`FARTHEST`. ``difficult`` marks objects that the data set calls so.
    """

    corners: npt.NDArray[np.float64]
    ids: npt.NDArray[np.uint8]
    difficult: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        assert self.corners.shape == (len(self.ids), 4, 2) and self.difficult.shape == self.ids.shape
        assert (np.abs(self.corners) <= FARTHEST).all()  # and none is NaN

    def __len__(self) -> int:
        return len(self.ids)

    def polygons(self) -> tuple["Boxes", Polygons]:
        """Return those of the boxes that cover something, and their polygons (n,).

        Corners that are given in a wrong order, so that the outline crosses itself, mean their convex hull.
        """
        shapes = np.asarray(shapely.polygons(self.corners))
        crossed = ~shapely.is_valid(shapes)
        shapes[crossed] = shapely.convex_hull(shapes[crossed])
        kept = shapely.area(shapes) > _LINE
        return self.part(kept), shapes[kept]

    def part(self, chosen: Any) -> "Boxes":
        """Return those of the boxes that an index or mask chooses."""
        return Boxes(self.corners[chosen], self.ids[chosen], self.difficult[chosen])


def present_ids(boxes: Boxes, size: tuple[int, int], side: int, share: float) -> dict[Window, frozenset[int]]:
    """Return which categories are present in the windows of ``side`` px that an image is cut into from its upper left corner.

    A category is present where at least ``share`` of the area of one of its boxes lies inside. ``size`` is rows and columns of
    the image; what is left of it at its right and lower edge is in no window. Windows without any category are left out.
    """
    found: dict[Window, set[int]] = {}
    for start in range(0, len(boxes), _CUT_AT_ONCE):
        some, shapes = boxes.part(slice(start, start + _CUT_AT_ONCE)).polygons()
        least = share * _EXACT * shapely.area(shapes)
        # First by rows of windows, of which few hold enough of a box, however many it crosses.
        box, row, shapes = _cut(shapes, least, 1, side, size[0] // side)
        inner, column, _ = _cut(shapes, least[box], 0, side, size[1] // side)
        for r, c, i in zip(row[inner].tolist(), column.tolist(), some.ids[box[inner]].tolist(), strict=True):
            found.setdefault(Window(r * side, c * side, side, side), set()).add(i)
    return {window: frozenset(found[window]) for window in sorted(found)}


def rasterise(boxes: Boxes, window: Window, background: int) -> npt.NDArray[np.uint8]:
    """Return the label map of a window, uint8 (height, width): the id of the box that holds the centre of a pixel.

    Of several boxes the smallest counts, of equal ones the later; a pixel in none is ``background``.
    """
    boxes, shapes = boxes.polygons()
    here = shapely.box(window.left, window.top, window.left + window.width, window.top + window.height)
    touching = shapely.intersects(shapes, here)
    ids, shapes = boxes.ids[touching], shapes[touching]
    order = np.argsort(-shapely.area(shapes), kind="stable")
    label = np.full((window.height, window.width), background, np.uint8)
    for start in range(0, len(order), _DRAWN_AT_ONCE):
        some = order[start : start + _DRAWN_AT_ONCE]
        moved = shapely.transform(shapes[some], lambda points: points - (window.left, window.top))
        rasterize(list(zip(moved, ids[some].tolist(), strict=True)), out=label)
    return label


def _cut(
    shapes: Polygons, least: npt.NDArray[np.float64], axis: int, side: int, number: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Polygons]:
    """Cut shapes by ``number`` strips of ``side`` px that follow each other along an axis, 0 for x and 1 for y.

    Returns the pieces whose area is ``least`` of their shape or more, behind the numbers of their shape and strip.
    """
    bounds = shapely.bounds(shapes).reshape(-1, 4)
    low, high = bounds[:, axis], bounds[:, axis + 2]
    first = np.clip(np.floor(low / side), 0, number).astype(np.int64)
    last = np.clip(np.floor(high / side), -1, number - 1).astype(np.int64)
    crossed = np.clip(last - first + 1, 0, None)
    shape = np.repeat(np.arange(len(shapes)), crossed)
    strip = np.arange(len(shape)) - np.repeat(np.cumsum(crossed) - crossed - first, crossed)
    pieces, begin, end = shapes[shape], strip * side, (strip + 1) * side
    split = (low[shape] < begin) | (high[shape] > end)
    edges = bounds[shape[split]] + (-1, -1, 1, 1)
    edges[:, axis], edges[:, axis + 2] = begin[split], end[split]
    pieces[split] = shapely.intersection(pieces[split], shapely.box(*edges.T))
    enough = shapely.area(pieces) >= least[shape]
    return shape[enough], strip[enough], pieces[enough]
