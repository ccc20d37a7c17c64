"""Classes for clusters, and what they score: as the code of NeCo, Leopart and Franca (PredsmIoU), from counts alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """Pixels (..., classes) that clusters' classes have right (``hits``), wrongly (``false``) and not (``missed``)."""

    hits: Counts
    false: Counts
    missed: Counts


def match_one_to_one(counts: Counts) -> Counts:
    """Return the class (clusters,) of each cluster, so that the sum of IoU is greatest and no class has two (Hungarian method).

    ``counts`` (clusters, classes) are pixels. Clusters that no class is left for get the first class, as in the official code.
    """
    union = counts.sum(axis=1)[:, None] + counts.sum(axis=0) - counts
    clusters, classes = linear_sum_assignment(counts / np.maximum(union, 1), maximize=True)
    found = np.zeros(len(counts), np.int64)
    found[clusters] = classes
    return found


def match_by_precision(counts: Counts) -> Counts:
    """Return the class (clusters,) that most pixels (clusters, classes) of each cluster have, of equals the first.

    It is taken from the truth that is scored, so scores rise with the number of clusters whatever they are of.
    """
    return np.asarray(counts.argmax(axis=1))


def matched(counts: Counts, classes: Counts) -> Matched:
    """Return the pixels of the class of each cluster, from ``counts`` (..., clusters, classes)."""
    of_class = np.zeros((*counts.shape[:-2], counts.shape[-1], counts.shape[-1]), np.int64)  # (..., given, true)
    for cluster, name in enumerate(classes):
        of_class[..., name, :] += counts[..., cluster, :]
    hits = np.diagonal(of_class, axis1=-2, axis2=-1)
    return Matched(hits.copy(), of_class.sum(axis=-1) - hits, of_class.sum(axis=-2) - hits)


def mean_iou(hits: npt.NDArray[np.number], either: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """Return the mean IoU (...) over all classes (..., classes), of which one that is nowhere counts as 0, as in the official code.

    ``either`` are the pixels that have the class in truth or by their cluster.
    """
    return np.asarray((hits / np.maximum(either, 1)).mean(axis=-1))


def enlarged(maps: npt.NDArray[np.integer], side: int) -> npt.NDArray[np.integer]:
    """Return maps (tile, rows, columns) brought to ``side`` rows and columns by the nearest pixel, as torch's ``nearest``: pixel i takes floor(i * rows / side)."""
    rows, columns = (np.arange(side) * size // side for size in maps.shape[1:])
    return maps[:, rows[:, None], columns]
