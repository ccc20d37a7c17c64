"""Paired differences between models and variants on the same evaluation images (protocol section 5, uncertainty).

Two models whose intervals overlap can still differ for certain, because hard images are hard for both. So each resample
of images is drawn once for all models, and the difference of two models is taken resample by resample (Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, doi:10.1017/CBO9780511802843).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.errors import DataError
from patchprobe.scoring.bootstrap import percentiles, resampled_values
from patchprobe.scoring.metrics import accuracy, confusion_matrices, mean_iou
from patchprobe.tiles.patches import paint

PROTOCOL = "paired-differences-v1"
COLUMNS = (
    "dataset", "model", "variant", "other_model", "other_variant", "method", "protocol", "metric", "value", "ci_low",
    "ci_high", "excludes_zero", "images", "seed", "spec",
)  # fmt: skip
_METRICS = {"pixel_miou": mean_iou, "pixel_accuracy": accuracy}


def measure(
    predictions: Sequence[xr.Dataset],
    labels: xr.Dataset,
    *,
    views: Sequence[tuple[str, str]],
    dataset: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> pd.DataFrame:
    """Return a row of ``COLUMNS`` for every pair, method and metric: ``value`` is the first minus the other.

    ``predictions`` are stores of clean tiles, one for each (model, variant) of ``views``, which pair up in their order;
    ``labels`` is the label store. ``excludes_zero`` says whether the interval lies on one side of 0; without an interval, with fewer than two
    evaluation images, both ends are NaN and it is false. Intervals are those of single pairs, not corrected for their
    number. Raises DataError if no evaluation pixel has a class.
    """
    pairs = [(model, variant) for model, variant in views]
    points: dict[tuple[tuple[str, str], str, str], float] = {}
    resampled: dict[tuple[tuple[str, str], str, str], npt.NDArray[np.float64]] = {}
    methods: list[str] = []
    images = 0
    for view, store in zip(pairs, predictions, strict=True):
        methods = [str(method) for method in store.method.values]
        for place, method in enumerate(methods):
            confusions = _confusions(store, place, labels, dataset)
            images = len(confusions)
            values = resampled_values(
                confusions, _METRICS, resamples=bootstrap["resamples"], rng=np.random.default_rng(seed)
            )
            for metric, function in _METRICS.items():
                points[view, method, metric] = float(function(confusions.sum(axis=0)))
                resampled[view, method, metric] = values[metric]
    rows = []
    for (first, other), method, metric in _pairs(pairs, methods):
        value = points[first, method, metric] - points[other, method, metric]
        low, high = np.nan, np.nan
        if images > 1:
            low, high = percentiles(
                resampled[first, method, metric] - resampled[other, method, metric], bootstrap["level"]
            )
        found = (value, float(low), float(high), bool(low > 0 or high < 0), images, seed, spec)
        rows.append((dataset, *first, *other, method, PROTOCOL, metric, *found))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _pairs(views: Sequence[tuple[str, str]], methods: Sequence[str]) -> list[tuple[Any, str, str]]:
    return [(pair, method, metric) for pair in combinations(views, 2) for method in methods for metric in _METRICS]


def _confusions(store: xr.Dataset, method: int, labels: xr.Dataset, dataset: str) -> npt.NDArray[np.int64]:
    """Return the pixel confusions (images, classes, classes) of one method on clean tiles, images sorted."""
    grid = (int(store["patch_row"].max()) + 1, int(store["patch_col"].max()) + 1)
    ids = store.prediction.isel(method=method, level=0).values
    maps = labels.label.sel(tile=store.tile.values).values
    names, image = np.unique(store.image_id.values, return_inverse=True)
    confusions = confusion_matrices(
        maps,
        paint(ids.reshape(len(ids), *grid), maps.shape[1:]),
        image[:, None, None],
        images=len(names),
        class_ids=labels.attrs["class_ids"],
        void=labels.attrs["void_id"],
    )
    if not confusions.any():
        raise DataError(f"no pixel of {dataset} on clean tiles has a class: draw other evaluation images")
    return confusions
