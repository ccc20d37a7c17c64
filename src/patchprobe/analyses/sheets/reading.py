"""What the sheets take of stores: single tiles, whole images stitched of their tiles, and colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from PIL import Image as Pillow

from patchprobe.errors import StoreError
from patchprobe.tiles.patches import paint
from patchprobe.tiles.stitching import nearest, stitch

Image = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint8]

STRIPE = 110  # grey of the stripes on void
GAP = 225  # grey of pixels that no tile covers


@dataclass(frozen=True)
class Part:
    """What is shown of an image: some of its tiles by name, where they lie in it, (top, left), and their rows and columns
    there, all in px of the image as it was cut."""

    tiles: tuple[str, ...]
    corners: tuple[tuple[int, int], ...]
    cut: tuple[int, int]


@dataclass(frozen=True)
class Shown:
    """Pixels of a part of an image, uint8 (y, x, channel) or class ids (y, x), and which of them a tile covers."""

    pixels: npt.NDArray[np.uint8]
    covered: npt.NDArray[np.bool_]

    def shrunk(self, width: int) -> "Shown":
        """Return this with ``width`` columns, rows in proportion, if it has more: a picture averaged, ids the nearest."""
        rows, columns = self.covered.shape
        if columns <= width:
            return self
        height = max(1, round(rows * width / columns))
        y, x = nearest(rows, height)[:, None], nearest(columns, width)
        pixels = self.pixels[y, x]
        if self.pixels.ndim == 3:
            pixels = np.asarray(Pillow.fromarray(self.pixels).resize((width, height), Pillow.Resampling.BOX))
        return Shown(pixels, self.covered[y, x])


def part_of(store: xr.Dataset, tiles: Sequence[int]) -> Part:
    """Return the part of an image that the tiles at some places of a store of tiles or labels are."""
    size, own = store.attrs["tile_size"], store.isel(tile=list(tiles))
    corners = zip(own["top"].to_numpy().tolist(), own["left"].to_numpy().tolist(), strict=True)
    cut = (int(size[0]), int(size[1])) if isinstance(size, list) else (int(size), int(size))
    return Part(tuple(map(str, own["tile"].to_numpy())), tuple(corners), cut)


def pick(store: xr.Dataset, name: str, tiles: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Read some tiles of an array of a store, uint8 (tile, ...) with its other dimensions in their order.

    Nothing but the chunks of these tiles is read. Raises StoreError if one is not there.
    """
    every = store["tile"].to_numpy()
    places = [np.flatnonzero(every == tile) for tile in tiles]
    for tile, found in zip(tiles, places, strict=True):
        if len(found) != 1:
            where = store.encoding["source"]
            raise StoreError(f"{where} holds tile {tile!r} {len(found)} times, expected once; delete it and run again")
    return store[name].isel(tile=[int(found[0]) for found in places]).transpose("tile", ...).to_numpy()


def stitched(store: xr.Dataset, name: str, part: Part) -> Shown:
    """Read a part of an image out of a store of one level, ``image`` or ``label``; raises StoreError as :func:`pick`."""
    pixels, covered, _ = stitch(pick(store, name, part.tiles), part.corners, part.cut)
    return Shown(pixels, covered)


def predicted(store: xr.Dataset, method: str, part: Part, stored: tuple[int, int]) -> Shown:
    """Return the predictions of a part of an image, painted over the pixels of tiles of ``stored`` rows and columns, which is
    how they are scored. ``store`` is a prediction store of one level. Raises StoreError as :func:`pick`."""
    # As a dictionary, since sel has a parameter called method.
    ids = pick(store.sel({"method": method}), "prediction", part.tiles)
    rows, columns = int(store["patch_row"].max()) + 1, int(store["patch_col"].max()) + 1
    painted = paint(ids.reshape(len(ids), rows, columns), stored)
    pixels, covered, _ = stitch(painted, part.corners, part.cut)
    return Shown(pixels, covered)


def colour(shown: Shown, truths: xr.Dataset) -> Image:
    """Return the picture of pixels or of class ids, uint8 (y, x, 3), in the colours of the label store ``truths``.

    Void gets stripes, so that no class looks like it, and what no tile covers is grey.
    """
    image = shown.pixels.copy()
    if image.ndim == 2:
        ids, colors = image, np.zeros((256, 3), np.uint8)
        colors[truths.attrs["class_ids"]] = truths.attrs["class_colors"]
        image = colors[ids]
        diagonal = np.add.outer(np.arange(ids.shape[0]), np.arange(ids.shape[1]))
        void = ids == truths.attrs["void_id"]
        image[void] = np.where(diagonal * 28 // min(ids.shape) % 4 == 0, STRIPE, 0)[void, None]
    image[~shown.covered] = GAP
    return image


def share_right(found: Shown, truth: Shown, void: int) -> float:
    """Return the share of pixels with the class of the truth, void left out; NaN where all is void."""
    counted = truth.covered & (truth.pixels != void)
    return float((found.pixels == truth.pixels)[counted].mean()) if counted.any() else float("nan")
