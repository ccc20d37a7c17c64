"""Made-up token and label stores, as analyses read them."""

import numpy as np
import xarray as xr

VOID = 255
GRID = (4, 4)
CLASSES = ["road", "sky", "Car", "pole"]
BOOTSTRAP = {"resamples": 100, "level": 0.9}


def stores(signal, images=12, tiles_per_image=2, features=6, seed=0):
    """Return the token and the label store of images of 4 x 4 patches of 2 x 2 px, the first of every tile void.

    ``signal`` has for each layer how far apart the classes lie, in standard deviations of the noise. The first half of
    the images is for evaluation; the last class is in no image.
    """
    rng = np.random.default_rng(seed)
    tiles = images * tiles_per_image
    labels = rng.integers(0, len(CLASSES) - 1, (tiles, 16)).astype(np.uint8)
    labels[:, 0] = VOID
    centres = rng.standard_normal((len(CLASSES), features))
    tokens = np.stack(
        [apart * centres[labels % len(CLASSES)] + rng.standard_normal((tiles, 16, features)) for apart in signal]
    )
    owners = [f"i{t // tiles_per_image:02}" for t in range(tiles)]
    row, column = np.divmod(np.arange(16), GRID[1])
    coordinates = {
        "tile": [f"{owner}#{t % tiles_per_image}" for t, owner in enumerate(owners)],
        "image_id": ("tile", owners),
        "split": ("tile", ["evaluation" if t < tiles // 2 else "train" for t in range(tiles)]),
    }
    token_store = xr.Dataset(
        {"tokens": (("level", "layer", "tile", "patch", "feature"), tokens[None].astype(np.float32))},
        coords=coordinates
        | {
            "level": [0.0],
            "layer": np.arange(1, len(signal) + 1),
            "patch_row": ("patch", row),
            "patch_col": ("patch", column),
        },
    )
    maps = labels.reshape(tiles, *GRID).repeat(2, 1).repeat(2, 2)
    attributes = {"class_ids": [0, 1, 2, 3], "class_names": CLASSES, "void_id": VOID}
    return token_store, xr.Dataset({"label": (("tile", "y", "x"), maps)}, coords=coordinates, attrs=attributes)
