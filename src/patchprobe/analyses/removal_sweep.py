"""Removal sweep: 1-NN and linear probe without the m features of highest variance (protocol section 5 f).

Everything is clean tokens of the last stored layer. The nearest neighbours for all m come from one pass; the probe is
fitted anew for every m, on what is left of the training tokens.
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
from patchprobe.neighbor_sweep import nearest_without
from patchprobe.patch_scores import patch_scores
from patchprobe.probe_fitting import ProbeOptions, fit_probe
from patchprobe.variance import by_variance, fit_transform, moments

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
    order = by_variance(moments(training.tokens)[1])
    blocks = list(token_blocks(features, level=0))
    with tqdm(total=tiles * patches, desc="1-NN sweep", unit="patch", file=sys.stderr, mininterval=5) as bar:
        nearest = nearest_without(training.tokens, order, counts, blocks, threads=threads, progress=bar.update)
    found: dict[int, dict[str, npt.NDArray[np.uint8]]] = {}
    for count in tqdm(counts, desc="probe sweep", file=sys.stderr, mininterval=5):
        found[count] = {
            "1-nn": training.ids[nearest[count]].reshape(tiles, patches),
            "linear": _by_probe(training, blocks, count, options, seed=seed).reshape(tiles, patches),
        }
    return found


def _by_probe(
    training: LabelledTokens, blocks: Sequence[Any], count: int, options: ProbeOptions, *, seed: int
) -> npt.NDArray[np.uint8]:
    """Return class ids (patches,) of all blocks by a probe without the ``count`` features of highest variance."""
    entry = {"transform": "drop-top-variance", "features": count}
    transform = fit_transform(entry, training.tokens, key="removal_sweep")
    probe = fit_probe(transform(training.tokens), training.ids, training.images, options, seed=seed)
    return np.concatenate([probe.predict(transform(np.asarray(block))) for block in blocks]).astype(np.uint8)


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
