"""A small data set of drawn streets, with the tokens of real models, and its explorer."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from patchprobe.analyses.explorer import measure as explorer
from patchprobe.analyses.explorer import report
from patchprobe.datasets.adapters.synthetic import Synthetic, draw_scene
from patchprobe.models.backbone import load_model

SIDE, ROWS, COLUMNS = 32, 2, 4
HOSTILE = "</script><script>alert(1)</script>"
NAMES = ("road", HOSTILE, '"><img src=x onerror=alert(2)>', "vegetation", "sky", "pole", "car & <b>van</b>", "person")
MODELS = {
    "raw-pixels": {"source": "pixels", "patch_size": 8},
    "random-vit": {
        "source": "random",
        "architecture": "vit_tiny_patch16_224",
        "arguments": {"patch_size": 16, "depth": 1, "embed_dim": 48, "num_heads": 3},
        "seed": 0,
    },
}
VARIANTS = {
    "raw-pixels": {
        "drop-20": {"transform": "drop-top-variance", "features": 20},
        "flat": {"transform": "batch-norm"},
        "white": {"transform": "pca-whiten"},
    },
    "random-vit": {},
}
OPTIONS = {"images": 2, "tiles": 8, "neighbors": 4}
REMOVED = [0, 10, 40, 100]


def stores(images=3):
    """Return tile and label store, and the token stores of the models, of so many images in each split."""
    names, pictures, maps = [], [], []
    for split in ("train", "val"):
        for number in range(images):
            image = f"{split}/scene{number:05d}"
            pixels, label = draw_scene(image, (ROWS * SIDE, COLUMNS * SIDE))
            for row in range(ROWS):
                for column in range(COLUMNS):
                    part = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
                    names.append((f"{image}#r{row}c{column}", image, "train" if split == "train" else "evaluation"))
                    pictures.append(pixels[part])
                    maps.append(label[part])
    coordinates = {
        key: ("tile", [name[i] for name in names]) for i, key in enumerate(("tile", "image_id", "split"))
    } | {"level": [0.0]}
    pixels = np.stack(pictures)
    places = np.indices((ROWS, COLUMNS)).reshape(2, -1) * SIDE
    sides = {side: ("tile", np.tile(place, 2 * images)) for side, place in zip(("top", "left"), places, strict=True)}
    data = {"image": (("level", "tile", "y", "x", "channel"), pixels[None])}
    tiles = xr.Dataset(data, coords=coordinates | sides, attrs={"tile_size": SIDE})
    attributes = {"class_ids": list(Synthetic.classes.ids), "class_names": list(NAMES), "void_id": 255}
    labels = xr.Dataset({"label": (("tile", "y", "x"), np.stack(maps))}, coords=coordinates, attrs=attributes)
    return tiles, labels, {name: tokens(name, pixels, coordinates) for name in MODELS}


def tokens(name, pixels, coordinates):
    """Return the token store of a model's last block."""
    model = load_model(name, MODELS[name], checkpoint_root=Path(), input_size=SIDE, device="cpu")
    images = torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float() / 255
    with torch.inference_mode():
        found = model.tokens((images - images.mean()) / images.std(), [model.blocks]).patch[0]
    rows, columns = model.grid
    values = found.reshape(len(pixels), rows * columns, -1).numpy()
    row, column = np.divmod(np.arange(rows * columns), columns)
    places = {"layer": [model.blocks], "patch_row": ("patch", row), "patch_col": ("patch", column)}
    dims = ("level", "layer", "tile", "patch", "feature")
    return xr.Dataset({"tokens": (dims, values[None, None])}, coords=coordinates | places)


def measured(tokens, labels, model, removed=REMOVED, **options):
    """Return the table and the neighbours of a model."""
    own = OPTIONS | {"dataset": "streets", "model": model, "variants": VARIANTS[model], "threads": 1, "spec": "s"}
    rows, texts = explorer.measure(tokens, labels, removed=removed, **(own | options))
    return rows, texts["neighbors"]


def written(folder, tiles, labels, features, **options):
    """Write the explorer of all models and return its path."""
    paths = []
    for model, store in features.items():
        paths.append(folder / f"{model}.json")
        paths[-1].write_text(measured(store, labels, model, **options)[1])
    page = folder / "explorer.streets.html"
    write_page(paths, tiles, labels, page, **options)
    return page


def write_page(paths, tiles, labels, page, **options):
    own = {key: (OPTIONS | options)[key] for key in ("images", "tiles")}
    report.page(
        sorted(paths),
        tiles,
        labels,
        [page],
        images=own["images"],
        tiles_of_image=own["tiles"],
        look=[],
        dataset="streets",
    )
