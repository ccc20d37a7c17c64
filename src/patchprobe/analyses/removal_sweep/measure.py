"""Removal sweep: 1-NN and linear probe without the m features of highest variance (protocol section 5 f).

Everything is clean tokens of the last stored layer. The nearest neighbours for all m come from one pass; the probes,
one for each m on what is left of the training tokens, are fitted together.
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
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.probes.fitting import ProbeOptions, fit_probes
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.tokens.labelled import LabelledTokens, labelled_tokens, token_blocks
from patchprobe.tokens.transforms import FeatureTransform, by_variance, moments

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
    device: str = "cpu",
) -> dict[int, dict[str, npt.NDArray[np.uint8]]]:
    """Return class ids uint8 (tile, patch) of the evaluation patches for every number of removed features and method.

    ``features`` is the token store of clean tiles that ``training`` comes from; ``device`` is where neighbours are
    searched.
    """
    tiles, patches = int((features.split == "evaluation").sum()), features.sizes["patch"]
    order = by_variance(moments(training.tokens)[1])
    blocks = list(token_blocks(features, level=0))
    with tqdm(total=tiles * patches, desc="1-NN sweep", unit="patch", file=sys.stderr, mininterval=5) as bar:
        bank = SweepBank(training.tokens, order, counts, device=device)
        nearest = bank.search(blocks, threads=threads, progress=bar.update)
    linear = _by_probes(training, order, counts, blocks, options, seed=seed)
    return {
        count: {
            "1-nn": training.ids[nearest[count]].reshape(tiles, patches),
            "linear": linear[count].reshape(tiles, patches),
        }
        for count in counts
    }


def _by_probes(
    training: LabelledTokens,
    order: npt.NDArray[np.int64],
    counts: Sequence[int],
    blocks: Sequence[Any],
    options: ProbeOptions,
    *,
    seed: int,
) -> dict[int, npt.NDArray[np.uint8]]:
    """Return class ids (patches,) of all blocks by a probe without the first ``count`` features of ``order``."""
    none = np.empty(0, np.int64)
    transforms = [FeatureTransform(len(order), np.sort(order[count:]), none) for count in counts]
    probes = fit_probes(training.tokens, training.ids, training.images, transforms, options, seed=seed)
    found: dict[int, list[npt.NDArray[np.uint8]]] = {count: [] for count in counts}
    for block in tqdm(blocks, desc="probe sweep", unit="block", file=sys.stderr, mininterval=5):
        tokens = np.asarray(block)
        for count, transform, probe in zip(counts, transforms, probes, strict=True):
            found[count].append(probe.predict(transform(tokens)).astype(np.uint8).ravel())
    return {count: np.concatenate(parts) for count, parts in found.items()}


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
    rows = []
    for removed, methods in found.items():
        for method, ids in methods.items():
            own: dict[str, Any] = {
                "model": model,
                "method": method,
                "axis": "removed_features",
                "at": removed,
                "protocol": PROTOCOL,
            }
            own |= {"bootstrap": bootstrap, "seed": seed, "spec": spec}
            rows += clean_rows(ids, features, labels, dataset=dataset, **own)
    return rows


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    features: Sequence[int],
    linear: Mapping[str, Any],
    probe: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the rows of :func:`score` from stores and the options of the config.

    ``features`` are the numbers to remove, ``linear`` and ``probe`` the options of
    :class:`patchprobe.probes.fitting.ProbeOptions`.
    """
    counts = counts_below(features, tokens.sizes["feature"])
    training = labelled_tokens(tokens, labels, "train")
    options = ProbeOptions(**linear, **probe)
    found = sweep(training, tokens, counts, options, seed=seed, threads=threads, device=device)
    return score(found, tokens, labels, seed=seed, **columns)
