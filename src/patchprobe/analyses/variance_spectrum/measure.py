"""Variance spectrum: how the variance of tokens is spread over their features (protocol section 5 e)."""

from typing import Any

import numpy as np
import xarray as xr

from patchprobe.tokens.labelled import LabelledTokens, labelled_tokens, training_split
from patchprobe.tokens.transforms import moments

PROTOCOL = "variance-spectrum-v1"


def variance_rows(
    training: LabelledTokens, *, dataset: str, model: str, layer: int, seed: int, spec: str
) -> list[dict[str, Any]]:
    """Return a measurement row for every feature: its variance over the training patches of one layer.

    These are the variances by which variants and the removal sweep choose features.
    """
    _, variance = moments(training.tokens)
    common = {
        "dataset": dataset,
        "model": model,
        "variant": "",
        "layer": layer,
        "corruption": "clean",
        "level": 0.0,
        "method": "",
        "protocol": PROTOCOL,
        "class": "",
        "metric": "feature_variance",
        "ci_low": np.nan,
        "ci_high": np.nan,
        "n": len(training.tokens),
        "seed": seed,
        "spec": spec,
    }
    return [common | {"feature": feature, "value": float(value)} for feature, value in enumerate(variance)]


def measure(tokens: xr.Dataset, labels: xr.Dataset, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of :func:`variance_rows` for the last layer of a token store with its label store."""
    training = labelled_tokens(tokens, labels, training_split(tokens))
    return variance_rows(training, layer=int(tokens.layer.values[-1]), **more)
