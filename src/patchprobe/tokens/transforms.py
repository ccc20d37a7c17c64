"""Variance of features over the training patches, and the transforms of features that it decides ("variants").

A variant of a model is a view on its stored tokens: the transform is fitted on the training tokens and applied to
tokens as they are read. Section 5 of arXiv 2401.00463 removes the features of highest variance, which brings the
nearest neighbours of masked-image models close to those of contrastive ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import ModelError
from patchprobe.seeds import generator

# That of BatchNorm (Ioffe and Szegedy, ICML 2015, arXiv 1502.03167) in torch.
BATCH_NORM_EPSILON = 1e-5
# Added to the variances of principal axes as a share of the mean variance of a feature: axes that the training tokens
# hardly span are not blown up, whatever the unit of the tokens. Our choice.
WHITENING_EPSILON = 1e-5
_BLOCK = 8192  # rows of tokens converted at a time


@dataclass(frozen=True)
class FeatureTransform:
    """What a variant does to the features of a token, decided on the training tokens.

    ``kept`` int64: features that stay, in their order. ``zeroed`` int64: those set to zero. Where ``mean`` float32
    (features,) is given the tokens become float32 and it is subtracted; then they are multiplied by ``axes`` float32
    (features, features), one axis a column, and by ``scale`` float32 (features,), where these are given. A transform
    that selects features has no mean, and the other way round.
    """

    features: int
    kept: npt.NDArray[np.int64]
    zeroed: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float32] | None = None
    scale: npt.NDArray[np.float32] | None = None
    axes: npt.NDArray[np.float32] | None = None

    def __call__(self, tokens: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return tokens (..., kept) of tokens (..., features); raises ModelError for another number of features."""
        if tokens.shape[-1] != self.features:
            raise ModelError(
                f"tokens have {tokens.shape[-1]} features and the variant was fitted on {self.features}: extract both "
                "again from one model and layer"
            )
        if self.mean is not None:
            tokens = tokens.astype(np.float32) - self.mean
            tokens = tokens if self.axes is None else tokens @ self.axes
            return tokens if self.scale is None else tokens * self.scale
        if len(self.zeroed):
            tokens = tokens.copy()
            tokens[..., self.zeroed] = 0
        return tokens if len(self.kept) == self.features else tokens[..., self.kept]


class TransformedTokens:
    """Lazy tokens seen through a transform: they are read and transformed when they become an array."""

    def __init__(self, tokens: Any, transform: FeatureTransform) -> None:
        self._tokens = tokens
        self._transform = transform

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the transformed tokens; ``copy`` has no meaning, since they are always made anew."""
        tokens = self._transform(np.asarray(self._tokens))
        return tokens if dtype is None else tokens.astype(dtype)


@dataclass(frozen=True)
class Moments:
    """What transforms need of training tokens that are not kept: number, mean (features,) and covariance (features, features).

    Both are float64 and over all tokens (divisor ``count``).
    """

    count: int
    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """The variance of every feature (features,)."""
        return np.diagonal(self.covariance)


def joined_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of all tokens from those of parts of them, of which some may be of no token.

    Equation 2.1 of Chan, Golub and LeVeque: Algorithms for computing the sample variance, The American Statistician 37
    (1983), doi:10.1080/00031305.1983.10483115, for covariances.
    """
    count, mean, scatter = 0, np.zeros_like(parts[0].mean), np.zeros_like(parts[0].covariance)
    for part in parts:
        if part.count:
            both, away = count + part.count, part.mean - mean
            scatter = scatter + part.covariance * part.count + np.outer(away, away) * (count * part.count / both)
            mean = mean + away * (part.count / both)
            count = both
    return Moments(count, mean, scatter / max(count, 1))


