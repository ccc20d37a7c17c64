"""Overclustering: k-means of the standardised tokens of evaluation tiles, and how well clusters follow classes.

After the evaluation code of NeCo (github.com/vpariza/NeCo, MIT) and Leopart; docs/high-variance-features.md says what differs.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.cluster import KMeans

from patchprobe.analyses.overclustering.matching import (
    enlarged,
    match_by_precision,
    match_one_to_one,
    matched,
    mean_iou,
)
from patchprobe.analyses.overclustering.projection import fit_projection, moments_of_view
from patchprobe.analyses.token_contents.measure import parts_of
from patchprobe.errors import DataError
from patchprobe.progress import Progress
from patchprobe.scoring.bootstrap import percentile_intervals
from patchprobe.scoring.clean_scores import clean_columns
from patchprobe.seeds import generator
from patchprobe.tokens.black import read_black
from patchprobe.tokens.directions import moments_of
from patchprobe.tokens.labelled import TILES_PER_BLOCK, grid, labelled_tokens, token_blocks
from patchprobe.tokens.transforms import Moments, feature_count, joined_moments
from patchprobe.tokens.variants import Sample, View, fit_variant, sample_of

PROTOCOL = "overclustering-v1"
AXIS = "clusters"

_log = logging.getLogger(__name__)


def views_of(
    sample: Sample, removals: Sequence[str], features: float, *, penalty: float, seed: int, key: str
) -> Iterator[tuple[str, View]]:
    """Yield the model as it is (no name) and without what each removal takes, by name; arguments are those of
    :func:`patchprobe.analyses.token_contents.measure.parts_of`, and ``random`` removes as many random features."""
    others = [removal for removal in removals if removal != "random"]
    for name, view in parts_of(sample, others, features, penalty=penalty, seed=seed, key=key):
        if not name.startswith("keep-"):
            yield name, view
    count = feature_count(features, sample.features)
    if "random" in removals and count < sample.features:
        variant = {"transform": "drop-random", "features": count, "seed": seed}
        yield f"drop-random-{count}", fit_variant(variant, sample, key=f"{key}: drop-random")


def moments_of_all(tokens: xr.Dataset) -> Moments:
    """Return the moments of all patch tokens of the last layer, of training and evaluation tiles."""
    last = tokens.tokens.isel(level=0, layer=-1)
    blocks = (slice(start, start + TILES_PER_BLOCK) for start in range(0, tokens.sizes["tile"], TILES_PER_BLOCK))
    parts = (last.isel(tile=block).values.reshape(-1, tokens.sizes["feature"]) for block in blocks)
    return joined_moments([moments_of(part.astype(np.float32)) for part in parts])


def clustered(
    points: npt.NDArray[np.float32],
    clusters: int,
    *,
    restarts: int,
    iterations: int,
    points_per_cluster: int,
    seed: int,
) -> npt.NDArray[np.int32]:
    """Return the cluster (n,) of each of ``points`` (n, components), by k-means on so many drawn points for each cluster."""
    most = clusters * points_per_cluster
    rng = generator(seed, "overclustering")
    learnt = points[np.sort(rng.permutation(len(points))[:most])] if len(points) > most else points
    # From random points, as faiss begins.
    means = KMeans(clusters, init="random", n_init=restarts, max_iter=iterations, random_state=seed).fit(learnt)
    return np.asarray(means.labels_ if learnt is points else means.predict(points))


class Truth:
    """The label maps of the evaluation tiles at ``side`` x ``side`` px, and how clusters of patches are counted on them."""

    def __init__(self, tokens: xr.Dataset, labels: xr.Dataset, side: int) -> None:
        own = tokens.isel(tile=np.flatnonzero(tokens.split.values == "evaluation"))
        maps = labels.label.sel(tile=own.tile.values).values
        ids = np.asarray(labels.attrs["class_ids"])
        position = np.full(256, -1)
        position[ids] = np.arange(len(ids))
        self._maps = position[enlarged(maps, side)]
        self._side, self._grid = side, grid(tokens)
        self.classes = len(ids)
        self.pixels = int((self._maps >= 0).sum())
        names, self._image = np.unique(own.image_id.values, return_inverse=True)
        self.images = len(names)

    def counts(self, found: npt.NDArray[np.integer[Any]], clusters: int) -> npt.NDArray[np.int64]:
        """Return the pixels (image, clusters, classes) of clusters (tile * patch,) by class; void ones count nowhere."""
        maps = enlarged(found.reshape(-1, *self._grid), self._side)
        shape = (clusters, self.classes)
        counts = np.zeros((self.images, *shape), np.int64)
        for image, ids, truth in zip(self._image, maps, self._maps, strict=True):
            known = truth >= 0
            codes = ids[known] * self.classes + truth[known]
            counts[image] += np.bincount(codes, minlength=clusters * self.classes).reshape(shape)
        return counts


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    black: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    clusters: Sequence[int | Literal["classes"]],
    removals: Sequence[str],
    part: float,
    components: int,
    seeds: int,
    restarts: int,
    iterations: int,
    points_per_cluster: int,
    mask: int,
    plane_penalty: float,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the rows of every removal and number of clusters: mIoU, the mean over ``seeds`` runs, and how much they differ.

    Clusters get classes one to one where there are as many, otherwise each that of most of its pixels. ``black`` is the store of the tokens
    of a black image, where directions are fitted on them. Numbers above that of the patches are left out and logged; raises DataError if
    none is left.
    """
    sample = sample_of(labelled_tokens(tokens, labels, "train"), read_black(black))
    views = list(views_of(sample, removals, part, penalty=plane_penalty, seed=seed, key=f"overclustering of {model}"))
    del sample
    whole = moments_of_all(tokens)
    projections = [fit_projection(moments_of_view(whole, view), components) for _, view in views]
    projected: list[list[npt.NDArray[np.float32]]] = [[] for _ in views]
    for block in token_blocks(tokens, level=0):
        values = np.asarray(block)
        for parts, (_, view), projection in zip(projected, views, projections, strict=True):
            parts.append(projection(view(values)).reshape(-1, projection.axes.shape[1]))
    truth = Truth(tokens, labels, mask)
    numbers = sorted({truth.classes if number == "classes" else number for number in clusters})
    patches = sum(map(len, projected[0]))
    if numbers[0] > patches:
        raise DataError(
            f"the evaluation tiles of {dataset} have {patches} patches of {model}, and the least of overclustering.clusters is {numbers[0]}: "
            "name a smaller number"
        )
    if left_out := [number for number in numbers if number > patches]:
        _log.warning(
            "there are %d evaluation patches, so overclustering.clusters of %s are left out: give fewer clusters or more tiles",
            *(patches, ", ".join(map(str, left_out))),
        )
    common = clean_columns(tokens, dataset=dataset, seed=seed)
    common |= {"model": model, "method": "k-means", "axis": AXIS, "class": "", "protocol": PROTOCOL, "spec": spec}
    common |= {"n": truth.pixels, "ci_low": np.nan, "ci_high": np.nan}
    settings = {"restarts": restarts, "iterations": iterations, "points_per_cluster": points_per_cluster}
    rows = []
    known = [number for number in numbers if number <= patches]
    with Progress(file=sys.stderr, total=len(views) * len(known) * seeds, desc=f"{model} clusters", unit="run") as bar:
        for (name, _), parts in zip(views, projected, strict=True):
            points = np.concatenate(parts)
            parts.clear()
            for number in known:
                runs = []
                for run in range(seeds):
                    runs.append(truth.counts(clustered(points, number, **settings, seed=run), number))
                    bar.update()
                scores = score(runs, bootstrap=bootstrap, seed=seed)
                rows += [common | {"variant": name, "at": number} | one for one in scores]
    return rows


