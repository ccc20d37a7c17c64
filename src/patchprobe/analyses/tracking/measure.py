"""Tracking by pooled patch tokens (protocol section 7).

Every ground-truth box of every frame becomes one vector, and the nearest vector of a later frame of the same video says
which object it takes it for; see arXiv 2401.00463.
"""

import logging
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.analyses.tracking.matching import SUMS, Matches, groups, match
from patchprobe.analyses.tracking.pooling import FeatureMaps, pooled, visible
from patchprobe.errors import DataError
from patchprobe.progress import Progress
from patchprobe.scoring.bootstrap import ratio_intervals
from patchprobe.seeds import generator
from patchprobe.tokens.black import read_black
from patchprobe.tokens.variants import Sample, View, fit_variant

PROTOCOL = "tracking-v1"
TILES, FULL_FRAMES = "tracking-tiles", "tracking-full-frames"
_CANDIDATES = 24  # queries that every model is shown for, from which the film-strips take theirs
_EXAMPLE = ("query", "video", "image_id", "object_id", "category", "x1", "y1", "x2", "y2")

_log = logging.getLogger(__name__)

# Each metric is the ratio of two sums.
_METRICS = {
    "tracked_identity": ("right", "queries"),
    "tracked_identity_chance": ("right_by_chance", "queries"),
    "tracked_category": ("category", "queries"),
    "tracked_category_chance": ("category_by_chance", "queries"),
    "tracked_category_of_wrong": ("wrong_category", "wrong"),
    "tracked_category_of_wrong_chance": ("wrong_category_by_chance", "wrong"),
}
_OF_GROUPS = ("tracked_identity", "tracked_identity_chance")
Key = tuple[str, str, str, float]


