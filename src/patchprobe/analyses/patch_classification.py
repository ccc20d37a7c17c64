"""Patch classification by exact 1-NN and by a linear probe (protocol section 5).

Both learn from clean training patches and classify the evaluation patches of one version of a data set, clean or
corrupted, at each of its levels. Scores are counted over patches and, with each patch's prediction painted over its
pixels, over pixels.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.bootstrap import percentile_intervals
from patchprobe.errors import DataError
from patchprobe.labelled_tokens import LabelledTokens, grid, token_blocks
from patchprobe.metrics import accuracy, class_iou, confusion_matrices, mean_iou
from patchprobe.neighbors import MemoryBank
from patchprobe.patches import paint, patch_labels
from patchprobe.probes import LinearProbe
from patchprobe.stores import Build

PROTOCOL = "patch-classification-v1"
METHODS = ("1-nn", "linear")
_METRICS = {"accuracy": accuracy, "miou": mean_iou, "iou": class_iou}


@dataclass(frozen=True)
class Predictions:
    """Class ids for every evaluation patch: ``ids`` uint8 (method, level, tile, patch), ``grid`` (rows, columns)."""

    ids: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.float64]
    tiles: npt.NDArray[np.str_]
    images: npt.NDArray[np.str_]
    grid: tuple[int, int]
    layer: int


def classify_patches(
    training: LabelledTokens, probe: LinearProbe, features: xr.Dataset, *, threads: int
) -> Predictions:
    """Classify the evaluation tokens (last stored layer, all levels) of a token store by both methods."""
    evaluated = np.flatnonzero(features.split.values == "evaluation")
    levels, patches = features.sizes["level"], features.sizes["patch"]
    ids = np.empty((len(METHODS), levels, len(evaluated), patches), np.uint8)
    bank = MemoryBank(training.tokens)
    with tqdm(
        total=levels * len(evaluated) * patches, desc="1-NN", unit="patch", file=sys.stderr, mininterval=5
    ) as bar:
        for level in range(levels):
            nearest, _ = bank.search(token_blocks(features, level), threads=threads, progress=bar.update)
            ids[0, level] = training.ids[nearest].reshape(len(evaluated), patches)
    for level in range(levels):
        blocks = [probe.predict(np.asarray(block)) for block in token_blocks(features, level)]
        ids[1, level] = np.concatenate(blocks).reshape(len(evaluated), patches)
    return Predictions(
        ids,
        features.level.values,
        features.tile.values[evaluated],
        features.image_id.values[evaluated],
        grid(features),
        int(features.layer.values[-1]),
    )


def write_predictions(build: Build, predictions: Predictions) -> None:
    """Write predictions as a store: ``prediction`` (method, level, tile, patch), the grid as coordinates of patches."""
    rows, columns = np.divmod(np.arange(predictions.ids.shape[-1]), predictions.grid[1])
    dims = ("method", "level", "tile", "patch")
    build.array("prediction", predictions.ids.shape, predictions.ids.shape, np.uint8, dims, compress=True)[...] = (
        predictions.ids
    )
    build.coordinate("method", METHODS, ("method",))
    build.coordinate("level", predictions.levels, ("level",))
    build.coordinate("tile", predictions.tiles, ("tile",))
    build.coordinate("image_id", predictions.images, ("tile",))
    build.coordinate("patch_row", rows, ("patch",))
    build.coordinate("patch_col", columns, ("patch",))
    build.attributes(protocol=PROTOCOL)


def score(
    predictions: Predictions,
    truth: xr.DataArray,
    classes: Mapping[str, Any],
    *,
    dataset: str,
    model: str,
    corruption: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every method, level, metric and class, with intervals over images.

    ``truth`` is the label maps (level, tile, y, x) and ``classes`` the attributes of the label store. Every interval
    is from the same draws of images, so that models can be compared draw by draw.
    """
    maps = truth.sel(tile=predictions.tiles).values
    names, image = np.unique(predictions.images, return_inverse=True)
    rows = []
    for level, value in enumerate(predictions.levels):
        patch_truth = patch_labels(maps[level], predictions.grid).reshape(len(image), -1)
        for method, ids in zip(METHODS, predictions.ids[:, level], strict=True):
            painted = paint(ids.reshape(len(image), *predictions.grid), maps.shape[-2:])
            for unit, (expected, found, of) in {
                "patch": (patch_truth, ids, image[:, None]),
                "pixel": (maps[level], painted, image[:, None, None]),
            }.items():
                confusions = confusion_matrices(
                    expected,
                    found,
                    of,
                    images=len(names),
                    class_ids=classes["class_ids"],
                    void=classes["void_id"],
                )
                if not confusions.any():
                    raise DataError(
                        f"no {unit} of {dataset} under {corruption} at level {value:g} has a class: take a weaker level "
                        f"of corruptions.{corruption}, or draw other evaluation images"
                    )
                common = {
                    "dataset": dataset,
                    "model": model,
                    "variant": "",
                    "layer": predictions.layer,
                    "corruption": corruption,
                    "level": float(value),
                    "method": method,
                    "protocol": PROTOCOL,
                    "n": int(confusions.sum()),
                    "seed": seed,
                    "spec": spec,
                }
                scores = _scores(confusions, unit, classes["class_names"], bootstrap, seed)
                rows += [common | row for row in scores]
    return rows


def _scores(
    confusions: npt.NDArray[np.int64],
    unit: str,
    names: list[str],
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    intervals = percentile_intervals(confusions, _METRICS, **bootstrap, rng=rng)
    total = confusions.sum(axis=0)
    for metric, function in _METRICS.items():
        values = np.atleast_1d(function(total))
        low, high = (np.atleast_1d(end) for end in intervals[metric])
        for i, name in enumerate(names if metric == "iou" else [""]):
            yield {
                "class": name,
                "metric": f"{unit}_{metric}",
                "value": float(values[i]),
                "ci_low": float(low[i]),
                "ci_high": float(high[i]),
            }
