"""Scores of predicted patch classes, over patches and over pixels, with intervals over images (protocol section 3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import DataError
from patchprobe.scoring.bootstrap import percentile_intervals
from patchprobe.scoring.metrics import accuracy, class_iou, confusion_matrices, mean_iou
from patchprobe.tiles.patches import paint, patch_labels

METHODS = ("1-nn", "linear")
METRICS = {"accuracy": accuracy, "miou": mean_iou, "iou": class_iou}

_Metric = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]


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
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield ``class``, ``metric``, ``value``, ``ci_low``, ``ci_high`` and ``n`` of every metric and class.

    ``ids`` are class ids (tile, patch) on a patch ``grid`` (rows, columns), ``maps`` the label maps (tile, y, x),
    ``images`` the image of each tile, ``classes`` the attributes of the label store. For pixel metrics the
    prediction of a patch is painted over its pixels. ``groups`` are names of classes by the name of their group: the
    metric ``miou_<group>`` is the mean over those of them that are in truth or prediction, left out where none is.
    Every call draws the same images for its intervals, so that
    scores of one data set can be compared draw by draw. Raises DataError, which names ``of``, if nothing has a class.
    """
    names, image = np.unique(images, return_inverse=True)
    metrics: dict[str, _Metric] = dict(METRICS)
    for group, members in (groups or {}).items():
        metrics[f"miou_{group}"] = _mean_over([classes["class_names"].index(name) for name in members])
    truth = patch_labels(maps, grid).reshape(len(image), -1)
    painted = paint(ids.reshape(len(image), *grid), maps.shape[-2:])
    for unit, (expected, found, places) in {
        "patch": (truth, ids, image[:, None]),
        "pixel": (maps, painted, image[:, None, None]),
    }.items():
        confusions = confusion_matrices(
            expected, found, places, images=len(names), class_ids=classes["class_ids"], void=classes["void_id"]
        )
        yield from confusion_scores(confusions, unit, classes, of=of, bootstrap=bootstrap, seed=seed, metrics=metrics)


def confusion_scores(
    confusions: npt.NDArray[np.int64],
    unit: str,
    classes: Mapping[str, Any],
    *,
    of: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    metrics: Mapping[str, Any] = METRICS,
) -> Iterator[dict[str, Any]]:
    """Yield what :func:`patch_scores` does for one ``unit`` from confusions (images, classes, classes).

    ``metrics`` are functions of confusions by name: ``iou`` has a value per class, others have one, and are left out
    where it is not defined.
    """
    if not confusions.any():
        raise DataError(f"no {unit} of {of} has a class: draw other evaluation images, or corrupt them less")
    intervals = percentile_intervals(confusions, metrics, **bootstrap, rng=np.random.default_rng(seed))
    total = confusions.sum(axis=0)
    for metric, function in metrics.items():
        values = np.atleast_1d(function(total))
        if metric != "iou" and np.isnan(values[0]):
            continue
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


def _mean_over(places: Sequence[int]) -> _Metric:
    """Return the metric that is the mean over the IoUs at ``places`` that are not NaN; NaN where all are."""

    def mean(confusion: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        iou = class_iou(confusion)[..., places]
        with np.errstate(invalid="ignore"):
            return np.asarray(np.nansum(iou, axis=-1) / np.isfinite(iou).sum(axis=-1))

    return mean
