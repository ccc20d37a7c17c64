"""Rows divided by their length, between which Euclidean distance orders as cosine similarity does."""

import numpy as np
import numpy.typing as npt


def directions(tokens: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Return tokens divided by their length, with two more features.

    They are 0 but for tokens of zeros, which get a 1 in the one that ``axis`` names: bank and queries different ones,
    so that these tokens are orthogonal to all.
    """
    norms = np.sqrt(np.square(tokens).sum(axis=1))
    found = np.zeros((len(tokens), tokens.shape[1] + 2))
    found[:, :-2] = tokens / np.where(norms > 0, norms, 1)[:, None]
    found[norms == 0, tokens.shape[1] + axis] = 1
    return found