def measure(
    tokens: xr.Dataset,
    full_frames: Sequence[xr.Dataset],
    images: pd.DataFrame,
    objects: pd.DataFrame,
    black: Sequence[xr.Dataset] = (),
    black_full_frames: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    variants: Mapping[str, Mapping[str, Any]],
    frames: Sequence[int],
    seconds: Sequence[float],
    distance: str,
    sizes: Sequence[float],
    variance_frames: int,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the measurement rows of a model and all its variants, and as CSV ``examples`` what some queries found.

    ``tokens`` is the store of tokens of tiles, ``full_frames`` that of full frames, if the model sees them. ``images`` is the
    table of frames and ``objects`` that of boxes
    with identities. Variants are fitted on the patches of ``variance_frames`` frames, and on the tokens of black images, ``black`` and
    ``black_full_frames``, where they ask for them. One frame's tokens are in memory at a
    time, and the vectors of one video. Raises DataError where no identity is seen twice.
    """
    sides = images.set_index("image_id")[["height", "width"]]
    boxes = objects[["x1", "y1", "x2", "y2"]].to_numpy(np.float64)
    seen = visible(boxes, *sides.loc[objects["image_id"]].to_numpy().T)
    if not seen.all():
        _log.warning("%s: %d boxes lie outside their frames and are left out", dataset, int((~seen).sum()))
    if not seen.any():
        raise DataError(
            f"datasets.{dataset}: no box lies inside its frame, so there is nothing to follow: take labels of these videos and frames"
        )
    objects = objects[seen].sort_values(["video", "frame", "object_id"], kind="stable", ignore_index=True)
    sums: dict[Key, dict[tuple[str, str], list[npt.NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))
    shown: list[dict[str, Any]] = []
    chosen = _candidates(objects, frames, seed)
    seen_by = ((TILES, tokens, black), *((FULL_FRAMES, store, black_full_frames) for store in full_frames))
    for method, stored, dark in seen_by:
        maps = FeatureMaps(stored)
        views = _fitted(maps, variants, variance_frames, model, read_black(dark))
        pooled_views = {name: view for name, view in views.items() if not view.after_pooling}
        for video, part, vectors in _videos(
            objects, maps, sides, pooled_views, f"{model} {method.removeprefix('tracking-')}"
        ):
            parts = list(groups(part, sizes))
            apart = [("frames", float(d), d) for d in frames] + _by_seconds(part, seconds)
            for variant, view in views.items():
                transformed = view(vectors[""]) if view.after_pooling else vectors[variant]
                # Of distances in frames and in seconds many are the same.
                known = {d: match(part, transformed, d, distance) for d in {d for _, _, d in apart}}
                for axis, at, d in apart:
                    _add(sums[method, variant, axis, at], known[d], parts)
                if method == TILES and not variant:
                    shown += _examples(part, {d: known[d] for d in frames}, chosen.get(video, []))
    common = {
        "dataset": dataset,
        "model": model,
        "layer": int(tokens.layer.values[-1]),
        "corruption": "clean",
        "level": 0.0,
    }
    common |= {"protocol": PROTOCOL, "seed": seed, "spec": spec}
    rows = [
        {**common, "method": method, "variant": variant, "axis": axis, "at": at, **row}
        for (method, variant, axis, at), by_group in sums.items()
        for row in _rows(by_group, bootstrap, seed)
    ]
    if not rows:
        raise DataError(
            f"datasets.{dataset}: no identity is in two frames that are {', '.join(map(str, frames))} apart, so nothing can be "
            "followed: take longer videos, or set tracking.frames to smaller numbers"
        )
    columns = [
        "model",
        *_EXAMPLE,
        "frames",
        "found_image_id",
        "found_id",
        *(f"found_{c}" for c in _EXAMPLE[5:]),
        "right",
    ]
    table = pd.DataFrame([{"model": model, **one} for one in shown], columns=columns)
    return rows, {"examples": table.to_csv(index=False, lineterminator="\n")}


def _videos(
    objects: pd.DataFrame, maps: FeatureMaps, sides: pd.DataFrame, views: Mapping[str, View], name: str
) -> Iterator[tuple[str, pd.DataFrame, dict[str, npt.NDArray[np.float32]]]]:
    """Yield every video with its objects and their vectors: of tokens as they are (empty name), and as each of ``views`` has them."""
    with Progress(file=sys.stderr, total=objects["image_id"].nunique(), desc=name, unit="frame") as progress:
        for video, part in objects.groupby("video", sort=True):
            found: dict[str, list[npt.NDArray[np.float32]]] = {"": [], **{variant: [] for variant in views}}
            for image_id, inside in part.groupby("image_id", sort=False):
                boxes = inside[["x1", "y1", "x2", "y2"]].to_numpy(np.float64)
                height, width = sides.loc[[image_id]].to_numpy(np.int64)[0].tolist()
                for variant, vectors in found.items():
                    frame = maps.read(str(image_id), views.get(variant))
                    vectors.append(pooled(frame, boxes, height, width))
                progress.update()
            yield str(video), part.reset_index(drop=True), {key: np.concatenate(value) for key, value in found.items()}


def _fitted(
    maps: FeatureMaps,
    variants: Mapping[str, Mapping[str, Any]],
    number: int,
    model: str,
    black: npt.NDArray[Any] | None,
) -> dict[str, View]:
    """Return the views of a model as it is and of its variants.

    Most may follow the pooling, which is a mean whose weights add up to 1: they are affine.
    """
    names = maps.image_ids
    spread = np.unique(np.linspace(0, len(names) - 1, number if variants else 1).round().astype(int))
    tiles = np.concatenate([maps.tiles(names[i])[0] for i in spread])
    places = np.tile(np.arange(tiles.shape[1]), len(tiles))
    sample = Sample(tiles.reshape(-1, tiles.shape[-1]), places, maps.grid, black)
    entries: dict[str, Mapping[str, Any] | None] = {"": None, **variants}
    return {name: fit_variant(entry, sample, key=f"models.{model}.variants.{name}") for name, entry in entries.items()}


def _by_seconds(objects: pd.DataFrame, seconds: Sequence[float]) -> list[tuple[str, float, int]]:
    """Return the distances in seconds that a video has: axis, seconds, and as many frames as come nearest."""
    later = objects[objects["frame"] > 0]
    if later.empty:
        return []
    rate = float((later["frame"] / later["seconds"]).median())
    found = [("seconds", float(one), int(np.floor(one * rate + 0.5))) for one in seconds]
    return [one for one in found if one[2]]


def _add(
    sums: dict[tuple[str, str], list[npt.NDArray[np.float64]]],
    matches: Matches,
    parts: Sequence[tuple[str, str, npt.NDArray[np.bool_]]],
) -> None:
    """Add the sums of one video, for every group that has queries in it."""
    for by, name, rows in parts:
        own = rows[matches.query]
        if own.any():
            sums[by, name].append(matches.sums[own].sum(axis=0))


def _rows(
    by_group: Mapping[tuple[str, str], Sequence[npt.NDArray[np.float64]]], bootstrap: Mapping[str, Any], seed: int
) -> Iterator[dict[str, Any]]:
    """Yield group, metric, value, interval and number of queries; intervals are of a bootstrap over videos."""
    for (by, name), of_videos in by_group.items():
        sums = np.stack(of_videos)
        metrics = _OF_GROUPS if by else tuple(_METRICS)
        above, below = (np.array([SUMS.index(_METRICS[metric][i]) for metric in metrics]) for i in (0, 1))
        rng, total = generator(seed, PROTOCOL, "bootstrap"), sums.sum(axis=0)
        point, ends = ratio_intervals(sums, above, below, **bootstrap, rng=rng)
        for i, metric in enumerate(metrics):
            # Of wrong matches there may be none.
            if total[below[i]]:
                value = {"value": float(point[i]), "ci_low": float(ends[0, i]), "ci_high": float(ends[1, i])}
                yield {
                    "metric": f"{metric}_of_{by}" if by else metric,
                    "class": name,
                    **value,
                    "n": int(total[below[i]]),
                }


def _candidates(objects: pd.DataFrame, frames: Sequence[int], seed: int) -> dict[str, list[tuple[int, str]]]:
    """Return some queries, frame and object_id by video, that are there at as many of the distances as any, of large boxes; a seeded draw."""
    present = set(zip(objects["video"], objects["frame"], objects["object_id"], strict=True))
    there = np.array(
        [
            sum((v, f + d, i) in present for d in frames)
            for v, f, i in zip(objects["video"], objects["frame"], objects["object_id"], strict=True)
        ]
    )
    longest = np.flatnonzero(there == there.max()) if len(there) else np.empty(0, int)
    area = ((objects["x2"] - objects["x1"]) * (objects["y2"] - objects["y1"])).to_numpy()[longest]
    # The larger half, of which a picture shows something.
    longest = longest[area >= np.median(area)] if len(area) else longest
    order = generator(seed, PROTOCOL, "examples").permutation(longest)
    chosen: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for i in order[:_CANDIDATES]:
        chosen[objects["video"][i]].append((int(objects["frame"][i]), objects["object_id"][i]))
    return chosen


def _examples(
    objects: pd.DataFrame, by_distance: Mapping[int, Matches], chosen: Sequence[tuple[int, str]]
) -> Iterator[dict[str, Any]]:
    """Yield what the chosen queries of a video found at every distance."""
    records = objects.to_dict("records")
    wanted = set(chosen)
    for d, matches in by_distance.items():
        for query, found, right in zip(matches.query, matches.found, matches.right, strict=True):
            ours, theirs = records[query], records[found]
            if (ours["frame"], ours["object_id"]) in wanted:
                yield {
                    "query": f"{ours['image_id']} {ours['object_id']}",
                    **{column: ours[column] for column in _EXAMPLE[1:]},
                    "frames": d,
                    "found_image_id": theirs["image_id"],
                    "found_id": theirs["object_id"],
                    **{f"found_{column}": theirs[column] for column in _EXAMPLE[5:]},
                    "right": found == right,
                }
