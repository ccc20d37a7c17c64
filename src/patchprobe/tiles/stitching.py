"""Tiles put back at their places in the image that they were cut from."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]


def stitch(
    tiles: UInt8, corners: Sequence[tuple[int, int]], cut: tuple[int, int]
) -> tuple[UInt8, npt.NDArray[np.bool_], tuple[int, int]]:
    """Put tiles of one image side by side, at the scale of the image as it was cut.

    ``tiles`` is uint8 (tile, y, x) or (tile, y, x, channel) as stored, ``corners`` the (top, left) of each in px of the image
    and ``cut`` the rows and columns of a tile there. Returns the pixels uint8 (height, width) or (height, width, channel) of
    the least rectangle that holds all tiles, where tiles cover it, bool (height, width), and its (top, left) in the image.

    A stored tile is brought to ``cut`` by the nearest pixel centre: pixel i takes stored pixel floor((i + 0.5) * stored /
    cut). Where tiles overlap, the later one counts; pixels that no tile covers are 0. Raises ValueError without tiles, or with
    another number of corners.
    """
    if not len(tiles) or len(tiles) != len(corners):
        raise ValueError(
            f"{len(tiles)} tiles with {len(corners)} corners: give one tile or more, and the corner of each"
        )
    places = np.asarray(corners)
    top, left = (int(side) for side in places.min(0))
    height, width = (int(side) for side in places.max(0) - (top, left) + cut)
    pixels = np.zeros((height, width, *tiles.shape[3:]), np.uint8)
    covered = np.zeros((height, width), np.bool_)
    rows, columns = map(nearest, tiles.shape[1:3], cut)
    for tile, (y, x) in zip(tiles, (places - (top, left)).tolist(), strict=True):
        where = slice(y, y + cut[0]), slice(x, x + cut[1])
        pixels[where] = tile[rows[:, None], columns]
        covered[where] = True
    return pixels, covered, (top, left)


def nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    """Return, of ``source`` pixels along a side, the one under the centre of each of ``target`` pixels."""
    return (2 * np.arange(target) + 1) * source // (2 * target)
