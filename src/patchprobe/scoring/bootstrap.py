"""Confidence intervals by the percentile bootstrap over images.

Patches of one image are not independent, so images, not patches, are drawn with replacement (a cluster bootstrap:
Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, doi:10.1017/CBO9780511802843; the
percentile interval is their section 5.3.1). Scores are functions of summed confusion matrices, so a resample is a
vector of image counts times the per-image confusions, and nothing is predicted again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.spreading.tasks import in_order

_CHUNK_ELEMENTS = 1 << 22  # resampled confusion counts held at once: 32 MiB
_WORTH = 1 << 33  # products of a bootstrap, about a second of one core, from which it is spread over workers


def percentile_intervals(
    confusions: npt.NDArray[Any],
    metrics: Mapping[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]],
    *,
    resamples: int,
    level: float,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return for each metric its interval (2, ...): lower and upper end, for every value the metric has.

    ``confusions`` are per image (images, classes, classes), or any other counts or sums (images, ...). A metric maps
    their sums over images (resamples, classes, classes) to values (resamples, ...), as those of
    :mod:`patchprobe.scoring.metrics` do; all metrics see the same resamples.
    ``level`` is the coverage, say 0.95. Resamples in which a value is not defined (a class drawn in no image) do not
    count for it; a value that is never defined has a NaN interval, and so has everything when there are fewer than
    two images, since one image says nothing about the spread between images.
    """
    if len(confusions) < 2:
        point = confusions.sum(axis=0, keepdims=True)
        return {name: np.full((2, *metric(point).shape[1:]), np.nan) for name, metric in metrics.items()}
    values = resampled_values(confusions, metrics, resamples=resamples, rng=rng)
    return {name: percentiles(found, level) for name, found in values.items()}


def ratio_intervals(
    sums: npt.NDArray[Any],
    above: npt.ArrayLike,
    below: npt.ArrayLike,
    *,
    resamples: int,
    level: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return ratios of summed columns (ratios,) and their intervals (2, ratios): shares, and means over unequal numbers.

    ``sums`` (units, columns) are those of each image, tile or video, which are drawn; ``above`` and ``below`` are the columns
    of numerators and denominators, one of which may serve all. A ratio over zero is NaN. See :func:`percentile_intervals`.
    """

    def ratios(summed: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the ratios (..., ratios) of sums (..., columns)."""
        number = summed[..., np.asarray(below)]
        return np.asarray(summed[..., np.asarray(above)] / np.where(number == 0, np.nan, number))

    ends = percentile_intervals(sums, {"ratios": ratios}, resamples=resamples, level=level, rng=rng)
    return ratios(sums.sum(axis=0)), ends["ratios"]


def resampled_values(
    confusions: npt.NDArray[Any],
    metrics: Mapping[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return for each metric its values (resamples, ...); arguments as for :func:`percentile_intervals`.

    Equal generators draw equal images from equal numbers of them, so that values of several models can be compared
    resample by resample.
    """
    images, *shape = confusions.shape
    counts = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    # Float64 holds sums of counts exactly (below 2^53) and its matrix product is far faster than that of integers.
    flat = confusions.reshape(images, -1).astype(np.float64)
    step = max(1, _CHUNK_ELEMENTS // flat.shape[1])
    # The same parts wherever they are computed, so that sums that are not exact are the same too.
    parts = in_order(
        _resampled_part,
        [(slice(start, start + step),) for start in range(0, resamples, step)],
        shared=_Drawn(counts, flat, shape, metrics),
        spread=resamples * flat.size >= _WORTH,
    )
    return {name: np.concatenate([part[name] for part in parts]) for name in metrics}


@dataclass(frozen=True)
class _Drawn:
    """How often each resample has each image (resamples, images), and what is summed (images, columns)."""

    counts: npt.NDArray[np.int64]
    flat: npt.NDArray[np.float64]
    shape: Sequence[int]
    metrics: Mapping[str, Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]]


def _resampled_part(drawn: _Drawn, part: slice) -> dict[str, npt.NDArray[np.float64]]:
    sums = (drawn.counts[part].astype(np.float64) @ drawn.flat).reshape(-1, *drawn.shape)
    return {name: metric(sums) for name, metric in drawn.metrics.items()}


def percentiles(values: npt.NDArray[np.float64], level: float) -> npt.NDArray[np.float64]:
    """Return the interval (2, ...) that holds the share ``level`` of values (resamples, ...), without those that are NaN."""
    return _quantiles(values, [(1 - level) / 2, (1 + level) / 2])


def _quantiles(values: npt.NDArray[np.float64], tails: list[float]) -> npt.NDArray[np.float64]:
    """Return quantiles (2, ...) over the first axis, without NaN; NaN where nothing else is there."""
    quantiles = np.full((len(tails), *values.shape[1:]), np.nan)
    defined = np.isfinite(values).any(axis=0)
    quantiles[:, defined] = np.nanquantile(values[:, defined], tails, axis=0)
    return quantiles
