"""Global context: what the token at the centre of a tile knows about the whole tile (protocol section 5 i).

A ridge regression goes from the central token to the share of the tile's pixels that are of a class, on the whole token
and on parts of its features. Minimised is |y - X w - b|^2 + a |w|^2, the intercept b without penalty. The penalty a is
given as a multiple of the mean eigenvalue of X'X (X centred), so that a list of penalties means the same for tokens of
any scale. Of the list the one with the smallest squared error on left-out training images is taken, for every class by
itself. With H the matrix from targets to fitted values and g the rows of an image, the errors without that image are
(I - H_gg)^-1 (y - H y)_g, exactly (the identity behind Allen's PRESS, Technometrics 16, 1974, for a group of rows), so no
fit is repeated. Nothing of the evaluation split enters.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.scoring.bootstrap import percentile_intervals
from patchprobe.seeds import generator
from patchprobe.tokens.labelled import grid
from patchprobe.tokens.transforms import by_variance, feature_count

PROTOCOL = "global-context-v1"
_CONSTANT = 1e-12  # sums of squares below it are rounding

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ridge:
    """Predictions are ``tokens @ weights + intercept``.

    ``weights`` float64 (features, targets), ``intercept`` (targets,), ``penalties`` (targets,) the multiples chosen.
    """

    weights: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    penalties: npt.NDArray[np.float64]

    def predict(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return predictions (n, targets) of tokens (n, features)."""
        return tokens.astype(np.float64) @ self.weights + self.intercept


def fit_ridge(
    tokens: npt.NDArray[Any], targets: npt.NDArray[np.float64], images: npt.NDArray[Any], penalties: Sequence[float]
) -> Ridge:
    """Fit tokens (n, features) to ``targets`` (n, targets), each with the penalty that is best on left-out images.

    ``images`` (n,) tells which rows are left out together. Of equal errors the larger penalty is taken. From a single
    image the middle penalty is taken, and logged.
    """
    tokens = tokens.astype(np.float64)
    mean, level = tokens.mean(axis=0), targets.mean(axis=0)
    left, singular, right = np.linalg.svd(tokens - mean, full_matrices=False)
    unit = max(float(np.square(singular).sum()) / tokens.shape[1], np.finfo(np.float64).tiny)
    tried = np.sort(np.asarray(penalties, np.float64))[::-1]
    if len(np.unique(images)) < 2:
        _log.warning("one training image: none to choose the penalty on, the middle one is taken")
        best = np.full(targets.shape[1], len(tried) // 2)
    else:
        shrinks = [np.square(singular) / (np.square(singular) + penalty * unit) for penalty in tried]
        errors = [_left_out_errors(left, shrink, targets - level, images) for shrink in shrinks]
        best = np.argmin(errors, axis=0)
        if ends := sorted({float(tried[i]) for i in best if len(tried) > 1 and i in (0, len(tried) - 1)}):
            _log.info("the best penalty is at the end of the list: %s", ", ".join(f"{end:g}" for end in ends))
    chosen = tried[best]
    shrunk = singular[:, None] / (np.square(singular)[:, None] + chosen * unit)
    weights = right.T @ (shrunk * (left.T @ (targets - level)))
    return Ridge(weights, level - mean @ weights, chosen)


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


def context_rows(
    features: xr.Dataset,
    labels: xr.Dataset,
    variance: npt.NDArray[np.float64],
    *,
    dataset: str,
    model: str,
    classes: Sequence[str],
    part: float,
    penalties: Sequence[float],
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows: R2 on evaluation tiles for every part of the features and class, and their mean.

    ``features`` is the token store of clean tiles, whose last layer is taken, ``labels`` the label store, ``variance``
    that of the features over training patches, ``part`` the number or share of them for :func:`feature_parts`. Names of
    ``classes`` count in lower and upper case alike; those that the data set does not have are left out and logged,
    without any there are no rows.
    """
    wanted = {name.lower() for name in classes}
    known = zip(labels.attrs["class_names"], labels.attrs["class_ids"], strict=True)
    found = {name: i for name, i in known if name.lower() in wanted}
    if absent := sorted(wanted - {name.lower() for name in found}):
        _log.warning("classes that the data set does not have: %s", ", ".join(absent))
    if not found:
        return []
    centre = central_patch(grid(features))
    tokens = features.tokens.isel(level=0, layer=-1, patch=centre).values
    shares = class_shares(labels.label.sel(tile=features.tile.values).values, list(found.values()))
    train, images = (features.split == "train").values, features.image_id.values
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
    rows = []
    for name, kept in feature_parts(variance, part, seed=seed).items():
        ridge = fit_ridge(tokens[train][:, kept], shares[train], images[train], penalties)
        predicted = ridge.predict(tokens[~train][:, kept])
        scores = _scores(shares[~train], predicted, images[~train], list(found), bootstrap, seed)
        rows += [common | {"variant": name} | score for score in scores]
    return rows


def _left_out_errors(
    left: npt.NDArray[np.float64],
    shrink: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
) -> npt.NDArray[np.float64]:
    """Return the sum of squared errors (targets,) on images that are left out, from the fit on all rows.

    ``left`` (n, r) are left singular vectors of the centred tokens, ``shrink`` (r,) what the penalty leaves of each.
    """
    residuals = targets - left @ (shrink[:, None] * (left.T @ targets))
    total = np.zeros(targets.shape[1])
    for image in np.unique(images):
        own = images == image
        hat = (left[own] * shrink) @ left[own].T + 1 / len(targets)
        total += np.square(np.linalg.solve(np.eye(len(hat)) - hat, residuals[own])).sum(axis=0)
    return total


def _scores(
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
    names: Sequence[str],
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield ``class``, ``metric``, ``value`` and the interval of every class and of their mean, where it is defined."""
    groups, image = np.unique(images, return_inverse=True)
    centred = truth - truth.mean(axis=0)
    parts = np.stack([np.ones_like(truth), centred, np.square(centred), np.square(truth - predicted)], axis=-1)
    sums = np.zeros((len(groups), *parts.shape[1:]))
    np.add.at(sums, image, parts)
    metrics = {"share_r2": _r2, "share_mean_r2": _mean_r2}
    intervals = percentile_intervals(sums, metrics, **bootstrap, rng=np.random.default_rng(seed))
    for metric, function in metrics.items():
        values = np.atleast_1d(function(sums.sum(axis=0)))
        low, high = (np.atleast_1d(end) for end in intervals[metric])
        if metric == "share_mean_r2" and np.isnan(values[0]):
            continue
        for i, name in enumerate(names if metric == "share_r2" else [""]):
            ends = (float(low[i]), float(high[i])) if np.isfinite(values[i]) else (np.nan, np.nan)
            yield {"class": name, "metric": metric, "value": float(values[i]), "ci_low": ends[0], "ci_high": ends[1]}


def _r2(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return R2 (..., classes) from sums (..., classes, 4) of 1, y, y^2 and squared errors; NaN for a constant y."""
    count, first, second, errors = np.moveaxis(sums, -1, 0)
    spread = second - np.square(first) / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > _CONSTANT, 1 - errors / spread, np.nan))


def _mean_r2(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the mean (...,) of the R2 that are not NaN; NaN where all are."""
    values = _r2(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=-1) / np.isfinite(values).sum(axis=-1))


def measure(tokens: xr.Dataset, labels: xr.Dataset, variances: pd.DataFrame, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of :func:`context_rows`; ``variances`` are the measurements of the variance spectrum."""
    return context_rows(tokens, labels, variances.sort_values("feature")["value"].to_numpy(), **more)
