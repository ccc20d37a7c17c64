"""k-NN segmentation by a vote for every pixel (protocol section 5, beside patch classification).

As in "Cluster and Predict Latent Patches for Improved Masked Image Modeling" (CAPI, Darcet et al., TMLR 2025, arXiv
2502.08769): features are standardised; a training patch brings the labels of all its pixels, and the k nearest training
patches of an evaluation patch vote for each of its pixels. Number of neighbours and distance are those of highest mIoU
over pixels of a tenth of the training images, when the others vote. The search is exact.
"""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.errors import DataError
from patchprobe.neighbors.memory_bank import MemoryBank, Metric
from patchprobe.scoring.metrics import mean_iou
from patchprobe.scoring.patch_pixels import count_maps, label_maps, map_rows, pixel_labels
from patchprobe.seeds import generator
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.labelled import TILES_PER_BLOCK, grid
from patchprobe.tokens.transforms import FeatureTransform, TransformedTokens, moments

PROTOCOL = "capi-v1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Voters:
    """Training patches with a class: ``tokens`` (n, features), ``pixels`` uint8 (n, pixels), ``ids`` uint8 (n,), ``images``.

    ``pixels`` are the labels of a patch's pixels, void included; ``ids`` the most frequent one of each.
    """

    tokens: npt.NDArray[Any]
    pixels: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.uint8]
    images: npt.NDArray[np.str_]

    def without(self, images: npt.NDArray[np.str_]) -> "Voters":
        """Return those of all other images."""
        own = ~np.isin(self.images, images)
        return Voters(self.tokens[own], self.pixels[own], self.ids[own], self.images[own])


@dataclass(frozen=True)
class Setting:
    """Number of neighbours and distance; ``miou`` on the held-out images, None where nothing there has a class."""

    k: int
    distance: Metric
    miou: float | None = None


def voters(features: xr.Dataset, labels: xr.Dataset) -> Voters:
    """Take the training patches of a token store (last layer, clean) that are not labelled void.

    Raises DataError if none is left.
    """
    train = features.isel(tile=np.flatnonzero(features.split.values == "train"), level=0, layer=-1)
    maps = labels.label.sel(tile=train.tile.values).values
    ids = patch_labels(maps, grid(features)).reshape(len(maps), -1)
    keep = ids != labels.attrs["void_id"]
    if not keep.any():
        raise DataError(
            "split 'train' has no patch with a class: every patch is void; use the label maps with evaluation ids"
        )
    images = np.broadcast_to(train.image_id.values[:, None], ids.shape)
    return Voters(train.tokens.values[keep], pixel_labels(maps, grid(features))[keep], ids[keep], images[keep])


def hold_out(images: npt.NDArray[np.str_], fraction: float, seed: int) -> npt.NDArray[np.str_]:
    """Draw a ``fraction`` of the distinct images, rounded down, but at least one; none where there is a single image."""
    names = np.unique(images)
    count = max(1, int(fraction * len(names))) if len(names) > 1 else 0
    return names[generator(seed, PROTOCOL, "held out").permutation(len(names))[:count]]


def standardisation(tokens: npt.NDArray[Any]) -> FeatureTransform:
    """Return the transform to mean 0 and variance 1 over ``tokens`` (n, features); constant features become 0."""
    mean, variance = moments(tokens)
    # Up to the rounding of sums in float64, which leaves constants a variance just above 0.
    constant = variance <= 10 * np.finfo(np.float64).eps * (variance + np.square(mean))
    scale = np.where(constant, 0, 1 / np.sqrt(np.where(constant, 1, variance)))
    everything = np.arange(len(mean))
    return FeatureTransform(
        len(mean), everything, np.empty(0, np.int64), mean.astype(np.float32), scale.astype(np.float32)
    )


