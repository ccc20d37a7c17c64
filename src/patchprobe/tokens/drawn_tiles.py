"""Tiles of a token store that are drawn for an analysis which does not need all."""

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.seeds import generator


def draw_tiles(features: xr.Dataset, split: str, number: int, *, seed: int, purpose: str) -> npt.NDArray[np.intp]:
    """Return where the store has ``number`` tiles of a split, in its order, or all if there are fewer.

    No image has two more of them than another that has tiles left. ``purpose`` keeps the draws of analyses apart.
    """
    own = np.flatnonzero(features.split.values == split)
    images = features.image_id.values[own]
    rng = generator(seed, purpose, split)
    in_image = np.empty(len(own), np.intp)  # each tile's turn in its image
    turn_of_image = np.empty(len(own), np.intp)  # and its image's among all
    names = np.unique(images)
    for turn, name in zip(rng.permutation(len(names)), names, strict=True):
        tiles = np.flatnonzero(images == name)
        in_image[tiles] = rng.permutation(len(tiles))
        turn_of_image[tiles] = turn
    return np.asarray(np.sort(own[np.lexsort((turn_of_image, in_image))[:number]]))
