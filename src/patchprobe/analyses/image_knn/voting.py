"""The votes of the nearest training images for the class of an image."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Vote(NamedTuple):
    """Who votes, the ``k`` nearest, and how much a vote counts.

    With a ``temperature`` T one of similarity s counts exp(s / T), as in Wu et al. (CVPR 2018, arXiv 1805.01978) and in the
    code of DINO, lightly and Scale-MAE; without one each counts 1.
    """

    k: int
    temperature: float | None = None


# The k-NN of Scale-MAE's evaluation: mae/eval/knn.py of bair-climate-initiative/scale-mae (89280d83), by cosine.
SCALE_MAE = Vote(20, 0.07)


def class_scores(
    classes: npt.NDArray[np.integer[Any]], similarities: npt.NDArray[np.floating[Any]], vote: Vote, *, count: int
) -> npt.NDArray[np.float64]:
    """Return the votes for each of ``count`` classes, float64 (queries, count).

    ``classes`` (queries, neighbours) are numbers from 0 on, ``similarities`` cosines of the same shape, nearest first; where there
    are fewer neighbours than should vote, all do.
    """
    classes, similarities = classes[:, : vote.k], similarities[:, : vote.k].astype(np.float64)
    weights = np.ones(classes.shape) if vote.temperature is None else np.exp(similarities / vote.temperature)
    scores = np.zeros((len(classes), count))
    np.add.at(scores, (np.arange(len(classes))[:, None], classes), weights)
    return scores


def winners(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the class of most votes (queries,); of equals the one of the smaller number, as scikit-learn does."""
    return scores.argmax(axis=1)
