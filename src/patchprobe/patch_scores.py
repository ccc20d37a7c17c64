"""Scores of predicted patch classes, over patches and over pixels, with intervals over images (protocol section 3)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.bootstrap import percentile_intervals
from patchprobe.errors import DataError
from patchprobe.metrics import accuracy, class_iou, confusion_matrices, mean_iou
from patchprobe.patches import paint, patch_labels

METHODS = ("1-nn", "linear")
_METRICS = {"accuracy": accuracy, "miou": mean_iou, "iou": class_iou}


def patch_scores(
    ids: npt.NDArray[Any],
    grid: tuple[int, int],
    maps: npt.NDArray[np.uint8],
    images: npt.NDArray[np.str_],
    classes: Mapping[str, Any],
    *,
    of: str,
    bootstrap: Mapping[str, Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield ``class``, ``metric``, ``value``, ``ci_low``, ``ci_high`` and ``n`` of every metric and class.

    ``ids`` are class ids (tile, patch) on a patch ``grid`` (rows, columns), ``maps`` the label maps (tile, y, x),
    ``images`` the image of each tile, ``classes`` the attributes of the label store. For pixel metrics the
    prediction of a patch is painted over its pixels. Every call draws the same images for its intervals, so that
    scores of one data set can be compared draw by draw. Raises DataError, which names ``of``, if nothing has a class.
    """
    names, image = np.unique(images, return_inverse=True)
    truth = patch_labels(maps, grid).reshape(len(image), -1)
    painted = paint(ids.reshape(len(image), *grid), maps.shape[-2:])
    for unit, (expected, found, places) in {
        "patch": (truth, ids, image[:, None]),
        "pixel": (maps, painted, image[:, None, None]),
    }.items():
        confusions = confusion_matrices(
            expected, found, places, images=len(names), class_ids=classes["class_ids"], void=classes["void_id"]
        )
        if not confusions.any():
            raise DataError(f"no {unit} of {of} has a class: draw other evaluation images, or corrupt them less")
        intervals = percentile_intervals(confusions, _METRICS, **bootstrap, rng=np.random.default_rng(seed))
        total = confusions.sum(axis=0)
        for metric, function in _METRICS.items():
            values = np.atleast_1d(function(total))
            low, high = (np.atleast_1d(end) for end in intervals[metric])
            for i, name in enumerate(classes["class_names"] if metric == "iou" else [""]):
                yield {
                    "class": name,
                    "metric": f"{unit}_{metric}",
                    "value": float(values[i]),
                    "ci_low": float(low[i]),
                    "ci_high": float(high[i]),
                    "n": int(total.sum()),
                }
