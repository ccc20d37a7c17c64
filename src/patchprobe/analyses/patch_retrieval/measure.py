"""Patch retrieval under transformation (protocol section 6).

For every patch of a transformed tile that shows an object, the nearest of the original patches of all tiles, and in the
same pass the nearest of those of other tiles; see sections 4 and 6 of arXiv 2401.00463.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.analyses.patch_retrieval.outcomes import (
    ALL,
    OTHERS,
    OUTCOMES,
    Patches,
    Queries,
    elsewhere,
    outcomes,
    pixel_errors,
)
from patchprobe.errors import DataError
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.progress import Progress
from patchprobe.scoring.bootstrap import ratio_intervals
from patchprobe.seeds import generator
from patchprobe.tiles.correspondence import NONE, corresponding_patches, patch_centres, source_centres, tile_affines
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.black import read_black
from patchprobe.tokens.labelled import evaluation_labels, grid, labelled_tokens, token_blocks, training_split
from patchprobe.tokens.variants import View, ViewedTokens, fit_variant, sample_of

PROTOCOL = "patch-retrieval-v1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """One level of one corruption of the evaluated tiles: its name and strength, its queries and their lazy tokens.

    ``blocks`` become tokens (n, features) of some tiles at a time, ``tiles`` is the tile of each of them, int64 (n,).
    """

    corruption: str
    level: float
    queries: Queries
    blocks: Sequence["_Chosen"]
    tiles: Sequence[npt.NDArray[np.int64]]


class _Chosen:
    """Tokens of some patches of a block of tiles, read when they become an array; ``places`` are those of the patches in their tiles."""

    def __init__(self, tokens: Any, chosen: npt.NDArray[np.bool_]) -> None:
        self._tokens, self._chosen = tokens, chosen
        self.places = np.nonzero(chosen)[1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(np.asarray(self._tokens)[self._chosen], dtype)


def measure(
    tokens: xr.Dataset,
    corrupted: Sequence[xr.Dataset],
    clean: xr.Dataset,
    tiles: Sequence[xr.Dataset],
    labels: xr.Dataset,
    black: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    variants: Mapping[str, Mapping[str, Any]],
    recall_at: Sequence[int],
    near: float,
    examples: int,
    bootstrap: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    spec: str,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the measurement rows of a model and all its variants, and as CSV ``examples`` what some queries found.

    ``tokens`` and ``clean`` are the stores of tokens and of tiles without corruption, ``corrupted`` and ``tiles`` those
    under each corruption, ``black`` that of the tokens of a black image, where a variant is fitted on them. Features are judged, and variants fitted, on the training tiles, or on the original tiles where
    the data set has no others. Clean tiles are evaluated too: every patch should find itself. Raises DataError where no
    patch shows an object.
    """
    training = labelled_tokens(tokens, labels, training_split(tokens))
    sample = sample_of(training, read_black(black))
    patches = original_patches(tokens, labels)
    others = len(patches.classes) - patches.each
    if not others:
        raise DataError(
            f"datasets.{dataset} has a single tile, so no other can be retrieved from: draw more by its splits.evaluation"
        )
    k = min(max([1, *recall_at]), others)
    if too_many := [number for number in recall_at if number > others]:
        _log.warning("%d patches lie outside a tile: recall at %s is left out", others, ", ".join(map(str, too_many)))
    versions = [
        version
        for stored, cut in zip([tokens, *corrupted], [clean, *tiles], strict=True)
        for version in _versions(stored, cut, labels, patches)
    ]
    names = clean.tile.values[clean.split.values == "evaluation"]
    classes = dict(zip(labels.attrs["class_ids"], labels.attrs["class_names"], strict=True))
    common = {"dataset": dataset, "model": model, "protocol": PROTOCOL, "class": "", "seed": seed, "spec": spec}
    common["layer"] = int(tokens.layer.values[-1])
    scoring: dict[str, Any] = {"recall_at": recall_at, "near": near, "bootstrap": bootstrap, "seed": seed}
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for variant, entry in {"": None, **variants}.items():
        view = fit_variant(entry, sample, key=f"models.{model}.variants.{variant}")
        bank = _bank(tokens, view, device)
        for version, found in _search(bank, versions, view, k, threads, f"{model} {variant}".strip()):
            place = {**common, "variant": variant, "corruption": version.corruption, "level": version.level}
            rows += [place | row for row in score(version.queries, *found, patches, **scoring)]
            shown += _examples(version, found[0][:, 0], patches, names, classes, examples, seed, place)
    return rows, {"examples": pd.DataFrame(shown).to_csv(index=False, lineterminator="\n")}


