"""Overlap of high-variance features between data sets (protocol section 5 h), from their variances alone."""

import logging
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from patchprobe.tokens.transforms import by_variance, feature_count

PROTOCOL = "variance-overlap-v1"
PAPER_FEATURES = 768
"""Features of the models of arXiv 2401.00463, of which it compares 200."""

_log = logging.getLogger(__name__)


def measure(spectra: pd.DataFrame, *, model: str, features: float, seed: int, spec: str) -> list[dict[str, Any]]:
    """Return the measurement rows of a model for every pair of data sets.

    ``spectra`` are the rows of :mod:`patchprobe.analyses.variance_spectrum.measure` of the model on all data sets,
    ``features`` the number of features of highest variance to compare, or below 1 their share. ``shared_features`` is
    the share of these that both data sets have, ``shared_features_by_chance`` what two independent draws would share
    on average. A model that has no more features than that is compared by the share that they are of 768, as the paper's
    models have them, and it is logged.
    """
    variances = {
        str(dataset): part.sort_values("feature")["value"].to_numpy(float)
        for dataset, part in spectra.groupby("dataset", sort=True)
    }
    rows: list[dict[str, Any]] = []
    for one, other in combinations(variances, 2):
        total = len(variances[one])
        count = feature_count(features, total)
        if count >= total:
            asked, count = count, feature_count(min(features / PAPER_FEATURES, 0.5), total)
            _log.warning("the model has %d features, and not more than %d: %d are compared", total, asked, count)
        shared = np.intersect1d(by_variance(variances[one])[:count], by_variance(variances[other])[:count])
        common = {
            "dataset": one,
            "other_dataset": other,
            "model": model,
            "variant": "",
            "layer": int(spectra["layer"].iloc[0]),
            "corruption": "clean",
            "level": 0.0,
            "method": "",
            "protocol": PROTOCOL,
            "class": "",
            "ci_low": np.nan,
            "ci_high": np.nan,
            "n": count,
            "seed": seed,
            "spec": spec,
        }
        rows.append(common | {"metric": "shared_features", "value": len(shared) / count})
        rows.append(common | {"metric": "shared_features_by_chance", "value": count / total})
    return rows
