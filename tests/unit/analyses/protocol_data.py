"""Made-up token and label stores, as they are read, whose patches hold several classes and void."""

import numpy as np
import xarray as xr

CLASSES = {"class_ids": [1, 2, 4, 7], "class_names": ["a", "b", "c", "d"], "void_id": 0}
GRID = (3, 4)


def stores(seed=0, images=12, evaluated=4, tiles=2, shape=(12, 16), features=10):
    """Return tokens (level, layer, tile, patch, feature) and label maps (tile, y, x) of all tiles.

    The first images are evaluated. Regions run across patches; tokens are the shares of the classes, with noise.
    """
    rng = np.random.default_rng(seed)
    total = images * tiles
    coarse = rng.choice([0, 1, 2, 4, 7], p=[0.12, 0.3, 0.28, 0.2, 0.1], size=(total, 4, 5)).astype(np.uint8)
    rows, columns = np.arange(shape[0]) * 4 // shape[0], np.arange(shape[1]) * 5 // shape[1]
    maps = coarse[:, rows[:, None], columns]
    names = [f"i{t // tiles:02d}#r0c{t % tiles}" for t in range(total)]
    coordinates = {
        "tile": names,
        "image_id": ("tile", [name.split("#")[0] for name in names]),
        "split": ("tile", ["evaluation" if t < evaluated * tiles else "train" for t in range(total)]),
    }
    row, column = np.divmod(np.arange(GRID[0] * GRID[1]), GRID[1])
    patch_of = np.arange(shape[0])[:, None] * GRID[0] // shape[0] * GRID[1] + np.arange(shape[1]) * GRID[1] // shape[1]
    mixing = rng.standard_normal((5, features)) + 0.5
    onehot = maps[..., None] == np.array([0, *CLASSES["class_ids"]])
    shares = np.stack([onehot[:, patch_of == p].mean(axis=1) for p in range(len(row))], axis=1)
    tokens = shares @ mixing + 0.3 * rng.standard_normal((total, len(row), features)) * np.linspace(0.5, 3, features)
    stored = xr.Dataset(
        {"tokens": (("level", "layer", "tile", "patch", "feature"), tokens[None, None].astype(np.float32))},
        coords=coordinates
        | {"level": [0.0], "layer": [12], "patch_row": ("patch", row), "patch_col": ("patch", column)},
    )
    return stored, xr.Dataset({"label": (("tile", "y", "x"), maps)}, coords=coordinates, attrs=dict(CLASSES))


def split(features, labels, name):
    """Return tokens (tile, patch, feature), label maps and images of a split, as plain arrays."""
    here = features.split.values == name
    return features.tokens.values[0, 0, here], labels.label.values[here], features.image_id.values[here]


def patch_pixels(maps, grid=GRID):
    """Return the pixels of every patch (tile, patch, pixel), for a grid that divides the maps."""
    high, wide = maps.shape[1] // grid[0], maps.shape[2] // grid[1]
    cut = maps.reshape(len(maps), grid[0], high, grid[1], wide).transpose(0, 1, 3, 2, 4)
    return cut.reshape(len(maps), grid[0] * grid[1], high * wide)


def majority(pixels):
    """The most frequent id of each patch, the smaller of equals."""
    return np.array([[np.bincount(p).argmax() for p in tile] for tile in pixels])
