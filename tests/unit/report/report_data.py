"""Made-up measurements and stores for the tests of the report."""

import numpy as np
import pandas as pd

from patchprobe.analyses.sheets import report as sheets
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

LEVELS = {
    "blur": [3, 5, 9, 17], "noise": [10, 25, 50, 100], "band-noise": [0.05, 0.18, 0.43, 0.83],
    "shift": [1, 2, 3, 4], "rotate": [5, 10, 15, 20], "scale": [0.8, 0.9, 1.1, 1.2],
}  # fmt: skip
MODELS = ["supervised", "dino", "dinov2", "ibot", "mae", "simmim", "scalemae"]
CLASSES = ["sky", "building", "column_pole", "road", "sidewalk", "tree", "sign symbol", "fence", "car", "bicyclist"]


def measurement_rows(models=MODELS, datasets=("camvid",), corruptions=LEVELS, classes=CLASSES, intervals=True):
    """Return rows of every metric on clean and corrupted tiles; the last class is absent."""
    draw = np.random.default_rng(0)
    rows = []
    for dataset in datasets:
        for rank, model in enumerate(models):
            for method in ("1-nn", "linear"):
                top = 0.65 - 0.07 * rank + 0.08 * (method == "linear")
                versions = [("clean", 0.0, 0)]
                versions += [(c, v, i + 1) for c, levels in corruptions.items() for i, v in enumerate(levels)]
                for corruption, level, strength in versions:
                    score = max(top - 0.05 * strength, 0.02)
                    key = {
                        "dataset": dataset, "model": model, "variant": "", "axis": "", "at": 0.0, "layer": 12,
                        "corruption": corruption, "level": float(level), "method": method,
                        "protocol": "patch-classification-v1", "feature": -1, "n": 1000, "seed": 0, "spec": "ab12",
                    }  # fmt: skip
                    for metric in ("patch_accuracy", "pixel_accuracy", "patch_miou", "pixel_miou"):
                        value = score + 0.2 * metric.endswith("accuracy") + draw.uniform(-0.02, 0.02)
                        half = draw.uniform(0.01, 0.04) if intervals else np.nan
                        rows.append(_row(key, metric, "", value, half))
                    for name in classes:
                        absent = name == classes[-1]
                        for metric in ("patch_iou", "pixel_iou"):
                            value = np.nan if absent else np.clip(score + draw.uniform(-0.3, 0.3), 0, 1)
                            rows.append(_row(key, metric, name, value, 0.02 if intervals and not absent else np.nan))
    return pd.DataFrame(rows)


def _row(key, metric, name, value, half):
    ends = {"ci_low": value - half, "ci_high": value + half}
    return key | {"metric": metric, "class": name, "value": float(value)} | ends


def spectrum_rows(models=MODELS, datasets=("camvid",), features=768, huge=3):
    """Return the variance of every feature; those of the models at odd places have a few huge ones."""
    draw = np.random.default_rng(1)
    rows = []
    for dataset in datasets:
        for rank, model in enumerate(models):
            values = np.sort(draw.lognormal(-rank, 0.5, features))
            values[draw.permutation(features)[:huge]] *= 1000 if rank % 2 else 1
            common = {
                "dataset": dataset, "model": model, "variant": "", "axis": "", "at": 0.0, "layer": 12, "corruption": "clean",
                "level": 0.0, "method": "", "protocol": "variance-spectrum-v1", "class": "",
                "metric": "feature_variance", "ci_low": np.nan, "ci_high": np.nan, "n": 500, "seed": 0, "spec": "cd34",
            }  # fmt: skip
            rows += [common | {"feature": i, "value": float(v)} for i, v in enumerate(values)]
    return pd.DataFrame(rows)


def sweep_rows(counts=(0, 10, 200), models=MODELS, datasets=("camvid",), fewer=(), intervals=True):
    """Return the rows of a removal sweep; models named in ``fewer`` lack the last count."""
    parts = []
    for count in counts:
        part = measurement_rows(
            [m for m in models if count != counts[-1] or m not in fewer], datasets, {}, CLASSES[:3], intervals
        )
        # Each count has numbers of its own.
        change = np.random.default_rng(count).uniform(0, 0.2, len(part))
        for column in ("value", "ci_low", "ci_high"):
            part[column] -= change
        parts.append(part.assign(axis="removed_features", at=count, protocol="removal-sweep-v1"))
    return pd.concat(parts, ignore_index=True)


def variant_rows(rows, model, names):
    """Return rows with variants of a model added, each a little worse than the one before."""
    own = rows[rows["model"] == model]
    more = [own.assign(variant=name, value=own["value"] * 0.9 ** (i + 1)) for i, name in enumerate(names)]
    for part in more:
        part[["ci_low", "ci_high"]] = np.nan
    return pd.concat([rows, *more], ignore_index=True)


