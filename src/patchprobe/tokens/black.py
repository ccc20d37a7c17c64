"""The tokens of a black image, in which nothing is to be seen but the place of each patch."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr


def black_image(size: tuple[int, int]) -> xr.Dataset:
    """Return a tile store in memory with one image of ``size`` (rows, columns) px, black before it is normalised for a model."""
    tile = {"tile": ["black#r0c0"], "image_id": ("tile", ["black"]), "split": ("tile", ["train"])}
    pixels = np.zeros((1, 1, *size, 3), np.uint8)
    return xr.Dataset({"image": (("level", "tile", "y", "x", "channel"), pixels)}, coords={"level": [0.0], **tile})


def read_black(stores: Iterable[xr.Dataset], layer: int = -1) -> npt.NDArray[Any] | None:
    """Return the tokens (patches, features) of the black image in the only one of ``stores``, or None without a store.

    They are those of the last stored layer, or of the one at the place ``layer``.
    """
    for store in stores:
        return np.asarray(store.tokens.isel(level=0, layer=layer, tile=0).values)
    return None
