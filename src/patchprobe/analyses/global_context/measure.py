"""Global context: what the token at the centre of a tile knows about the whole tile (protocol section 5 i).

A ridge regression (:mod:`patchprobe.probes.ridge`) goes from the central token to the share of the tile's pixels that are
of a class, on the whole token and on parts of its features. Nothing of the evaluation split enters.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.analyses.global_context.paper import PAPER_CLASSES
from patchprobe.errors import DataError
from patchprobe.probes.ridge import fit_ridge
from patchprobe.scoring.r2 import r2_scores
from patchprobe.seeds import generator
from patchprobe.spreading.tasks import in_order
from patchprobe.tokens.labelled import grid
from patchprobe.tokens.transforms import by_variance, feature_count

PROTOCOL = "global-context-v1"

_log = logging.getLogger(__name__)


def feature_parts(variance: npt.NDArray[np.float64], features: float, *, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the parts of a token by name: the whole (empty name), without the top, as many random ones, the top.

    Names are those of the transforms of variants, with the number of features; ``keep-random`` is a part of its own, since
    ``drop-random`` leaves all but so many.
    ``variance`` (features,) decides which are highest; ``features`` is their number, or below 1 their share. A number
    that leaves no feature gives the whole alone, and is logged.
    """
    total = len(variance)
    parts = {"": np.arange(total)}
    count = feature_count(features, total)
    if count >= total:
        _log.warning("the model has %d features: parts of %d are left out", total, count)
        return parts
    order = by_variance(variance)
    random = generator(seed, "global-context").permutation(total)[:count]
    return parts | {
        f"drop-top-variance-{count}": np.sort(order[count:]),
        f"keep-random-{count}": np.sort(random),
        f"keep-top-variance-{count}": np.sort(order[:count]),
    }


def central_patch(shape: tuple[int, int]) -> int:
    """Return the patch at the centre of a grid (rows, columns), rows first.

    The centre of a grid with an even number of rows lies between two; the lower one is taken, and the right one of
    columns.
    """
    rows, columns = shape
    return rows // 2 * columns + columns // 2


def class_shares(maps: npt.NDArray[np.uint8], class_ids: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the share of all pixels, void ones included, that are of each class: (n, H, W) to (n, classes)."""
    pixels = maps.shape[1] * maps.shape[2]
    return np.stack([np.count_nonzero(maps == i, axis=(1, 2)) / pixels for i in class_ids], axis=1)


def chosen_classes(labels: xr.Dataset, classes: Sequence[str] | None, train: npt.NDArray[np.generic]) -> dict[str, int]:
    """Return the ids of the classes whose shares are regressed, by their name in a label store.

    ``classes`` are names in lower or upper case; those that the data set does not have are left out and logged. None takes the
    paper's, ``PAPER_CLASSES``, or where the data set has none of them those with most pixels in the tiles ``train``, as many. Raises
    DataError if none of the named ones is there.
    """
    known = dict(zip(labels.attrs["class_names"], map(int, labels.attrs["class_ids"]), strict=True))
    wanted = {name.lower() for name in (PAPER_CLASSES if classes is None else classes)}
    found = {name: i for name, i in known.items() if name.lower() in wanted}
    if absent := sorted(wanted - {name.lower() for name in found}):
        _log.warning("classes that the data set does not have: %s", ", ".join(absent))
    if found or not known:
        return found
    if classes is not None:
        raise DataError(
            f"global_context.classes: the data set has none of {', '.join(sorted(wanted))}; name some of {', '.join(known)}, or null "
            "for those with most pixels"
        )
    pixels = np.bincount(labels.label.sel(tile=train).values.ravel(), minlength=256)
    most = sorted(known, key=lambda name: (-pixels[known[name]], known[name]))[: len(PAPER_CLASSES)]
    _log.warning("those with most pixels are taken: %s", ", ".join(most))
    return {name: known[name] for name in most}


def context_rows(
    features: xr.Dataset,
    labels: xr.Dataset,
    variance: npt.NDArray[np.float64],
    *,
    dataset: str,
    model: str,
    classes: Sequence[str] | None,
    part: float,
    penalties: Sequence[float],
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows: R2 on evaluation tiles for every part of the features and class, and their mean.

    ``features`` is the token store of clean tiles, whose last layer is taken, ``labels`` the label store, ``variance``
    that of the features over training patches, ``part`` the number or share of them for :func:`feature_parts`, ``classes``
    what :func:`chosen_classes` takes.
    """
    train, images = (features.split == "train").values, features.image_id.values
    found = chosen_classes(labels, classes, features.tile.values[train])
    centre = central_patch(grid(features))
    tokens = features.tokens.isel(level=0, layer=-1, patch=centre).values
    shares = class_shares(labels.label.sel(tile=features.tile.values).values, list(found.values()))
    common = {
        "dataset": dataset,
        "model": model,
        "layer": int(features.layer.values[-1]),
        "corruption": "clean",
        "level": 0.0,
        "method": "ridge",
        "protocol": PROTOCOL,
        "n": int((~train).sum()),
        "seed": seed,
        "spec": spec,
    }
    parts = feature_parts(variance, part, seed=seed)
    regressed = _Regressed(
        tokens, shares, images, train, list(found), penalties, {"bootstrap": bootstrap, "seed": seed}
    )
    scored = in_order(_scores, [(kept,) for kept in parts.values()], shared=regressed)
    return [common | {"variant": name} | score for name, scores in zip(parts, scored, strict=True) for score in scores]


@dataclass(frozen=True)
class _Regressed:
    """What the regressions of all parts of the features share: tokens (n, features) and the shares (n, classes) in their tiles."""

    tokens: npt.NDArray[Any]
    shares: npt.NDArray[np.float64]
    images: npt.NDArray[Any]
    train: npt.NDArray[np.bool_]
    classes: Sequence[str]
    penalties: Sequence[float]
    scoring: Mapping[str, Any]


def _scores(of: _Regressed, kept: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
    train = of.train
    ridge = fit_ridge(of.tokens[train][:, kept], of.shares[train], of.images[train], of.penalties)
    predicted = ridge.predict(of.tokens[~train][:, kept])
    names: dict[str, Any] = {"each": "share_r2", "mean": "share_mean_r2"}
    return list(r2_scores(of.shares[~train], predicted, of.images[~train], of.classes, **names, **of.scoring))


def measure(tokens: xr.Dataset, labels: xr.Dataset, variances: pd.DataFrame, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of :func:`context_rows`; ``variances`` are the measurements of the variance spectrum."""
    return context_rows(tokens, labels, variances.sort_values("feature")["value"].to_numpy(), **more)
