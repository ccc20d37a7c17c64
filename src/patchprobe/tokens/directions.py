"""Directions of the space of tokens that can be taken away: principal ones, and those that tell position.

Each function gives the directions in the order of their removal, so that the first n of many are those of n: curves over n
need one fit. Where they come from says each function.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from patchprobe.errors import ModelError
from patchprobe.tokens.places import PlaceMeans
from patchprobe.tokens.transforms import Moments, moments

Float64 = npt.NDArray[np.float64]
_BLOCK = 8192  # rows of tokens converted at a time
# Lengths below this share of what they began with are rounding.
_NOTHING = 1e-9
# By how much of themselves numbers may be off after a forward pass in float32.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Directions:
    """Unit vectors float64 (n, features) that are taken out of a token one after another: x becomes x - (x.u) u.

    Those that the functions of this module fit are orthogonal to each other, so that their order changes no token; those of
    others need not be.
    """

    vectors: Float64

    def __len__(self) -> int:
        return len(self.vectors)

    def first(self, count: int) -> "Directions":
        """Return the first ``count`` of them."""
        return Directions(self.vectors[:count])

    def without(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return tokens float32 (..., features) without what lies along the directions."""
        tokens = tokens.astype(np.float32)
        return np.asarray(tokens - self.along(tokens) @ self.vectors.astype(np.float32))

    def along(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return how much of each direction is taken out of tokens, float32 (..., n)."""
        return np.asarray(tokens.astype(np.float32) @ self._weights)

    def rotation(self) -> Float64:
        """Return an orthogonal matrix (features, features) whose first columns are the directions, which have to be so too.

        Distances between tokens are those between tokens times the matrix, and without its first n columns those between
        tokens without the first n directions.
        """
        turned, signs = np.linalg.qr(self.vectors.T, mode="complete")
        turned[:, : len(self)] *= np.sign(np.diagonal(signs))
        return np.asarray(turned)

    @cached_property
    def _weights(self) -> npt.NDArray[np.float32]:
        """One product for all steps (features, n): (I - uu')(I - vv').. is I - U'TU with T triangular (the compact WY form
        of Schreiber and Van Loan, SIAM J. Sci. Stat. Comput. 10, 1989); T is the identity for orthogonal directions."""
        inner = self.vectors @ self.vectors.T
        steps = np.eye(len(self))
        for k in range(1, len(self)):
            steps[:k, k] = -steps[:k, :k] @ inner[:k, k]
        return np.asarray((self.vectors.T @ steps).astype(np.float32))


def moments_of(tokens: npt.NDArray[Any]) -> Moments:
    """Return the moments of tokens (n, features) of any float type; raises ModelError for tokens that are not finite."""
    mean, _ = moments(tokens)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(tokens), _BLOCK):
        centred = tokens[start : start + _BLOCK] - mean
        covariance += centred.T @ centred
    return Moments(len(tokens), mean, covariance / len(tokens))


def unit_length(tokens: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return tokens (..., features) divided by their length, in their own type if that has 32 bits or more; zeros stay zeros."""
    tokens = tokens.astype(np.promote_types(tokens.dtype, np.float32), copy=False)
    length = np.linalg.norm(tokens, axis=-1, keepdims=True)
    return np.asarray(tokens / np.maximum(length, np.finfo(np.float32).tiny))


def top_components(training: Moments) -> Directions:
    """Return all principal axes of the training tokens, that of the highest variance first."""
    return Directions(np.linalg.eigh(training.covariance)[1][:, ::-1].T)