def original_patches(tokens: xr.Dataset, labels: xr.Dataset) -> Patches:
    """Return the original patches of the evaluated tiles of a token store, with the labels of a label store."""
    tiles = np.flatnonzero(tokens.split.values == "evaluation")
    maps = labels.label.sel(tile=tokens.tile.values[tiles]).values
    names = labels.attrs["supercategories"]
    numbers = np.full(256, NONE, np.int64)
    numbers[labels.attrs["class_ids"]] = [names.index(name) for name in names]
    classes = patch_labels(maps, grid(tokens)).reshape(-1).astype(np.int64)
    return Patches(classes, numbers, labels.attrs["background_id"], grid(tokens), maps.shape[1:])


def score(
    queries: Queries,
    among_all: npt.NDArray[np.int64],
    among_others: npt.NDArray[np.int64],
    patches: Patches,
    *,
    recall_at: Sequence[int],
    near: float,
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield method, metric, value, interval and number of queries of everything that is measured of one version.

    ``among_all`` int64 (n, k) and ``among_others`` (n, 1) are what the queries found, nearest first. Shares are of all queries;
    ``ceiling`` is what a perfect matcher reaches of the best outcome there: of the same patch, the share that has one; of
    the same class in other tiles, the share whose class is there. Intervals are of a bootstrap over tiles.
    """
    centres = patch_centres(patches.size, patches.grid)
    has_same = queries.same != NONE
    errors = pixel_errors(queries, among_all[:, 0], patches, centres)
    own = np.isfinite(errors)
    least = np.full(len(queries), np.nan)
    least[has_same] = np.hypot(*(centres[queries.same[has_same] % patches.each] - queries.source[has_same]).T)
    ranks = among_all == queries.same[:, None]
    shares = {
        ALL: {
            **_one_hot(outcomes(queries, among_all[:, 0], patches)),
            "ceiling": has_same,
            "retrieved_near": errors <= near,
            "retrieved_near_ceiling": least <= near,
            **{f"recall {k}": ranks[:, :k].any(axis=1) for k in recall_at if k <= ranks.shape[1]},
        },
        OTHERS: {
            **dict(list(_one_hot(outcomes(queries, among_others[:, 0], patches)).items())[1:]),
            "ceiling": elsewhere(queries, patches),
        },
    }
    means = {"error_px": (errors, own), "error_px_least": (least, own)}
    for method, found in shares.items():
        of_tile = np.stack([np.ones(len(queries)), *found.values()], axis=1)
        yield from _rows(method, list(found), queries, of_tile, len(queries), bootstrap, seed)
    for metric, (values, counted) in means.items():
        if counted.any():
            of_tile = np.stack([counted, np.where(counted, values, 0)], axis=1).astype(np.float64)
            yield from _rows(ALL, [metric], queries, of_tile, int(counted.sum()), bootstrap, seed)


def _rows(
    method: str,
    metrics: Sequence[str],
    queries: Queries,
    values: npt.NDArray[np.float64],
    n: int,
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric: the sum of its column of ``values`` (n, 1 + metrics) over that of the first."""
    tiles, place = np.unique(queries.tile, return_inverse=True)
    sums = np.zeros((len(tiles), values.shape[1]))
    np.add.at(sums, place, values)
    rng = generator(seed, PROTOCOL, "bootstrap")
    point, ends = ratio_intervals(sums, np.arange(1, sums.shape[1]), [0], **bootstrap, rng=rng)
    for i, metric in enumerate(metrics):
        interval = {"ci_low": float(ends[0, i]), "ci_high": float(ends[1, i])}
        name, _, neighbors = metric.partition(" ")
        axis = {"axis": "neighbors" if neighbors else "", "at": int(neighbors or 0)}
        yield {"method": method, "metric": name, **axis, "value": float(point[i]), **interval, "n": n}


def _one_hot(grades: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    return {name: grades == place for place, name in enumerate(OUTCOMES)}


def _versions(stored: xr.Dataset, cut: xr.Dataset, labels: xr.Dataset, patches: Patches) -> Iterator[Version]:
    maps, affines = evaluation_labels(cut, labels), tile_affines(cut)
    corruption, void = str(cut.attrs["corruption"]), labels.attrs["void_id"]
    for level, value in enumerate(cut.level.values):
        classes = patch_labels(maps.isel(level=level).values, patches.grid).reshape(-1, patches.each).astype(np.int64)
        chosen = (classes != patches.background) & (classes != void)
        if not chosen.any():
            raise DataError(
                f"{corruption} at level {value:g}: no patch of any tile shows an object, so there is nothing to retrieve; draw "
                "other tiles, or models of smaller patches"
            )
        tile, patch = np.nonzero(chosen)
        same = corresponding_patches(affines[level], patches.size, patches.grid)[patch]
        queries = Queries(
            tile=tile,
            patch=patch,
            class_id=classes[chosen],
            same=np.where(same == NONE, NONE, tile * patches.each + same),
            source=source_centres(affines[level], patches.size, patches.grid)[patch],
        )
        blocks, tiles, start = [], [], 0
        for block in token_blocks(stored, level):
            part = slice(start, start := start + len(block))
            if chosen[part].any():
                blocks.append(_Chosen(block, chosen[part]))
                tiles.append(part.start + np.nonzero(chosen[part])[0])
        yield Version(corruption, float(value), queries, blocks, tiles)


def _bank(tokens: xr.Dataset, view: View, device: str) -> MemoryBank:
    values = tokens.isel(tile=np.flatnonzero(tokens.split.values == "evaluation"), level=0, layer=-1).tokens.values
    tile = np.repeat(np.arange(len(values)), values.shape[1])
    values = view(values)
    return MemoryBank(values.reshape(-1, values.shape[-1]), groups=tile, device=device)


def _search(
    bank: MemoryBank,
    versions: Sequence[Version],
    view: View,
    k: int,
    threads: int,
    name: str,
) -> Iterator[tuple[Version, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]]:
    """Yield what the queries of every version found, int64 (n, k) among all patches and (n, 1) among other tiles'."""
    total = sum(len(version.queries) for version in versions)
    with Progress(file=sys.stderr, total=total, desc=name, unit="patch") as progress:
        for version in versions:
            blocks = [ViewedTokens(block, view) for block in version.blocks]
            (found, _), (others, _) = bank.search_outside(
                blocks, version.tiles, threads=threads, k=k, outside_k=1, progress=progress.update
            )
            yield version, (found.reshape(len(found), -1), others.reshape(len(others), -1))


def _examples(
    version: Version,
    found: npt.NDArray[np.int64],
    patches: Patches,
    names: npt.NDArray[np.str_],
    classes: Mapping[int, str],
    number: int,
    seed: int,
    place: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Yield some queries that found the same patch and some that did not, in an order that is the same for all models."""
    queries, grades = version.queries, outcomes(version.queries, found, patches)
    order = generator(seed, PROTOCOL, "examples", version.corruption, version.level).permutation(len(queries))
    order = order[queries.same[order] != NONE]
    for hit in (True, False):
        for i in order[(grades[order] == 0) == hit][:number].tolist():
            yield {
                **{key: place[key] for key in ("dataset", "model", "variant", "corruption", "level")},
                "tile": names[queries.tile[i]],
                "patch": int(queries.patch[i]),
                "class": classes[int(queries.class_id[i])],
                "retrieved_tile": names[found[i] // patches.each],
                "retrieved_patch": int(found[i] % patches.each),
                "retrieved_class": classes[int(patches.classes[found[i]])],
                "same_patch": int(queries.same[i] % patches.each),
                "outcome": OUTCOMES[grades[i]],
                "rows": patches.grid[0],
                "columns": patches.grid[1],
            }