def fit_transform(
    variant: Mapping[str, Any] | None, tokens: npt.NDArray[Any] | Moments, *, key: str
) -> FeatureTransform:
    """Fit a variant on training tokens (patches, features) of any float type, or on the moments of such.

    ``variant`` is an entry of ``models.<name>.variants``: ``transform`` with ``features`` and ``seed`` where it has
    them; None is the model as it is. ``key`` names the entry in messages. The transforms are those of section 5 of
    arXiv 2401.00463, and two that it invites comparison with: ``centre`` and ``pca-whiten`` (principal axes, each
    divided by its deviation: Kessy, Lewin and Strimmer 2018, doi 10.1080/00031305.2016.1277159). Raises ModelError if tokens are not finite or ``features`` is not below their number.
    """
    total = len(tokens.mean) if isinstance(tokens, Moments) else tokens.shape[1]
    everything, none = np.arange(total), np.empty(0, np.int64)
    if variant is None:
        return FeatureTransform(total, everything, none)
    if variant["transform"] in ("centre", "batch-norm", "pca-whiten"):
        mean, variance = _mean_and_variance(tokens)
        scale = axes = None
        if variant["transform"] == "batch-norm":
            scale = 1 / np.sqrt(variance + BATCH_NORM_EPSILON)
        elif variant["transform"] == "pca-whiten":
            along, axes = _principal_axes(_covariance(tokens, mean))
            scale = 1 / np.sqrt(along + max(WHITENING_EPSILON * variance.mean(), np.finfo(np.float32).tiny))
        given = (None if array is None else array.astype(np.float32) for array in (mean, scale, axes))
        return FeatureTransform(total, everything, none, *given)
    count = variant["features"]
    if count >= total:
        raise ModelError(f"{key}.features is {count}, but the model has {total} features: take fewer")
    if variant["transform"] == "drop-random":
        chosen = generator(variant["seed"], "drop-random").permutation(total)[:count]
    else:
        chosen = by_variance(_mean_and_variance(tokens)[1])[:count]
    chosen = np.sort(chosen)
    if variant["transform"] == "zero-top-variance":
        return FeatureTransform(total, everything, chosen)
    if variant["transform"] == "keep-top-variance":
        return FeatureTransform(total, chosen, none)
    return FeatureTransform(total, np.setdiff1d(everything, chosen), none)


def moments(tokens: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance (features,) of tokens (patches, features), in float64.

    The variance is the mean squared distance to the mean, over all patches (divisor n), in two passes, since a
    difference of squares would lose the small variances beside large means. Raises ModelError for tokens that are
    not finite.
    """
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(tokens), _BLOCK)]
    mean, variance = np.zeros(tokens.shape[1]), np.zeros(tokens.shape[1])
    with np.errstate(invalid="ignore"):  # infinite tokens are refused below
        for rows in blocks:
            mean += tokens[rows].astype(np.float64).sum(axis=0)
        mean /= len(tokens)
        for rows in blocks:
            variance += np.square(tokens[rows] - mean).sum(axis=0)
        variance /= len(tokens)
    if not np.isfinite(variance).all():
        raise ModelError(
            "some training tokens are infinite or not a number: set extraction.dtype to float32, and extraction.precision to fp32"
        )
    return mean, variance


def by_variance(variance: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the features from the highest variance to the lowest; of equals the lower index comes first."""
    return np.argsort(-variance, kind="stable")


def feature_count(asked: float, total: int) -> int:
    """Return how many of ``total`` features are asked for: a number, or below 1 a share, rounded and at least one."""
    return max(1, round(asked * total)) if asked < 1 else round(asked)


def _mean_and_variance(
    tokens: npt.NDArray[Any] | Moments,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return (tokens.mean, tokens.variance) if isinstance(tokens, Moments) else moments(tokens)


def _covariance(tokens: npt.NDArray[Any] | Moments, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if isinstance(tokens, Moments):
        return tokens.covariance
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(tokens), _BLOCK):
        centred = tokens[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    return np.asarray(covariance / len(tokens))


def _principal_axes(
    covariance: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return variances (features,) from the highest and their axes (features, features), one a column."""
    variance, axes = np.linalg.eigh(covariance)
    # The solver's rounding can leave variances of zero just below it.
    return np.maximum(variance[::-1], 0), axes[:, ::-1]
