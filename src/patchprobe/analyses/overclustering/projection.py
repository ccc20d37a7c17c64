"""Tokens standardised and brought to their first principal components, decided on the moments of all tokens."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.tokens.transforms import Moments
from patchprobe.tokens.variants import View


@dataclass(frozen=True)
class Projection:
    """Tokens (..., features) become (tokens - ``mean``) @ ``axes``, float32; ``axes`` (features, components) hold the scale too."""

    mean: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    def __call__(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the components (..., components) of tokens."""
        return np.asarray(((tokens - self.mean) @ self.axes).astype(np.float32))


def fit_projection(moments: Moments, components: int) -> Projection:
    """Return the projection on the ``components`` first principal axes of standardised tokens, or all if there are fewer.

    Features are divided by their deviation (divisor n), one that does not vary by 1, as scikit-learn's StandardScaler does.
    """
    deviation = np.sqrt(moments.variance)
    deviation = np.where(deviation > 0, deviation, 1)
    _, axes = np.linalg.eigh(moments.covariance / np.outer(deviation, deviation))
    return Projection(moments.mean, axes[:, ::-1][:, :components] / deviation[:, None])


def moments_of_view(moments: Moments, view: View) -> Moments:
    """Return the moments of tokens as a view has them that takes out features or directions alone, from those of tokens as they are."""
    mean, covariance = moments.mean, moments.covariance
    if view.directions is not None:
        vectors = view.directions.vectors
        keep = np.eye(len(mean)) - vectors.T @ vectors
        return Moments(moments.count, keep @ mean, keep @ covariance @ keep)
    kept = view.transform.kept
    return Moments(moments.count, mean[kept], covariance[np.ix_(kept, kept)])