def black_directions(black: npt.NDArray[Any]) -> Directions:
    """Return the directions in which the tokens (patches, features) of a black image differ, the strongest first.

    As INSID3 (CVPR 2026, github.com/visinf/INSID3, Apache-2.0) finds the positions of its tokens: divided by their length, centred, and decomposed
    into singular vectors. There are fewer than patches, and none where all tokens are the same, as those of raw pixels are: directions
    no stronger than what the rounding of their stored type makes are left out.
    """
    unit = unit_length(black.astype(np.float64))
    unit -= unit.mean(axis=0)
    _, strengths, vectors = np.linalg.svd(unit, full_matrices=False)
    # The largest singular value of independent errors is about their deviation times the roots of both sides; twice that.
    deviation = max(_ROUNDING, float(np.finfo(black.dtype).eps)) / np.sqrt(12 * unit.shape[1])
    least = 2 * deviation * (np.sqrt(unit.shape[0]) + np.sqrt(unit.shape[1]))
    return Directions(vectors[: np.count_nonzero(strengths > least)])


def position_planes(training: Moments, places: PlaceMeans, count: int, *, penalty: float) -> Directions:
    """Return the first ``count`` of the directions that tell row and column of a token best, plane after plane.

    As RASA (Franca, github.com/valeoai/Franca, Apache-2.0): a linear map from tokens to row and column, each from 0 to 1, spans a
    plane; the next map is fitted on tokens without it. There the maps are trained by gradient descent through a sigmoid;
    here they are ridge regressions in closed form, on centred tokens, with the penalty times the mean variance of a feature
    added to every variance. A plane gives two directions, that of the row and what the column has beside it; an odd
    ``count`` leaves the last column out. ``places`` are of the tokens that ``training`` is of. There are fewer directions
    where nothing more of the position is in the tokens, up to rounding.
    """
    covariance = training.covariance.copy()
    wanted = places.coordinates()
    wanted = (wanted - places.share @ wanted) * places.share[:, None]
    # Of tokens with a position, only the sums at each place matter.
    shared = wanted.T @ (places.mean - training.mean)
    ridge = (
        penalty
        * max(float(np.trace(covariance)) / len(covariance), np.finfo(np.float64).tiny)
        * np.eye(len(covariance))
    )
    least = _NOTHING * float(np.linalg.norm(shared))
    found = np.empty((0, len(covariance)))
    while len(found) < count:
        shared = shared[np.linalg.norm(shared, axis=1) > least]
        if not len(shared):
            break
        plane = cho_solve(cho_factor(covariance + ridge), shared.T).T
        new = gram_schmidt(plane - (plane @ found.T) @ found, found)
        if not len(new):
            break
        found = np.concatenate([found, new])
        covariance -= new.T @ (new @ covariance)
        covariance -= (covariance @ new.T) @ new
        shared = shared - (shared @ new.T) @ new
    return Directions(found[:count])


def plane_directions(planes: Float64) -> Directions:
    """Return what given planes (planes, vectors of each, features), as those of a trained RASA head, take away one after another.

    The vectors of a plane are made orthogonal in their order (Gram and Schmidt); planes need not be orthogonal to each other.
    """
    none = np.empty((0, planes.shape[-1]))
    return Directions(np.concatenate([none, *(gram_schmidt(plane.astype(np.float64), none) for plane in planes)]))


def gram_schmidt(vectors: Float64, beside: Float64) -> Float64:
    """Return unit vectors (at most n, features) that span ``vectors`` (n, features) and are orthogonal to each other, in their order.

    They are made orthogonal to those ``beside``, which are so already, up to rounding; what is nothing but rounding is left out.
    """
    found = beside
    for vector in vectors:
        left = vector
        for _ in range(2):  # once more, for what rounding left
            left = left - (left @ found.T) @ found
        length = float(np.linalg.norm(left))
        if length > _NOTHING * float(np.linalg.norm(vector)):
            found = np.concatenate([found, left[None] / length])
    return found[len(beside) :]


def too_few(key: str, asked: int, found: int, of: str) -> ModelError:
    """Return the error for a variant of more directions than there are."""
    return ModelError(
        f"{key}.features is {asked}, but {of} has {found} directions: take fewer"
        if found
        else f"{key}: {of} has no directions, so there is nothing to take away: remove the variant"
    )
