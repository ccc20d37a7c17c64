"""Which original patch shows what a patch of a transformed tile shows (protocol section 6)."""

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.errors import StoreError

NONE = -1
_DECIMALS = 6  # of a pixel: a centre that is mapped onto a border lies on it, whatever the rounding


def patch_centres(size: tuple[int, int], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the centres (x, y) of all patches of a tile, float64 (patches, 2), row by row.

    ``size`` is rows and columns of the tile in px, ``grid`` of patches. Coordinates are those of affine matrices: the centre
    of the first pixel is (0, 0).
    """
    (height, width), (rows, columns) = size, grid
    y, x = (np.arange(rows) + 0.5) * height / rows - 0.5, (np.arange(columns) + 0.5) * width / columns - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def source_centres(
    affine: npt.NDArray[np.float64], size: tuple[int, int], grid: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return where the centres of all patches of a transformed tile come from, float64 (patches, 2), as (x, y).

    ``affine`` (2, 3) maps pixel centres of the transformed tile to those of the original.
    """
    centres = patch_centres(size, grid)
    mapped: npt.NDArray[np.float64] = np.round(centres @ affine[:, :2].T + affine[:, 2], _DECIMALS)
    return mapped


def corresponding_patches(
    affine: npt.NDArray[np.float64], size: tuple[int, int], grid: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return for every patch of a transformed tile the original patch that holds its mapped-back centre, int64 (patches,).

    It is ``NONE`` where the centre comes from outside the tile. A centre on the border of two patches belongs to the later
    one, as pixels do (:func:`patchprobe.tiles.patches.patch_rows`). Arguments are those of :func:`source_centres`.
    """
    (height, width), (rows, columns) = size, grid
    x, y = (source_centres(affine, size, grid) + 0.5).T
    row, column = np.floor(y * rows / height).astype(np.int64), np.floor(x * columns / width).astype(np.int64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside, row * columns + column, NONE)


def tile_affines(tiles: xr.Dataset) -> npt.NDArray[np.float64]:
    """Return the matrices of all levels of a tile store for its tiles as they are stored, float64 (level, 2, 3).

    Those of a corruption that moves nothing are identities. Raises StoreError for one that moved full images of several
    tiles, whose patches can come from another tile.
    """
    if "affine" not in tiles:
        return np.tile(np.eye(2, 3), (tiles.sizes["level"], 1, 1))
    affines = tiles["affine"].to_numpy()
    if tiles.attrs["affine_frame"] == "tile":
        return affines
    if len(set(tiles["image_id"].to_numpy().tolist())) < tiles.sizes["tile"]:
        raise StoreError(
            f"{tiles.encoding.get('source', 'the tile store')}: full images were moved and then cut into several tiles: set "
            f"corruptions.{tiles.attrs['corruption']}.apply to tile"
        )
    # In the frame of the tile as it is cut, which is resized about its upper left corner.
    cut = tiles.attrs["tile_size"]
    rows, columns = (cut, cut) if isinstance(cut, int) else cut
    stretch = np.array([tiles.sizes["x"] / columns, tiles.sizes["y"] / rows])
    linear = affines[:, :, :2] * stretch[:, None] / stretch
    # A position p from the corner, in px, is that of a pixel centre plus a half.
    offset = (affines[:, :, 2] + 0.5 - affines[:, :, :2].sum(axis=2) / 2) * stretch
    offset += linear.sum(axis=2) / 2 - 0.5
    return np.concatenate([linear, offset[:, :, None]], axis=2)