def choose(
    known: Voters,
    held_out: npt.NDArray[np.str_],
    transform: FeatureTransform,
    features: xr.Dataset,
    labels: xr.Dataset,
    *,
    ks: Sequence[int],
    distances: Sequence[Metric],
    threads: int,
    device: str = "cpu",
) -> tuple[Setting, list[Setting]]:
    """Return the setting of highest mIoU over pixels of the held-out training images, and all that were tried.

    ``known`` are all voters; those of held-out images do not vote. Of equal settings the first is taken, distances in
    turn for every k. Without held-out images it is the first of both lists. Settings with more neighbours than there
    are voters are left out and logged. Raises DataError if none is left.
    """
    others = known.without(held_out)
    possible = [k for k in ks if k <= len(others.ids)]
    if left_out := sorted(set(ks) - set(possible)):
        _log.warning("%d training patches vote: k of %s is left out", len(others.ids), ", ".join(map(str, left_out)))
    if not possible:
        raise DataError(f"{len(others.ids)} training patches cannot be {min(ks)} neighbours: add a smaller k to capi.k")
    if not len(held_out):
        _log.info("one training image: none is held out, and k = %d, %s is taken", possible[0], distances[0])
        return Setting(possible[0], distances[0]), []
    chosen = np.isin(features.image_id.values, held_out) & (features.split.values == "train")
    tiles = features.isel(tile=np.flatnonzero(chosen))
    scores: dict[tuple[int, str], float | None] = {}
    for distance in distances:
        votes = Votes(
            others, transform, tiles, labels, k=max(possible), distance=distance, threads=threads, device=device
        )
        for k in possible:
            confusion = count_maps(votes.maps(k), tiles, labels).sum(axis=0)
            scores[k, distance] = float(mean_iou(confusion)) if confusion.any() else None
    tried = [Setting(k, distance, scores[k, distance]) for k in possible for distance in distances]
    for setting in tried:
        _log.info("k = %d, %s: mIoU %s on held-out images", setting.k, setting.distance, setting.miou)
    return max(tried, key=lambda setting: setting.miou or 0.0), tried


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    k: Sequence[int],
    distances: Sequence[Metric],
    validation_fraction: float,
    seed: int,
    threads: int,
    device: str = "cpu",
    **columns: Any,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the measurement rows of the chosen setting, and as JSON ``setting``, which it is and what was tried.

    ``tokens`` is the token store of clean tiles, ``labels`` the label store, ``columns`` as for :func:`score`.
    Raises DataError if there is nothing to vote or to score.
    """
    known = voters(tokens, labels)
    held_out = hold_out(known.images, validation_fraction, seed)
    transform = standardisation(known.without(held_out).tokens)
    search: dict[str, Any] = {"threads": threads, "device": device}
    best, tried = choose(known, held_out, transform, tokens, labels, ks=k, distances=distances, **search)
    evaluated = tokens.isel(tile=np.flatnonzero(tokens.split.values == "evaluation"))
    votes = Votes(known, transform, evaluated, labels, k=best.k, distance=best.distance, **search)
    return score(votes, best.k, tokens, labels, seed=seed, **columns), {"setting": setting_text(best, tried, held_out)}


def setting_text(best: Setting, tried: Sequence[Setting], held_out: npt.NDArray[np.str_]) -> str:
    """Return as JSON the chosen setting, and those that were tried on the held-out images."""
    facts = {
        "k": best.k,
        "distance": best.distance,
        "held_out": held_out.tolist(),
        "tried": [asdict(setting) for setting in tried],
    }
    return json.dumps(facts, indent=1) + "\n"


class Votes:
    """The nearest voters of every patch of some tiles of a token store, clean tiles, last layer.

    ``device`` is where they are searched. Raises DataError for a ``k`` above the number of voters.
    """

    def __init__(
        self,
        known: Voters,
        transform: FeatureTransform,
        tiles: xr.Dataset,
        labels: xr.Dataset,
        *,
        k: int,
        distance: Metric,
        threads: int,
        device: str = "cpu",
    ) -> None:
        self._known = known
        self._grid = grid(tiles)
        self._shape = (labels.sizes["y"], labels.sizes["x"])
        self._void = int(labels.attrs["void_id"])
        patches = tiles.sizes["patch"]
        self._blocks = [slice(i, i + TILES_PER_BLOCK) for i in range(0, tiles.sizes["tile"], TILES_PER_BLOCK)]
        tokens = tiles.tokens.isel(level=0, layer=-1)
        lazy = (TransformedTokens(tokens[block], transform) for block in self._blocks)
        bank = MemoryBank(transform(known.tokens), metric=distance, device=device)
        total = tiles.sizes["tile"] * patches
        with tqdm(total=total, desc=f"capi, {distance}", unit="patch", file=sys.stderr, mininterval=5) as bar:
            nearest, _ = bank.search(lazy, threads=threads, k=k, progress=bar.update)
        self._nearest = nearest.reshape(-1, patches, k)

    def maps(self, k: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the label maps (tiles, height, width) that the first ``k`` voters give, block by block."""
        for block in self._blocks:
            nearest = self._nearest[block, :, :k]
            voted = np.stack([self._vote(tile) for tile in nearest])
            yield label_maps(voted, self._grid, self._shape)

    def _vote(self, nearest: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the labels (patches, pixels) that get most votes of voters (patches, k), the smaller id of equals.

        Void has no vote; where all are void the most frequent label of the nearest voter stands in.
        """
        ballots = self._known.pixels[nearest]
        stand_in = np.broadcast_to(self._known.ids[nearest[:, 0]][:, None], ballots[:, 0].shape)
        first = ballots[:, 0]
        elected = np.where(first == self._void, stand_in, first)
        split = (ballots != first[:, None]).any(axis=1)
        if split.any():
            elected[split] = _most_frequent(ballots.transpose(1, 0, 2)[:, split], stand_in[split], self._void)
        return elected


def score(votes: Votes, k: int, features: xr.Dataset, labels: xr.Dataset, **columns: Any) -> list[dict[str, Any]]:
    """Return the measurement rows of every pixel metric and class for votes on the evaluation tiles of a token store.

    ``columns`` are those of :func:`patchprobe.scoring.patch_pixels.map_rows` and further ones of the rows. Raises DataError if
    no evaluation pixel has a class.
    """
    evaluated = features.isel(tile=np.flatnonzero(features.split.values == "evaluation"))
    confusions = count_maps(votes.maps(k), evaluated, labels)
    return map_rows(confusions, features, labels, method="capi", protocol=PROTOCOL, **columns)


def _most_frequent(ballots: npt.NDArray[np.uint8], stand_in: npt.NDArray[np.uint8], void: int) -> npt.NDArray[np.uint8]:
    """Return the most frequent id (n,) of each column of ``ballots`` (k, n) but void, by the runs of sorted ids."""
    ordered = np.sort(ballots, axis=0)
    elected, most = stand_in.copy(), np.zeros(ballots.shape[1], np.uint16)
    run = np.zeros_like(most)
    for i, ids in enumerate(ordered):
        run = np.where(ids == ordered[i - 1], run + 1, 1) if i else run + 1
        wins = (run > most) & (ids != void)
        elected[wins], most[wins] = ids[wins], run[wins]
    return elected