def classes_csv(path, classes=CLASSES):
    """Write the classes table of a data set, void last."""
    rows = [
        {"split": split, "id": i, "name": name, "images": 2 + i, "pixels": 1000 * (i + 1) + (split == "train")}
        for split in ("train", "evaluation")
        for i, name in [*enumerate(classes), (255, "void")]
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def label_stores(folder, corruptions=None, models=("dino",), images=2, tiles=3, size=64, void=255):
    """Write small tile, label and prediction stores of one data set; returns their paths by kind and name.

    The tiles of an image stand in a row and overlap by a quarter of their width.
    """
    draw = np.random.default_rng(3)
    ids = [f"{'train' if i >= images else 'val'}/{i}" for i in range(images + 1) for _ in range(tiles)]
    names = [f"{image}#r0c{i % tiles}" for i, image in enumerate(ids)]
    splits = ["train" if image.startswith("train") else "evaluation" for image in ids]
    coarse = draw.integers(0, len(CLASSES), (len(ids), 4, 4), np.uint8)
    coarse[:, 0, 0] = void
    coarse[::tiles] = coarse[::tiles, :1, 1:2]  # the first tile of every image shows one class
    labels = coarse.repeat(size // 4, 1).repeat(size // 4, 2)
    colors = draw.integers(0, 256, (256, 3)).astype(np.uint8)
    pictures = np.clip(colors[labels] * 0.7 + draw.integers(0, 60, (len(ids), size, size, 3)), 0, 255)
    pictures = pictures.astype(np.uint8)
    evaluated = [i for i, split in enumerate(splits) if split == "evaluation"]

    def write(path, name, data, dims, kept, **coordinates):
        with build_store(path, spec="{}", code="c") as build:
            build.array(name, data.shape, data.shape, data.dtype, dims)[...] = data
            for key, values in {"tile": names, "image_id": ids, "split": splits}.items():
                build.coordinate(key, [values[i] for i in kept], ("tile",))
            build.coordinate("top", np.zeros(len(kept), np.int64), ("tile",))
            build.coordinate("left", np.array([i % tiles * size * 3 // 4 for i in kept], np.int64), ("tile",))
            for key, (dim, values) in coordinates.items():
                build.coordinate(key, values, (dim,))
            build.attributes(corruption=path.stem, tile_size=size)
            if name == "label":
                shown = [colors[i].tolist() for i in range(len(CLASSES))]
                build.attributes(
                    class_ids=list(range(len(CLASSES))),
                    class_names=CLASSES,
                    class_colors=shown,
                    void_id=void,
                    supercategories=None,
                )
        return path

    everything = range(len(ids))
    paths = {"labels": write(folder / "labels.zarr", "label", labels, ("tile", "y", "x"), everything)}
    dims = ("level", "tile", "y", "x", "channel")
    levels = {"level": ("level", [0.0])}
    paths["tiles"] = {"clean": write(folder / "tiles/clean.zarr", "image", pictures[None], dims, everything, **levels)}
    for name, values in (corruptions or {}).items():
        data = np.stack([pictures[evaluated] // (i + 2) for i in range(len(values))])
        levels = {"level": ("level", np.array(values, float))}
        paths["tiles"][name] = write(folder / f"tiles/{name}.zarr", "image", data, dims, evaluated, **levels)
    paths["predictions"] = {}
    row, col = np.divmod(np.arange(16), 4)
    for model in models:
        data = np.where(coarse == void, 0, coarse)[evaluated].reshape(1, 1, len(evaluated), 16)
        data = np.concatenate([data, (data + 1) % len(CLASSES)]).astype(np.uint8)
        paths["predictions"][model] = write(
            folder / f"predictions/{model}/clean.zarr", "prediction", data, ("method", "level", "tile", "patch"),
            evaluated, method=("method", ["1-nn", "linear"]), level=("level", [0.0]),
            patch_row=("patch", row), patch_col=("patch", col),
        )  # fmt: skip
    return paths


def corruption_sheet(tiles, labels, outputs, *, images):
    """Draw the sheet of stores at paths, tile stores by corruption."""
    opened = [open_store(path) for path in tiles.values()]
    sheets.corruption_sheet(opened, open_store(labels), outputs, images=images, dataset="camvid")


def segmentation_sheet(tiles, labels, predictions, outputs, *, images, **options):
    """Draw the sheet of stores at paths, prediction stores by model, whose scores are made up."""
    opened = [open_store(path) for path in predictions.values()]
    own = {"models": list(predictions), "methods": ["1-nn", "linear"], "most": len(predictions), "images": images}
    rows = measurement_rows(list(predictions), corruptions={}, classes=[])
    sheets.segmentation_sheet(
        open_store(tiles), open_store(labels), opened, rows, outputs, **own | options, dataset="camvid"
    )
