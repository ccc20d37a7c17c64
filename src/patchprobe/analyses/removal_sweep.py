"""Removal sweep: 1-NN and linear probe without the m features of highest variance (protocol section 5 f).

Everything is clean tokens of the last stored layer. Both classifiers are made anew for every m, from what is left of
the training tokens.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.errors import ConfigError
from patchprobe.labelled_tokens import LabelledTokens, grid, token_blocks
from patchprobe.neighbors import MemoryBank
from patchprobe.patch_scores import patch_scores
from patchprobe.probe_fitting import ProbeOptions, fit_probe
from patchprobe.variance import TransformedTokens, fit_transform

PROTOCOL = "removal-sweep-v1"

_log = logging.getLogger(__name__)


def counts_below(counts: Sequence[int], features: int) -> list[int]:
    """Return in rising order the numbers of removed features that leave at least one; the others are logged.

    Raises ConfigError if none is left.
    """
    kept = sorted(count for count in counts if count < features)
    if not kept:
        raise ConfigError(
            f"removal_sweep.features holds no number below {features}, the number of features of the model: add smaller ones"
        )
    if left_out := sorted(set(counts) - set(kept)):
        _log.warning(
            "the model has %d features: removing %s is left out", features, ", ".join(f"{count}" for count in left_out)
        )
    return kept


def sweep(
    training: LabelledTokens,
    features: xr.Dataset,
    counts: Sequence[int],
    options: ProbeOptions,
    *,
    seed: int,
    threads: int,
) -> dict[int, dict[str, npt.NDArray[np.uint8]]]:
    """Return class ids uint8 (tile, patch) of the evaluation patches for every number of removed features and method.

    ``features`` is the token store of clean tiles that ``training`` comes from.
    """
    tiles, patches = int((features.split == "evaluation").sum()), features.sizes["patch"]
    found: dict[int, dict[str, npt.NDArray[np.uint8]]] = {}
    for count in tqdm(counts, desc="removal sweep", file=sys.stderr, mininterval=5):
        entry = {"transform": "drop-top-variance", "features": count}
        transform = fit_transform(entry, training.tokens, key="removal_sweep")
        left = transform(training.tokens)
        blocks = [TransformedTokens(block, transform) for block in token_blocks(features, level=0)]
        nearest, _ = MemoryBank(left).search(blocks, threads=threads)
        probe = fit_probe(left, training.ids, training.images, options, seed=seed)
        linear = np.concatenate([probe.predict(np.asarray(block)) for block in blocks])
        found[count] = {
            "1-nn": training.ids[nearest].reshape(tiles, patches),
            "linear": linear.astype(np.uint8).reshape(tiles, patches),
        }
    return found


def score(
    found: Mapping[int, Mapping[str, npt.NDArray[np.uint8]]],
    features: xr.Dataset,
    labels: xr.Dataset,
    *,
    dataset: str,
    model: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every number of removed features, method, metric and class.

    ``found`` is what :func:`sweep` returns for the token store ``features``, ``labels`` the label store of the data set.
    Raises DataError if nothing that was classified has a class.
    """
    evaluated = features.isel(tile=np.flatnonzero(features.split.values == "evaluation"))
    maps = labels.label.sel(tile=evaluated.tile.values).values
    rows = []
    for removed, methods in found.items():
        for method, ids in methods.items():
            common = {
                "dataset": dataset,
                "model": model,
                "variant": "",
                "removed": removed,
                "layer": int(features.layer.values[-1]),
                "corruption": "clean",
                "level": 0.0,
                "method": method,
                "protocol": PROTOCOL,
                "feature": -1,
                "seed": seed,
                "spec": spec,
            }
            images = evaluated.image_id.values
            of = f"{dataset} on clean tiles"
            scores = patch_scores(
                ids, grid(features), maps, images, labels.attrs, of=of, bootstrap=bootstrap, seed=seed
            )
            rows += [common | score for score in scores]
    return rows
