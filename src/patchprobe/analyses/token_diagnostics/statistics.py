"""Numbers of a set of patch tokens: rank, lengths, position, neighbours. Where each comes from says its function."""

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, svdvals

from patchprobe.tokens.places import PlaceMeans

Float64 = npt.NDArray[np.float64]
# That of the code of RankMe's users, RADIO's ssl_metrics: added to the sum of singular values.
_RANKME_EPSILON = 1e-7
# The median distance to the median of normal numbers is their deviation divided by this.
_NORMAL = 1.4826


def rankme(tokens: npt.NDArray[np.floating]) -> float:
    """Return RankMe of tokens (n, features): the exponential of the entropy of their singular values, as they are, not centred.

    Garrido, Balestriero, Najman and LeCun, ICML 2023, arXiv 2210.02885, with the constant of github.com/NVlabs/RADIO.
    Of tokens that are centred it is the effective rank of Roy and Vetterli, EUSIPCO 2007. 0 for tokens that are all zero.
    """
    tokens = tokens.astype(np.float64)
    if len(tokens) > tokens.shape[1]:
        (tokens,) = qr(tokens, mode="r", check_finite=False)
        tokens = tokens[: tokens.shape[1]]
    values = svdvals(tokens)
    shares = values / (values.sum() + _RANKME_EPSILON)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def participation_ratio(covariance: Float64) -> float:
    """Return (sum of eigenvalues)^2 / sum of their squares of a covariance (features, features): how many axes share the variance.

    It is 1 for a single axis, the number of features for equal ones, and 0 where nothing varies.
    """
    squares = float(np.square(covariance).sum())
    return float(np.trace(covariance)) ** 2 / squares if squares > 0 else 0.0


def relative_cut(lengths: Float64, deviations: float) -> float:
    """Return the median of ``lengths`` and so many robust deviations above it."""
    median = float(np.median(lengths))
    return median + deviations * _NORMAL * float(np.median(np.abs(lengths - median)))


def position_share(places: PlaceMeans, mean: Float64, total: float) -> tuple[float, float]:
    """Return which share of the variance of tokens their place on the grid explains, and what it would by chance.

    ``mean`` (features,) is that of all tokens, ``total`` the sum of their variances. The share is that of the variance between the means of
    places; by chance, of tokens that do not depend on it, it is (places - 1) / (tokens - 1) on average. 0 where nothing varies.
    """
    between = float(places.share @ np.square(places.mean - mean).sum(axis=1))
    count, tokens = np.count_nonzero(places.count), int(places.count.sum())
    return between / total if total > 0 else 0.0, (count - 1) / max(tokens - 1, 1)


class Distances:
    """Pairs of patches of a grid by how far they lie apart: the distance between centres, rounded, in patches."""

    def __init__(self, grid: tuple[int, int]) -> None:
        row, column = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
        apart = np.hypot(np.subtract.outer(row, row), np.subtract.outer(column, column))
        self._bins = np.rint(apart).astype(np.intp).ravel()
        self.count = np.bincount(self._bins)
        self.known = np.arange(1, max(grid))
        """The distances that are told: all up to the longer side of the grid."""

    def sums(self, centred: npt.NDArray[np.floating]) -> Float64:
        """Return the sum of cosines over the pairs at each known distance, of the tokens (patches, features) of one tile.

        Tokens are centred by the mean of all tiles: what all have in common would make every cosine high. One of length 0 has the cosine 0.
        """
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = centred / np.where(length > 0, length, 1)
        sums = np.bincount(self._bins, weights=(unit @ unit.T).ravel(), minlength=len(self.count))
        return np.asarray(sums[self.known], np.float64)


def at_border(grid: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which places of a grid (rows, columns), rows first, lie at its border."""
    inner = np.zeros(grid, bool)
    inner[1:-1, 1:-1] = True
    return ~inner.ravel()
