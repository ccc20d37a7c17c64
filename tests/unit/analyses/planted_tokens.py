"""Stores whose tokens are known: brightness, row, column, class and heavy noise, each in features of its own."""

from types import SimpleNamespace

import numpy as np
import xarray as xr

SIDE, PX = 6, 8
FEATURES, NOISY, CLASSES = 24, 10, 4
BRIGHTNESS, ROW, COLUMN, SIGNAL = 0, 1, 2, slice(3, 3 + CLASSES)
NOISE = slice(FEATURES - NOISY, FEATURES)


def planted(images=16, tiles_per_image=2, *, turn=None, noise=100.0, axes=NOISY, seed=0):
    """Return ``tokens``, ``labels``, ``tiles`` as stores, and the plain tokens (tile, patch, feature) as ``values``.

    Tiles are of 6 x 6 grey patches of one class and one brightness each, drawn by themselves. Half of the images are for evaluation.
    ``turn`` (features, features) turns the tokens; the noise of the noisy features has so many ``axes``.
    """
    rng = np.random.default_rng(seed)
    count, places = images * tiles_per_image, SIDE * SIDE
    ids = rng.integers(0, CLASSES, (count, places))
    grey = rng.integers(0, 256, (count, places))
    row, column = np.divmod(np.arange(places), SIDE)
    values = np.zeros((count, places, FEATURES))
    values[..., BRIGHTNESS] = grey / 64
    values[..., ROW], values[..., COLUMN] = row / (SIDE - 1), column / (SIDE - 1)
    values[..., SIGNAL] = np.eye(CLASSES)[ids]
    values[..., NOISE] = noise * rng.standard_normal((count, places, axes))[..., np.arange(NOISY) % axes]
    turned = values if turn is None else values @ turn
    owners = [f"i{tile // tiles_per_image:02}" for tile in range(count)]
    split = ["evaluation" if tile < count // 2 else "train" for tile in range(count)]
    of_tiles = {
        "tile": [f"{owner}#{tile % tiles_per_image}" for tile, owner in enumerate(owners)],
        "image_id": ("tile", owners),
        "split": ("tile", split),
    }
    places_of = {"patch_row": ("patch", row), "patch_col": ("patch", column)}
    dims = ("level", "layer", "tile", "patch", "feature")

    def big(patches):
        return patches.reshape(count, SIDE, SIDE).repeat(PX, 1).repeat(PX, 2).astype(np.uint8)

    known = {"class_ids": list(range(CLASSES)), "class_names": ["road", "sky", "car", "pole"], "void_id": 255}
    image = big(grey)[None, ..., None].repeat(3, -1)
    return SimpleNamespace(
        values=values,
        ids=ids,
        tokens=xr.Dataset(
            {"tokens": (dims, turned[None, None])}, coords={**of_tiles, **places_of, "level": [0.0], "layer": [12]}
        ),
        labels=xr.Dataset({"label": (("tile", "y", "x"), big(ids))}, coords=of_tiles, attrs=known),
        tiles=xr.Dataset(
            {"image": (("level", "tile", "y", "x", "channel"), image)}, coords={**of_tiles, "level": [0.0]}
        ),
    )


def orthogonal(seed=1):
    """A turn of the space of tokens."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((FEATURES, FEATURES)))[0]
