"""Reconstruction (protocol section 9): the scores of tiles as measurements, with intervals over images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.scoring.bootstrap import ratio_intervals

PROTOCOL = "reconstruction-v1"

HIGHEST_PSNR = 20 * np.log10(255 * np.sqrt(12))
"""What rounding to 8 bits leaves, 58.9 dB: no PSNR of a tile counts as more, since one of equal pixels would be infinite."""


def measure(
    reconstructions: xr.Dataset, *, dataset: str, model: str, bootstrap: Mapping[str, Any], seed: int, spec: str
) -> list[dict[str, Any]]:
    """Return a row for every metric, share of masked patches and setting: the mean over tiles.

    ``reconstructions`` is the store that :func:`patchprobe.analyses.reconstruction.reconstructing.reconstruct` describes. The
    setting is the ``variant`` of a row, the share its place ``at`` on the axis. Without a hidden patch there is no row of
    ``mse_hidden``.
    """
    score = reconstructions["score"].to_numpy().astype(np.float64)
    metrics = reconstructions["metric"].to_numpy().tolist()
    ratio = metrics.index("psnr")
    score[ratio] = np.minimum(score[ratio], HIGHEST_PSNR)
    images = reconstructions["image_id"].to_numpy()
    mean = score.mean(axis=-1)
    low, high = _interval(score, images, bootstrap, seed)
    common = {
        "dataset": dataset,
        "model": model,
        "axis": "masked_patches",
        "layer": int(reconstructions.attrs["block"]),
        "corruption": "clean",
        "level": 0.0,
        "method": "decoder",
        "protocol": PROTOCOL,
        "class": "",
        "n": score.shape[-1],
        "seed": seed,
        "spec": spec,
    }
    rows = []
    for place in np.ndindex(mean.shape):
        metric, share, setting = place
        if np.isnan(mean[place]):
            continue
        rows.append(
            common
            | {
                "metric": str(metrics[metric]),
                "at": float(reconstructions["masked"].to_numpy()[share]),
                "variant": str(reconstructions["setting"].to_numpy()[setting]),
                "value": float(mean[place]),
                "ci_low": float(low[place]),
                "ci_high": float(high[place]),
            }
        )
    return rows


def _interval(
    score: npt.NDArray[np.float64], images: npt.NDArray[Any], bootstrap: Mapping[str, Any], seed: int
) -> npt.NDArray[np.float64]:
    """Return the ends (2, ...) of the intervals of the means over the last axis, tiles; whole images are drawn."""
    names, image = np.unique(images, return_inverse=True)
    per_tile = np.moveaxis(score, -1, 0).reshape(len(image), -1)
    sums = np.zeros((len(names), 1 + per_tile.shape[1]))
    np.add.at(sums, image, np.concatenate([np.ones((len(image), 1)), per_tile], axis=1))
    columns = np.arange(1, sums.shape[1])
    _, ends = ratio_intervals(sums, columns, [0], **bootstrap, rng=np.random.default_rng(seed))
    return ends.reshape(2, *score.shape[:-1])
