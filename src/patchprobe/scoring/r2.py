"""R2 of regressions, with intervals over images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.scoring.bootstrap import percentile_intervals

_CONSTANT = 1e-12  # sums of squares below it are rounding


def r2_scores(
    truth: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
    names: Sequence[str],
    *,
    each: str,
    mean: str = "",
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield ``class``, ``metric``, ``value`` and the interval of every target, and of their mean, where it is defined.

    ``truth`` and ``predicted`` are (n, targets), ``images`` (n,) the image of each row, which are drawn again for intervals; ``names``
    are those of the targets, ``each`` and ``mean`` those of the metrics; without the second there is no mean. R2 is 1 minus the sum of squared
    errors over that of squared distances to the mean of ``truth``, NaN for a target that does not vary.
    """
    truth, predicted = np.ascontiguousarray(truth), np.ascontiguousarray(predicted)
    groups, image = np.unique(images, return_inverse=True)
    centred = truth - truth.mean(axis=0)
    parts = np.stack([np.ones_like(truth), centred, np.square(centred), np.square(truth - predicted)], axis=-1)
    sums = np.zeros((len(groups), *parts.shape[1:]))
    np.add.at(sums, image, parts)
    metrics = {each: _r2, **({mean: _mean_r2} if mean else {})}
    intervals = percentile_intervals(sums, metrics, **bootstrap, rng=np.random.default_rng(seed))
    for metric, function in metrics.items():
        values = np.atleast_1d(function(sums.sum(axis=0)))
        low, high = (np.atleast_1d(end) for end in intervals[metric])
        if metric == mean and np.isnan(values[0]):
            continue
        for i, name in enumerate(names if metric == each else [""]):
            ends = (float(low[i]), float(high[i])) if np.isfinite(values[i]) else (np.nan, np.nan)
            yield {"class": name, "metric": metric, "value": float(values[i]), "ci_low": ends[0], "ci_high": ends[1]}


def _r2(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return R2 (..., targets) from sums (..., targets, 4) of 1, y, y^2 and squared errors; NaN for a constant y."""
    count, first, second, errors = np.moveaxis(sums, -1, 0)
    spread = second - np.square(first) / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > _CONSTANT, 1 - errors / spread, np.nan))


def _mean_r2(sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the mean (...,) of the R2 that are not NaN; NaN where all are."""
    values = _r2(sums)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=-1) / np.isfinite(values).sum(axis=-1))
