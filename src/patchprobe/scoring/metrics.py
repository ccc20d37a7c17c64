"""Segmentation scores from confusion matrices, of patches and of pixels alike.

A confusion matrix counts truth along its rows and predictions along its columns. Counts add up: the confusion of a
data set is the sum over its images, and a bootstrap over images sums resampled ones. All scores take stacks
(..., classes, classes) and return one value or one row of values per matrix.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import DataError


def confusion_matrices(
    truth: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    image: npt.NDArray[Any],
    *,
    images: int,
    class_ids: Sequence[int],
    void: int,
) -> npt.NDArray[np.int64]:
    """Count truth against prediction for each image: int64 (images, classes, classes), classes as in ``class_ids``.

    ``truth`` and ``predicted`` are class ids (non-negative integers) of one shape; ``image`` is the number of the
    image (0 .. images - 1) and broadcasts against them, so maps (n, H, W) go with an image index (n, 1, 1).
    Elements whose truth is ``void`` are left out, whatever is predicted there. Raises DataError for a truth that is
    neither a class nor void, and for a prediction, where it counts, that is no class.
    """
    if truth.shape != predicted.shape:
        raise DataError(f"truth has shape {truth.shape} and predictions {predicted.shape}: give maps of one size")
    scored = truth != void
    truth, predicted = truth[scored], predicted[scored]
    image = np.broadcast_to(image, scored.shape)[scored].astype(np.int64)
    if image.size and (image.min() < 0 or image.max() >= images):
        raise DataError(
            f"image indices run from {image.min()} to {image.max()}, but there are {images} images: give the index of an image"
        )
    count = len(class_ids)
    cells = _positions(truth, class_ids, "truth") * count
    cells += _positions(predicted, class_ids, "predictions")
    cells += image * count**2
    return np.bincount(cells, minlength=images * count**2).reshape(images, count, count)


def accuracy(confusion: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the share of correct elements (...,); NaN where nothing was counted."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def class_iou(confusion: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return intersection over union (..., classes); NaN for a class that is in neither truth nor predictions."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _ratio(hits, confusion.sum(axis=-1) + confusion.sum(axis=-2) - hits)


def mean_iou(confusion: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the mean (...,) of the class IoUs that are not NaN; NaN where all are."""
    iou = class_iou(confusion)
    return _ratio(np.nansum(iou, axis=-1), np.isfinite(iou).sum(axis=-1))


def _positions(ids: npt.NDArray[Any], class_ids: Sequence[int], what: str) -> npt.NDArray[np.int64]:
    """Replace class ids by their places in ``class_ids``."""
    known = np.asarray(class_ids, np.int64)
    table = np.full(known.max(initial=0) + 1, -1, np.int64)
    table[known] = np.arange(len(known))
    outside = (ids < 0) | (ids >= len(table))
    places = table[np.where(outside, 0, ids)]
    unknown = ids[outside | (places < 0)]
    if unknown.size:
        raise DataError(
            f"{what}: the ids {np.unique(unknown)[:10].tolist()} are not among the classes "
            f"{known.tolist()}; check the class list of the data set"
        )
    return places


def _ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.true_divide(numerator, denominator))
