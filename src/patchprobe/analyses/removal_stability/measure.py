"""How alike the removed features or directions are between data sets and between blocks.

Two sets of n features share so many; two subspaces of n directions have n principal angles (Björck and Golub, Math. Comp. 27,
1973, doi 10.1090/S0025-5718-1973-0348991-3). The mean of their squared cosines is the share of a subspace that the other has. For directions along the axes of
features it is the share of features, and two independent draws of n of N have n / N of each other on average in both cases.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from patchprobe.tokens.black import read_black
from patchprobe.tokens.directions import Directions
from patchprobe.tokens.labelled import labelled_tokens, training_split
from patchprobe.tokens.transforms import by_variance, feature_count
from patchprobe.tokens.variant_kinds import DIRECTIONS
from patchprobe.tokens.variants import directions_of, sample_of

PROTOCOL = "removal-stability-v1"
PAPER_FEATURES = 768
"""Features of the models of arXiv 2401.00463, of which it removes 200."""

_log = logging.getLogger(__name__)
Removed = dict[str, Directions]


def measure(
    tokens: Sequence[xr.Dataset],
    labels: Sequence[xr.Dataset],
    black: Sequence[xr.Dataset] = (),
    *,
    model: str,
    datasets: Sequence[str],
    removals: Sequence[str],
    features: float,
    directions: int,
    penalty: float,
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of a model: for every pair of data sets in the last block, and for every block of each data set.

    ``tokens``, ``labels`` and ``black`` are the stores of clean tokens, labels and black images of the ``datasets``, whose training tiles, or all where there
    are no others, are looked at. So many ``features`` (below 1 their share) or ``directions`` are compared, fewer where there are fewer. A block is
    compared with the last: the ``axis`` is ``block`` then, and ``at`` the number of the last.
    """
    common = {
        "model": model,
        "corruption": "clean",
        "level": 0.0,
        "method": "",
        "protocol": PROTOCOL,
        "class": "",
        "ci_low": np.nan,
        "ci_high": np.nan,
        "seed": seed,
        "spec": spec,
    }
    rows: list[dict[str, Any]] = []
    last: dict[str, Removed] = {}
    for place, (dataset, stored, ids) in enumerate(zip(datasets, tokens, labels, strict=True)):
        blocks = [int(block) for block in stored.layer.values]
        for layer in reversed(range(len(blocks))):
            sample = sample_of(
                labelled_tokens(stored, ids, training_split(stored), layer), read_black(black[place : place + 1], layer)
            )
            found: Removed = {}
            for removal in removals:
                key = f"removal_stability: {removal} of {model} on {dataset}, block {blocks[layer]}"
                if removal.removeprefix("drop-") in DIRECTIONS:
                    wanted = min(directions, sample.features - 1)
                    found[removal] = directions_of(
                        removal.removeprefix("drop-"), sample, wanted, key=key, penalty=penalty
                    )
                else:
                    found[removal] = axes(by_variance(sample.moments.variance), features)
            last.setdefault(dataset, found)
            place_of = {
                "dataset": dataset,
                "layer": blocks[layer],
                "axis": "block",
                "at": blocks[-1],
                "other_dataset": "",
            }
            rows += [common | place_of | row for row in _compared(found, last[dataset], f"{model} on {dataset}")]
    for one, other in combinations(datasets, 2):
        pair = {"dataset": one, "other_dataset": other, "layer": int(tokens[0].layer.values[-1]), "axis": "", "at": 0}
        rows += [common | pair | row for row in _compared(last[one], last[other], f"{model} on {one} and {other}")]
    return rows


def axes(order: np.ndarray[Any, Any], features: float) -> Directions:
    """Return the axes of the first features of an order: so many, or below 1 a share of them.

    Of a model that has no more features, as many as their share of 768, half of them at most.
    """
    total = len(order)
    count = feature_count(features, total)
    if count >= total:
        count = feature_count(min(features / PAPER_FEATURES, 0.5), total)
    return Directions(np.eye(total)[np.sort(order[:count])])


def principal_cosines(one: Directions, other: Directions) -> np.ndarray[Any, Any]:
    """Return the cosines of the principal angles between the spans of orthogonal directions, as many each, falling."""
    return np.clip(np.linalg.svd(one.vectors @ other.vectors.T, compute_uv=False), 0, 1)


def _compared(ones: Removed, others: Removed, of: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of every removal, of as many directions as both have."""
    for removal, one in ones.items():
        count, total = min(len(one), len(others[removal])), one.vectors.shape[1]
        if count == 0:
            _log.warning("%s: %s has no directions", of, removal)
            continue
        if len(one) != len(others[removal]):
            _log.warning("%s: %s is compared by %d directions, as many as both have", of, removal, count)
        cosines = principal_cosines(one.first(count), others[removal].first(count))
        kind = "subspace" if removal.removeprefix("drop-") in DIRECTIONS else "features"
        values = {f"shared_{kind}": float(np.square(cosines).mean()), f"shared_{kind}_by_chance": count / total}
        if kind == "subspace":
            angles = np.degrees(np.arccos(cosines))
            values |= {"principal_angle_mean": float(angles.mean()), "principal_angle_largest": float(angles.max())}
        for metric, value in values.items():
            yield {"variant": removal, "metric": metric, "value": value, "n": count}
