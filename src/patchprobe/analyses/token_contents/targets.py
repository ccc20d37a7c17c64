"""What a patch looks like and where it lies: the numbers that are regressed from its token.

All come from the pixels of stored tiles, so that no data are needed but those that are there, and they are the same for
models of one grid of patches. They are our choice, after the low-level boards of VisBench: colour, edges and frequencies.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from patchprobe.tiles.patches import patch_rows
from patchprobe.tokens.places import PlaceMeans

TARGETS = (
    *("brightness", "colour blue", "colour red", "gradient"),
    *("finest band", "fine band", "middle band", "coarse band"),
    *("row", "column"),
)
"""The numbers of a patch, in the order of :func:`patch_targets`."""
# Of JPEG (ITU-T T.871): brightness Y, and how much bluer or redder than it a colour is, Cb and Cr, here around 0.
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_DEVIATIONS = (1.0, 2.0, 4.0, 8.0)  # px
_TILES = 16  # at once


def patch_targets(pixels: npt.NDArray[np.uint8], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the targets float64 (tile, patch, targets) of tiles uint8 (tile, y, x, 3) on a grid (rows, columns).

    - ``brightness``, ``colour blue``, ``colour red``: means of Y, Cb and Cr over the pixels of the patch, from 0 to 255 and around 0.
    - ``gradient``: log(1 + E), E the mean of the squared length of Sobel's gradient of Y, in grey values per px.
    - ``finest band`` to ``coarse band``: log(1 + E), E the mean square of a band of Y. Bands are what Gaussians of 1, 2, 4 and 8 px take
      from Y, each from what the one before left (the Laplacian pyramid of Burt and Adelson, IEEE Trans. Commun. 31, 1983,
      doi:10.1109/TCOM.1983.1095851, without taking fewer pixels). Waves of 6, 13 and 26 px are strongest in the last three.
    - ``row``, ``column``: of the patch in its tile, each from 0 to 1.

    Pixels beyond the tile are its own, mirrored. Pixels belong to patches as in :mod:`patchprobe.tiles.patches`.
    """
    parts = [_of_pixels(pixels[start : start + _TILES], grid) for start in range(0, len(pixels), _TILES)]
    places = grid[0] * grid[1]
    seen = np.concatenate(parts).reshape(len(pixels), places, -1)
    none = PlaceMeans(grid, np.zeros(places, np.int64), np.zeros((places, 0)))
    where = np.broadcast_to(none.coordinates(), (len(pixels), places, 2))
    return np.concatenate([seen, where], axis=-1)


def _of_pixels(pixels: npt.NDArray[np.uint8], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    colours = np.moveaxis(pixels.astype(np.float32) @ _YCC.T, -1, 0)
    grey = colours[0]
    energies = [np.square(_slope(grey, 1, 2)) + np.square(_slope(grey, 2, 1))]
    finer = grey
    for deviation in _DEVIATIONS:
        smooth = ndimage.gaussian_filter(grey, deviation, axes=(1, 2), mode="mirror")
        energies.append(np.square(finer - smooth))
        finer = smooth
    # Thousandths of a grey value: what is below is rounding, which would be all that the colours of grey images are.
    means = [np.round(_means(one, grid), 3) for one in colours]
    logarithms = [np.log1p(_means(one, grid)) for one in energies]
    return np.stack([*means, *logarithms], axis=-1)


def _slope(grey: npt.NDArray[np.float32], along: int, across: int) -> npt.NDArray[np.float32]:
    """Return Sobel's slope of tiles (tile, y, x) along an axis, in grey values per px."""
    steps = ndimage.correlate1d(grey, np.array([-0.5, 0, 0.5]), axis=along, mode="mirror")
    return np.asarray(ndimage.correlate1d(steps, np.array([0.25, 0.5, 0.25]), axis=across, mode="mirror"))


def _means(values: npt.NDArray[np.float32], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the means (tile, rows, columns) of values (tile, y, x) over the pixels of patches."""
    sums, count = values.astype(np.float64), np.ones(1)
    for axis, patches in ((1, grid[0]), (2, grid[1])):
        owners = patch_rows(values.shape[axis], patches)
        sums = np.add.reduceat(sums, np.searchsorted(owners, np.arange(patches)), axis=axis)
        count = np.multiply.outer(count, np.bincount(owners, minlength=patches))
    return np.asarray(sums / count)
