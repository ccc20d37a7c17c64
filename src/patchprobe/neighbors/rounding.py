"""Bounds of rounding errors (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1,
doi:10.1137/1.9780898718027), for scores of bank rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import ModelError
from patchprobe.neighbors.blocks import not_finite, slices

ROUNDOFF = {np.float32: float(np.finfo(np.float32).eps) / 2, np.float64: float(np.finfo(np.float64).eps) / 2}


def mean_and_scale(
    exact: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float64]], rows: npt.NDArray[np.intp], block: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the mean (K,) of the bank rows ``rows``, and a power of two that makes them at most one once centred.

    ``exact`` returns rows in float64 (n, K), ``block`` at a time. Subtracting the mean keeps cancellation small, the
    scale keeps squares of float32 far from overflow and underflow and is exact. Raises ModelError for rows that are
    not finite.
    """
    parts = [rows[part] for part in slices(len(rows), block)]
    with np.errstate(invalid="ignore"):  # infinite tokens are refused below
        mean: npt.NDArray[np.float64] = np.sum([exact(part).sum(axis=0) for part in parts], axis=0) / len(rows)
    if not np.isfinite(mean).all():
        raise not_finite("memory bank")
    largest = max(np.abs(exact(part) - mean).max() for part in parts)
    return mean, float(2.0 ** -np.ceil(np.log2(largest))) if largest > 0 else 1.0


def gamma(terms: int, precision: type[Any]) -> float:
    """Return the relative error that a sum of ``terms`` products in a precision can have, added in any order."""
    total = terms * ROUNDOFF[precision]
    return total / (1 - total)


def margins(
    norms: npt.NDArray[np.float64],
    radius: float,
    features: int,
    *,
    terms: int,
    square_terms: int,
    precision: type[Any],
    slack: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Return for each query how far above the lowest score that of a nearest bank row can be, both as computed.

    ``norms`` (Q,) are the lengths of the centred queries, ``radius`` the largest of the bank, ``features`` the number
    of features. A score errs by ``2 gamma(terms) |x| |y| + gamma(square_terms) |y|^2`` in its precision, by
    ``2 slack |x| |y|`` besides, and |y|^2 has been summed in float64; so has the distance that brute force computes.
    Twice that, since both scores err. Raises ModelError for queries so far away that scores would overflow.
    """
    if norms.size and not norms.max() < 2.0**60:
        raise ModelError(
            "a query token is more than 2^60 times as far from the memory bank's mean as its tokens are: "
            "the tokens are unusable; extract queries and memory bank again from one model"
        )
    bound = 2 * (gamma(terms, precision) + slack) * norms * radius
    bound += (gamma(square_terms, precision) + gamma(features, np.float64)) * radius**2
    bound += gamma(features + 2, np.float64) * (norms + radius) ** 2
    # Numbers below the smallest normal one may be flushed to zero; the bank's largest is about one.
    bound += 8 * terms * (1 + norms) * float(np.finfo(precision).tiny)
    return 2 * bound
