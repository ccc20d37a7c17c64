"""Measurement rows of classes that were predicted for the patches of clean evaluation tiles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.scoring.patch_scores import patch_scores
from patchprobe.tokens.labelled import grid


def clean_rows(
    ids: npt.NDArray[np.uint8],
    features: xr.Dataset,
    labels: xr.Dataset,
    *,
    dataset: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    groups: Mapping[str, Sequence[str]] | None = None,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the rows of every metric and class, with intervals over images.

    ``ids`` are class ids (tile, patch) of the evaluation tiles of the token store ``features``, whose last layer they
    come from; ``labels`` is the label store, ``groups`` as in :func:`patchprobe.scoring.patch_scores.patch_scores`, and
    ``columns`` are further columns of the rows. Raises DataError if nothing that was classified has a class.
    """
    evaluated = features.isel(tile=np.flatnonzero(features.split.values == "evaluation"))
    scores = patch_scores(
        ids,
        grid(features),
        labels.label.sel(tile=evaluated.tile.values).values,
        evaluated.image_id.values,
        labels.attrs,
        of=f"{dataset} on clean tiles",
        bootstrap=bootstrap,
        seed=seed,
        groups=groups,
    )
    return [clean_columns(features, dataset=dataset, seed=seed) | columns | score for score in scores]


def clean_columns(features: xr.Dataset, *, dataset: str, seed: int) -> dict[str, Any]:
    """Return the columns that all rows on clean tiles share, for a model as it is and the last layer of ``features``."""
    return {
        "dataset": dataset,
        "variant": "",
        "layer": int(features.layer.values[-1]),
        "corruption": "clean",
        "level": 0.0,
        "seed": seed,
    }
