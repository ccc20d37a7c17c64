"""Full images: both classifiers on tokens of images that are seen whole, for comparison with tiles (protocol section 5 j).

Memory bank, probe and scores are those of patch classification on clean tiles, with full images in place of tiles.
"""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from patchprobe.analyses.clean_predictions import classify_clean
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.tokens.labelled import labelled_tokens

PROTOCOL = "full-images-v1"


def full_image_rows(
    features: xr.Dataset,
    labels: xr.Dataset,
    options: ProbeOptions,
    *,
    model: str,
    seed: int,
    threads: int,
    device: str = "cpu",
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every method, metric and class, with intervals over images.

    ``features`` and ``labels`` are the token store and the label store of full images, one tile for each; ``device`` is
    where neighbours are searched, ``columns`` are those of :func:`patchprobe.scoring.clean_scores.clean_rows`. Raises DataError if no training patch, or nothing that was
    classified, has a class.
    """
    training = labelled_tokens(features, labels, "train")
    rows = []
    for method, ids in classify_clean(training, features, options, seed=seed, threads=threads, device=device):
        own: dict[str, Any] = {"model": model, "method": method, "protocol": PROTOCOL}
        rows += clean_rows(ids, features, labels, seed=seed, **own, **columns)
    return rows


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    linear: Mapping[str, Any],
    probe: Mapping[str, Any],
    threads: int,
    device: str = "cpu",
    **more: Any,
) -> list[dict[str, Any]]:
    """Return the rows of :func:`full_image_rows`, with the options of :class:`patchprobe.probes.fitting.ProbeOptions`."""
    return full_image_rows(tokens, labels, ProbeOptions(**linear, **probe), threads=threads, device=device, **more)
