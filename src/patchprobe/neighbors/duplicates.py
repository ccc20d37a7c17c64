"""Bank rows that repeat an earlier row: they are searched once."""

from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.neighbors.blocks import slices


def first_occurrences(tokens: npt.NDArray[Any], groups: npt.NDArray[np.intp], block: int) -> npt.NDArray[np.intp]:
    """Return for each row the first row of its group that it repeats, or itself (also where hashes collide).

    ``tokens`` (N, K), ``groups`` (N,); ``block`` rows are converted at a time.
    """
    factors = np.random.default_rng(0).integers(1, 2**63, tokens.shape[1] + 1, np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(tokens), np.uint64)
    for rows in slices(len(tokens), block):
        bits = (tokens[rows].astype(np.float64) + 0.0).view(np.uint64)  # + 0.0: -0.0 becomes 0.0
        bits ^= bits >> np.uint64(32)
        bits *= factors[1:]
        hashes[rows] = bits.sum(axis=1, dtype=np.uint64) + groups[rows].astype(np.uint64) * factors[0]
    _, first, number = np.unique(hashes, return_index=True, return_inverse=True)
    first = first[number]
    later = np.flatnonzero(first != np.arange(len(tokens)))
    for part in slices(len(later), block):
        again = later[part]
        other = (tokens[again] != tokens[first[again]]).any(axis=1) | (groups[again] != groups[first[again]])
        first[again[other]] = again[other]
    return first
