"""Nearest patches of those of a few evaluation images, in the training set and in their own image.

The neighbours are exact, by squared Euclidean distance as in 1-NN (protocol section 3), with equals in the order of the
stores. For the shading of a whole image, which is only looked at, tokens are rounded: features of the scenes' patches to 63
steps each, which moves the distances of two patches by far less than a step of the colours.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.analyses.explorer.packing import packed
from patchprobe.analyses.explorer.scenes import choose_scenes
from patchprobe.errors import ConfigError
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.labelled import grid, labelled_tokens
from patchprobe.tokens.transforms import FeatureTransform, by_variance, fit_transform, moments

_HALF = 31  # steps to each side of the middle

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

_log = logging.getLogger(__name__)


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    images: int,
    tiles: int,
    neighbors: int,
    removed: Sequence[int],
    variants: Mapping[str, Any],
    dataset: str,
    model: str,
    threads: int,
    spec: str,
    device: str = "cpu",
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return how often the nearest training patch has the class of a patch, and the neighbours themselves as JSON.

    ``tokens`` is the store of clean tiles. The frame has a row for each view (the model as it is and its variants), number of
    removed features and image. Views that are variants have one number, 0: what is removed of them, they say themselves.
    """
    scenes = choose_scenes(labels, images, tiles)
    order = pd.Index(tokens["tile"].to_numpy())
    places = [order.get_indexer(list(scene.tiles)) for scene in scenes]
    last = tokens["tokens"].isel(level=0, layer=-1)
    queries = [last.isel(tile=place).to_numpy().reshape(-1, tokens.sizes["feature"]) for place in places]
    truths = [_ids(labels, scene.tiles, grid(tokens)) for scene in scenes]
    training, rows = labelled_tokens(tokens, labels, "train"), _training_rows(tokens, labels)
    within = min(neighbors, *(len(query) - 1 for query in queries))
    void, views, table = labels.attrs["void_id"], [], []
    for variant in ("", *sorted(variants)):
        transform = fit_transform(
            variants[variant] if variant else None, training.tokens, key=f"models.{model}.variants.{variant}"
        )
        bank = transform(training.tokens)
        ranked = by_variance(moments(bank)[1])
        seen = [transform(query) for query in queries]
        stops = []
        for count in [0] if variant else _counts(removed, len(ranked)):
            kept = np.sort(ranked[count:])
            outside = _in_training(bank[:, kept], [part[:, kept] for part in seen], neighbors, threads, device)
            inside = [_in_image(part[:, kept], within, threads, device) for part in seen]
            stops.append({"removed": count, **_stop("train", outside, rows), **_stop("image", inside, None)})
            for scene, ids, (index, _) in zip(scenes, truths, outside, strict=True):
                own = {"dataset": dataset, "model": model, "variant": variant, "removed": count, "features": len(kept)}
                hits = (training.ids[index[:, 0]] == ids)[ids != void]
                share = float(hits.mean()) if len(hits) else np.nan
                table.append(own | {"image": scene.image, "patches": len(hits), "same_class": share, "spec": spec})
        views.append({"variant": variant, "stops": stops, **_shading(transform, ranked, queries, seen)})
    made = {
        "model": model,
        "grid": list(grid(tokens)),
        "training": _training_tiles(tokens),
        "scenes": [list(scene.tiles) for scene in scenes],
        "views": views,
    }
    return pd.DataFrame(table), {"neighbors": json.dumps(made)}


def _counts(removed: Sequence[int], features: int) -> list[int]:
    kept = sorted(count for count in removed if count < features)
    if not kept:
        raise ConfigError(
            f"explorer.removed holds no number below {features}, the number of features of the model: add smaller ones"
        )
    if left_out := sorted(set(removed) - set(kept)):
        _log.warning("the model has %d features: removing %s is left out", features, ", ".join(map(str, left_out)))
    return kept


def _ids(labels: xr.Dataset, tiles: Sequence[str], patches: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return patch_labels(labels["label"].sel(tile=list(tiles)).to_numpy(), patches).ravel()


def _training_rows(tokens: xr.Dataset, labels: xr.Dataset) -> npt.NDArray[np.int64]:
    """Return where the rows of :func:`labelled_tokens` are: tile of the training split times patches, plus patch."""
    return np.flatnonzero(_ids(labels, _training_tiles(tokens), grid(tokens)) != labels.attrs["void_id"])


def _training_tiles(tokens: xr.Dataset) -> list[str]:
    return [str(name) for name in tokens["tile"].to_numpy()[tokens["split"].to_numpy() == "train"]]


def _in_training(
    bank: npt.NDArray[Any], queries: Sequence[npt.NDArray[Any]], k: int, threads: int, device: str
) -> list[Found]:
    """Return the nearest training patches, (patches, k), of the patches of every scene."""
    k = min(k, len(bank))
    index, squared = MemoryBank(bank, device=device).search(queries, threads=threads, k=k)
    ends = np.cumsum([len(part) for part in queries])[:-1]
    index, squared = index.reshape(-1, k), squared.reshape(-1, k)
    return list(zip(np.split(index, ends), np.split(squared, ends), strict=True))


def _in_image(tokens: npt.NDArray[Any], k: int, threads: int, device: str) -> Found:
    """Return the nearest other patches, (patches, k), of a scene's patches among themselves."""
    if not k:
        return np.empty((len(tokens), 0), np.int64), np.empty((len(tokens), 0))
    index, squared = MemoryBank(tokens, device=device).search([tokens], threads=threads, k=k + 1)
    own = index == np.arange(len(tokens))[:, None]
    # A patch with many equal ones may not be among its own nearest.
    own[~own.any(axis=1), -1] = True
    return index[~own].reshape(-1, k), squared[~own].reshape(-1, k)


def _stop(name: str, found: Sequence[Found], rows: npt.NDArray[np.int64] | None) -> dict[str, Any]:
    index = np.concatenate([part[0] for part in found])
    distance = np.sqrt(np.concatenate([part[1] for part in found])).astype(np.float32)
    index = (index if rows is None else rows[index]).astype(np.uint32)
    return {name: packed(index), f"{name}_distance": packed(distance)}


def _shading(
    transform: FeatureTransform,
    ranked: npt.NDArray[np.int64],
    queries: Sequence[npt.NDArray[Any]],
    seen: Sequence[npt.NDArray[Any]],
) -> dict[str, Any]:
    """Return rounded tokens, the step of each feature, and the order in which features are removed, the first first.

    A variant that selects, moves or scales features has the rounded tokens of the model as it is, None here.
    """
    whole = transform.mean is None
    order = transform.kept[ranked] if whole else ranked
    order = order[~np.isin(order, transform.zeroed)].astype(np.uint16)
    values = np.concatenate(queries if transform.axes is None else seen).astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    step = np.maximum(high - low, np.finfo(np.float32).tiny) / (2 * _HALF)
    rounded = np.rint((values - (low + high) / 2) / step).astype(np.int8)
    if transform.axes is None and transform.scale is not None:
        step = step * transform.scale
    own = transform.axes is not None or (whole and len(order) == transform.features)
    return {
        "order": packed(order),
        "step": packed(step.astype(np.float32)),
        "tokens": packed(rounded) if own else None,
    }
