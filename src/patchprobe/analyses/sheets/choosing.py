"""Which images, tiles and models the sheets show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.errors import StoreError


def choose_images(labels: xr.Dataset, images: int) -> list[str]:
    """Return the ids of ``images`` evaluation images, spread evenly over their order, the first among them.

    ``labels`` is a label store. Fewer are returned where it has fewer. Raises StoreError if it holds no evaluation tile.
    """
    evaluation = labels["image_id"].to_numpy()[labels["split"].to_numpy() == "evaluation"]
    if not len(evaluation):
        raise StoreError(
            f"{labels.encoding.get('source', 'the label store')} holds no tile of the evaluation split; delete it and run again"
        )
    found = list(dict.fromkeys(evaluation.tolist()))
    number = min(images, len(found))
    return [str(found[i * len(found) // number]) for i in range(number)]


def choose_tile(labels: xr.Dataset, image_id: str) -> str:
    """Return the tile of an evaluation image with most classes, of equals the first; it looks at the truth alone."""
    tiles = tiles_of(labels, image_id)
    maps, void = labels["label"].isel(tile=tiles).to_numpy(), labels.attrs["void_id"]
    classes = [len(set(np.unique(tile).tolist()) - {void}) for tile in maps]
    return str(labels["tile"].to_numpy()[tiles[int(np.argmax(classes))]])


def choose_tiles(labels: xr.Dataset, images: int) -> list[str]:
    """Return a tile for each of the images that :func:`choose_images` returns, by :func:`choose_tile`."""
    return [choose_tile(labels, image_id) for image_id in choose_images(labels, images)]


def tiles_of(labels: xr.Dataset, image_id: str) -> npt.NDArray[np.intp]:
    """Return where a store has the evaluation tiles of an image, in their order."""
    own = (labels["image_id"].to_numpy() == image_id) & (labels["split"].to_numpy() == "evaluation")
    return np.flatnonzero(own)


def choose_models(scores: pd.Series, models: Sequence[str], most: int) -> list[str]:
    """Return ``models`` as they are, or of more than ``most`` so many, spread evenly over their ranking, best first.

    ``scores`` are their scores by name, of which equal ones stand by name. The first and the last of the ranking are always
    there, so that a choice never shows good ones alone.
    """
    if len(models) <= most:
        return list(models)
    ranking = sorted(models, key=lambda name: (-float(scores[name]), name))
    return [ranking[i * (len(ranking) - 1) // max(1, most - 1)] for i in range(most)]