def score(
    runs: Sequence[npt.NDArray[np.int64]], *, bootstrap: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """Yield ``metric``, ``value`` and interval of the mean mIoU of runs and of their standard deviation, from counts (image, clusters, classes).

    Classes are given to clusters once, on all images; intervals are over images with these classes.
    """
    pixels = []  # for each run (image, classes, 2): hits, and pixels that are of the class in truth or by their cluster
    for counts in runs:
        total = counts.sum(axis=0)
        match = match_one_to_one if total.shape[0] == total.shape[1] else match_by_precision
        found = matched(counts, match(total))
        pixels.append(np.stack([found.hits, found.hits + found.false + found.missed], axis=-1))

    def of_runs(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the mIoU (..., runs) of sums (..., runs, classes, 2)."""
        return mean_iou(sums[..., 0], sums[..., 1])

    def mean_of_runs(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the mean mIoU (...) of runs."""
        return np.asarray(of_runs(sums).mean(axis=-1))

    sums = np.stack(pixels, axis=1)
    values = of_runs(sums.sum(axis=0))
    low, high = percentile_intervals(sums, {"": mean_of_runs}, **bootstrap, rng=np.random.default_rng(seed))[""]
    yield {"metric": "cluster_miou", "value": float(values.mean()), "ci_low": float(low), "ci_high": float(high)}
    if len(values) > 1:
        yield {"metric": "cluster_miou_deviation", "value": float(values.std(ddof=1))}
