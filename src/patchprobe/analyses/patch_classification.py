"""Patch classification by exact 1-NN and by a linear probe (protocol section 5).

Both learn from clean training patches and classify the evaluation patches of one version of a data set, clean or
corrupted, at each of its levels. A variant of the model sees all patches through its transform.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.labelled_tokens import LabelledTokens, grid, token_blocks
from patchprobe.neighbors import MemoryBank
from patchprobe.patch_scores import METHODS, patch_scores
from patchprobe.probes import LinearProbe
from patchprobe.stores import Build
from patchprobe.variance import FeatureTransform, TransformedTokens

PROTOCOL = "patch-classification-v1"


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
    training: LabelledTokens,
    probe: LinearProbe,
    features: xr.Dataset,
    transform: FeatureTransform,
    *,
    threads: int,
    device: str = "cpu",
) -> Predictions:
    """Classify the evaluation tokens (last stored layer, all levels) of a token store by both methods.

    ``probe`` was fitted on the training tokens as ``transform`` gives them; ``device`` is where neighbours are searched.
    """
    evaluated = np.flatnonzero(features.split.values == "evaluation")
    levels, patches = features.sizes["level"], features.sizes["patch"]
    ids = np.empty((len(METHODS), levels, len(evaluated), patches), np.uint8)
    bank = MemoryBank(transform(training.tokens), device=device)
    with tqdm(
        total=levels * len(evaluated) * patches, desc="1-NN", unit="patch", file=sys.stderr, mininterval=5
    ) as bar:
        for level in range(levels):
            blocks = (TransformedTokens(block, transform) for block in token_blocks(features, level))
            nearest, _ = bank.search(blocks, threads=threads, progress=bar.update)
            ids[0, level] = training.ids[nearest].reshape(len(evaluated), patches)
    for level in range(levels):
        found = [probe.predict(transform(np.asarray(block))) for block in token_blocks(features, level)]
        ids[1, level] = np.concatenate(found).reshape(len(evaluated), patches)
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
    variant: str,
    corruption: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every method, level, metric and class, with intervals over images.

    ``truth`` is the label maps (level, tile, y, x) and ``classes`` the attributes of the label store; ``variant`` is
    the variant's name, empty for the model as it is. Raises DataError if nothing that was classified has a class.
    """
    maps = truth.sel(tile=predictions.tiles).values
    rows = []
    for level, value in enumerate(predictions.levels):
        for method, ids in zip(METHODS, predictions.ids[:, level], strict=True):
            common = {
                "dataset": dataset,
                "model": model,
                "variant": variant,
                "removed": 0,
                "layer": predictions.layer,
                "corruption": corruption,
                "level": float(value),
                "method": method,
                "protocol": PROTOCOL,
                "feature": -1,
                "seed": seed,
                "spec": spec,
            }
            scores = patch_scores(
                ids,
                predictions.grid,
                maps[level],
                predictions.images,
                classes,
                of=f"{dataset} under {corruption} at level {value:g}",
                bootstrap=bootstrap,
                seed=seed,
            )
            rows += [common | score for score in scores]
    return rows
