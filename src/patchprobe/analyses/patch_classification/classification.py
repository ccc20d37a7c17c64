"""Patch classification by exact 1-NN and by a linear probe (protocol section 5).

Both learn from clean training patches and classify the evaluation patches of one version of a data set, clean or
corrupted, at each of its levels. A variant of the model sees all patches through its view.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.probes.linear import LinearProbe
from patchprobe.progress import Progress
from patchprobe.scoring.patch_scores import METHODS, patch_scores
from patchprobe.stores.build import Build
from patchprobe.tokens.labelled import LabelledTokens, grid, token_blocks
from patchprobe.tokens.variants import View, ViewedTokens

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


class PatchClassifier:
    """Both methods, ready to classify: the training tokens are in memory and indexed.

    ``probe`` was fitted on the training tokens as ``view`` gives them; ``device`` is where neighbours are searched.
    """

    def __init__(
        self,
        training: LabelledTokens,
        probe: LinearProbe,
        view: View,
        *,
        threads: int,
        device: str = "cpu",
    ) -> None:
        self._bank = MemoryBank(view(training.tokens, training.places), device=device)
        self._ids = training.ids
        self._probe = probe
        self._view = view
        self._threads = threads

    def classify(
        self, features: xr.Dataset, level: int, progress: Callable[[int], object] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return the class ids uint8 (method, tile, patch) of the evaluation tokens of a level (last stored layer).

        ``progress`` hears of queries as they are searched.
        """
        shape = int((features.split == "evaluation").sum()), features.sizes["patch"]
        blocks = (ViewedTokens(block, self._view) for block in token_blocks(features, level))
        nearest, _ = self._bank.search(blocks, threads=self._threads, progress=progress)
        probed = [self._probe.predict(self._view(np.asarray(block))) for block in token_blocks(features, level)]
        # In the order of METHODS.
        return np.stack([self._ids[nearest].reshape(shape), np.concatenate(probed).astype(np.uint8).reshape(shape)])


def write_predictions(build: Build, features: xr.Dataset, classifier: Callable[[], PatchClassifier]) -> None:
    """Classify the evaluation tokens of a token store and write ``prediction`` uint8 (method, level, tile, patch).

    Level by level, each kept when the job is killed; ``classifier`` is made only if a level is left. The grid stands in
    the coordinates of patches, the layer in the attribute ``layer``.
    """
    evaluated = np.flatnonzero(features.split.values == "evaluation")
    tiles, patches = len(evaluated), features.sizes["patch"]
    rows, columns = np.divmod(np.arange(patches), grid(features)[1])
    shape = (len(METHODS), features.sizes["level"], tiles, patches)
    dims = ("method", "level", "tile", "patch")
    array = build.array("prediction", shape, (len(METHODS), 1, tiles, patches), np.uint8, dims, compress=True)
    build.coordinate("method", METHODS, ("method",))
    build.coordinate("level", features.level.values, ("level",))
    build.coordinate("tile", features.tile.values[evaluated], ("tile",))
    build.coordinate("image_id", features.image_id.values[evaluated], ("tile",))
    build.coordinate("patch_row", rows, ("patch",))
    build.coordinate("patch_col", columns, ("patch",))
    build.attributes(protocol=PROTOCOL, layer=int(features.layer.values[-1]))
    levels = {f"level {level}": level for level in range(shape[1])}
    pending = build.pending(list(levels))
    if not pending:
        return
    ready, each = classifier(), tiles * patches
    with Progress(
        file=sys.stderr,
        total=len(levels) * each,
        initial=(len(levels) - len(pending)) * each,
        desc="1-NN",
        unit="patch",
    ) as progress:
        for unit in pending:
            array[:, levels[unit]] = ready.classify(features, levels[unit], progress.update)
            build.finish(unit)


def read_predictions(store: xr.Dataset) -> Predictions:
    """Return what :func:`write_predictions` wrote, from the open store."""
    return Predictions(
        store.prediction.values,
        store.level.values,
        store.tile.values,
        store.image_id.values,
        grid(store),
        int(store.attrs["layer"]),
    )


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
