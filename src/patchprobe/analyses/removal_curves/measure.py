"""Removal curves: 1-NN and linear probe against the number of features or directions that were taken out, for several removals.

Everything is clean tokens of the last stored layer, and every removal is the variant of that name. The nearest neighbours for all
numbers come from one pass for each removal: of features as in the removal sweep, and of directions on tokens that are turned
so that these are their first features, which changes no distance. A probe is fitted for every number, on tokens that are not
turned, since normalisation of features and Adam would change by it.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.probes.fitting import ProbeOptions, fit_probe, fit_probes
from patchprobe.probes.linear import LinearProbe
from patchprobe.progress import Progress
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.seeds import generator
from patchprobe.tokens.black import read_black
from patchprobe.tokens.directions import Directions
from patchprobe.tokens.labelled import LabelledTokens, labelled_tokens, token_blocks
from patchprobe.tokens.transforms import FeatureTransform, by_variance
from patchprobe.tokens.variant_kinds import DIRECTIONS
from patchprobe.tokens.variants import Sample, View, ViewedTokens, directions_of, fit_variant, sample_of

PROTOCOL = "removal-curves-v1"
AXIS = "removed_features"
COUNTED = {"drop-top-variance", "drop-random", *(f"drop-{of}" for of in DIRECTIONS)}
"""Removals of so many features or directions; the others have no number."""
_BLOCK = 8192  # rows of tokens turned at a time
Ids = npt.NDArray[np.uint8]

_log = logging.getLogger(__name__)


class Curves:
    """Both classifiers on the tokens of one store, with anything taken out of them; what they share is prepared once."""

    def __init__(
        self,
        training: LabelledTokens,
        features: xr.Dataset,
        options: ProbeOptions,
        *,
        seed: int,
        threads: int,
        device: str = "cpu",
    ) -> None:
        self._training = training
        self._blocks = list(token_blocks(features, level=0))
        self._shape = int((features.split == "evaluation").sum()), features.sizes["patch"]
        self._options, self._seed = options, seed
        self._threads, self._device = threads, device

    def of_view(self, view: View) -> dict[str, Ids]:
        """Return the class ids uint8 (tile, patch) of the evaluation patches by method, as a view has all tokens."""
        tokens = view(self._training.tokens, self._training.places)
        bank = MemoryBank(tokens, device=self._device)
        nearest, _ = bank.search([ViewedTokens(block, view) for block in self._blocks], threads=self._threads)
        return {"1-nn": self._classes(nearest), "linear": self._probed(view, tokens)}

    def of_features(self, order: npt.NDArray[np.int64], counts: Sequence[int]) -> Iterator[tuple[int, dict[str, Ids]]]:
        """Yield each number and the class ids by method, without that many of the features first in ``order``."""
        nearest = SweepBank(self._training.tokens, order, counts, device=self._device).search(
            self._blocks, threads=self._threads
        )
        none = np.empty(0, np.int64)
        transforms = [FeatureTransform(len(order), np.sort(order[count:]), none) for count in counts]
        learnt = self._training.ids, self._training.images
        probes = fit_probes(self._training.tokens, *learnt, transforms, self._options, seed=self._seed)
        for count, transform, probe in zip(counts, transforms, probes, strict=True):
            yield count, {"1-nn": self._classes(nearest[count]), "linear": self._predicted(View(transform), probe)}

    def of_directions(self, directions: Directions, counts: Sequence[int]) -> Iterator[tuple[int, dict[str, Ids]]]:
        """Yield each number and the class ids by method, without that many of the first ``directions``, which are orthogonal."""
        turn = _Turn(directions.first(max(counts)).rotation())
        order = np.arange(len(turn.matrix))
        bank = SweepBank(turn(self._training.tokens), order, counts, device=self._device)
        nearest = bank.search([_Turned(block, turn) for block in self._blocks], threads=self._threads)
        everything = np.arange(len(order))
        for count in counts:
            unchanged = FeatureTransform(len(order), everything, everything[:0])
            view = View(unchanged, directions=directions.first(count))
            linear = self._probed(view, view(self._training.tokens))
            yield count, {"1-nn": self._classes(nearest[count]), "linear": linear}

    def _classes(self, nearest: npt.NDArray[np.int64]) -> Ids:
        return self._training.ids[nearest].reshape(self._shape)

    def _probed(self, view: View, tokens: npt.NDArray[Any]) -> Ids:
        probe = fit_probe(tokens, self._training.ids, self._training.images, self._options, seed=self._seed)
        return self._predicted(view, probe)

    def _predicted(self, view: View, probe: LinearProbe) -> Ids:
        found = [probe.predict(view(np.asarray(block))) for block in self._blocks]
        return np.concatenate(found).astype(np.uint8).reshape(self._shape)


class _Turn:
    """Tokens times an orthogonal matrix, float32, computed in float64."""

    def __init__(self, matrix: npt.NDArray[np.float64]) -> None:
        self.matrix = matrix

    def __call__(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        flat = tokens.reshape(-1, tokens.shape[-1])
        turned = np.empty(flat.shape, np.float32)
        for start in range(0, len(flat), _BLOCK):
            turned[start : start + _BLOCK] = flat[start : start + _BLOCK].astype(np.float64) @ self.matrix
        return turned.reshape(tokens.shape)


class _Turned:
    """Lazy tokens that are turned when they become an array."""

    def __init__(self, tokens: Any, turn: _Turn) -> None:
        self._tokens, self._turn = tokens, turn

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self._turn(np.asarray(self._tokens)), dtype)


def removed(
    curves: Curves,
    sample: Sample,
    removals: Sequence[str],
    counts: Sequence[int],
    *,
    penalty: float,
    draw: int,
    model: str,
) -> Iterator[tuple[str, int, dict[str, Ids]]]:
    """Yield removal, number and the class ids by method: first of tokens as they are (no name, 0), then of every removal.

    A removal without a number, such as ``drop-norm``, has 0. Numbers that a removal does not have are left out and logged.
    ``penalty`` and ``draw`` are the options of planes and of random features, ``model`` names the model in messages.
    """
    yield "", 0, curves.of_view(fit_variant(None, sample, key=""))
    total = sample.features
    for removal in removals:
        of, key = removal.removeprefix("drop-"), f"removal_curves: {removal} of {model}"
        if of in DIRECTIONS:
            most = min(max(counts, default=0), total - 1)
            directions = directions_of(of, sample, most, key=key, penalty=penalty)
            if known := _below(counts, len(directions) + 1, key, "directions"):
                for count, found in curves.of_directions(directions, known):
                    yield removal, count, found
        elif removal in ("drop-top-variance", "drop-random"):
            order = (
                by_variance(sample.moments.variance)
                if removal == "drop-top-variance"
                else generator(draw, "drop-random").permutation(total)
            )
            if known := _below(counts, total, key, "features"):
                for count, found in curves.of_features(order, known):
                    yield removal, count, found
        else:
            yield removal, 0, curves.of_view(fit_variant({"transform": removal}, sample, key=key))


def _below(counts: Sequence[int], end: int, key: str, what: str) -> list[int]:
    """Return the numbers below ``end`` in rising order; the others are logged."""
    known = sorted(count for count in counts if count < end)
    if left_out := sorted(set(counts) - set(known)):
        _log.warning(
            "%s: there are %d %s to take out at most; numbers left out: %s",
            *(key, end - 1, what, ", ".join(map(str, left_out))),
        )
    return known


def with_fewer_images(tokens: xr.Dataset, images: int | None, seed: int) -> xr.Dataset:
    """Return a token store with so many of its evaluated images, by a seeded draw, or all; training images stay."""
    evaluated = (tokens.split == "evaluation").values
    names = np.unique(tokens.image_id.values[evaluated])
    if images is None or images >= len(names):
        return tokens
    drawn = names[generator(seed, PROTOCOL, "images").permutation(len(names))[:images]]
    return tokens.isel(tile=np.flatnonzero(~evaluated | np.isin(tokens.image_id.values, drawn)))


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    black: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    removals: Sequence[str],
    counts: Sequence[int],
    penalty: float,
    draw: int,
    images: int | None,
    linear: Mapping[str, Any],
    probe: Mapping[str, Any],
    bootstrap: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every removal, number, method, metric and class.

    ``black`` is the store of the tokens of a black image, where directions are fitted on them. ``linear`` and ``probe`` are the
    options of :class:`patchprobe.probes.fitting.ProbeOptions`; of the evaluated images so many ``images`` are drawn, or all taken; the others
    are those of :func:`removed`. The ``variant`` of a row is the
    removal, empty for the model as it is. Raises DataError if nothing that was classified has a class.
    """
    tokens = with_fewer_images(tokens, images, seed)
    training = labelled_tokens(tokens, labels, "train")
    sample = sample_of(training, read_black(black))
    options = ProbeOptions(**linear, **probe)
    curves = Curves(training, tokens, options, seed=seed, threads=threads, device=device)
    common: dict[str, Any] = {"dataset": dataset, "bootstrap": bootstrap, "seed": seed}
    rows = []
    passes = 1 + sum(len(counts) if removal in COUNTED else 1 for removal in removals)
    with Progress(file=sys.stderr, total=passes, desc=f"{model} removals", unit="curve point") as progress:
        for removal, count, methods in removed(
            curves, sample, removals, counts, penalty=penalty, draw=draw, model=model
        ):
            own: dict[str, Any] = {
                "model": model,
                "variant": removal,
                "axis": AXIS,
                "at": count,
                "protocol": PROTOCOL,
                "spec": spec,
            }
            for method, ids in methods.items():
                rows += clean_rows(ids, tokens, labels, method=method, **own, **common)
            progress.update()
    return rows
