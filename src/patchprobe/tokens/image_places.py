"""What position alone makes of the patch tokens of whole images: the mean token of each place, and the tokens of a black image.

Of whole images only pooled features are kept, with the mean and covariance of their tokens (:mod:`patchprobe.tokens.image_features`). Variants
that are fitted on positions need more; it takes one more look at the training images, for models with such a variant alone.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from patchprobe.models.backbone import Backbone
from patchprobe.progress import Progress
from patchprobe.stores.build import Build
from patchprobe.tokens.extraction import BATCH_SIZE, Precision, full_float32
from patchprobe.tokens.image_features import batches, tokens_of
from patchprobe.tokens.image_settings import Setting


def extract_image_places(
    build: Build,
    images: xr.Dataset,
    card: Mapping[str, Any],
    load: Callable[[Setting], Backbone],
    *,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    device: str = "cpu",
) -> None:
    """Write, for each thing that a model is told at the largest size, what :func:`patchprobe.tokens.places.read_image_places` reads.

    Arguments are those of :func:`patchprobe.tokens.image_features.extract_image_features`. Writes ``place_mean`` float64 (fit, patch, feature),
    the mean tokens of the training images, ``place_count`` int64 (fit, patch), their number, and ``black`` float32 (fit, patch, feature), with the coordinates
    ``patch_row``, ``patch_col`` and ``fit_told``.
    """
    settings: list[Setting] = card["settings"]
    largest = max(one.relative_size for one in settings)
    fits = [one for one in settings if one.relative_size == largest]
    features, patches = card["features"], fits[0].patches
    shape, dims = (len(fits), patches), ("fit", "patch")
    count = build.array("place_count", shape, (1, patches), np.int64, dims)
    mean, black = (
        build.array(key, (*shape, features), (1, patches, features), dtype, (*dims, "feature"))
        for key, dtype in (("place_mean", np.float64), ("black", np.float32))
    )
    rows, columns = np.indices(fits[0].grid)
    build.coordinate("patch_row", rows.ravel(), ("patch",))
    build.coordinate("patch_col", columns.ravel(), ("patch",))
    build.coordinate("fit_told", np.array([one.told for one in fits]), ("fit",))
    units = {f"fit {i}": i for i in range(len(fits))}
    learnt = images.isel(tile=np.flatnonzero(images["split"].to_numpy() == "train"))
    number, at_once = learnt.sizes["tile"], batch_size or BATCH_SIZE[torch.device(device).type]
    with Progress(file=sys.stderr, total=len(fits) * number, desc="places", unit="image") as progress:
        for unit in build.pending(list(units)):
            place = units[unit]
            model = load(fits[place])
            nothing = np.zeros((1, *images["image"].shape[2:]), np.uint8)
            with torch.inference_mode(), full_float32():
                sums = torch.zeros(patches, features, dtype=torch.float64)
                for _, pixels in batches(learnt, slice(0, number), at_once):
                    sums += tokens_of(model, pixels, fits[place], precision, device).patch[0].double().sum(dim=0).cpu()
                    progress.update(len(pixels))
                dark = tokens_of(model, nothing, fits[place], precision, device).patch[0, 0].float().cpu()
            count[place] = number
            mean[place] = sums.numpy() / number
            black[place] = dark.numpy()
            build.finish(unit)
