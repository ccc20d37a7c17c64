"""From a tile store of whole images to a store of their pooled features, at several sizes.

Of each image [CLS] and the mean of its patch tokens are kept, for every setting (:mod:`patchprobe.tokens.image_settings`). The
tokens of all blocks of 31,500 images would be 150 GB; what the transforms of features are fitted on are the mean and covariance
of the training images' patch tokens, which are kept too: of the largest size, which is the whole image.

The work is cut into units, a part of the images in one setting. A unit is the same whenever it is made, so a resumed run writes the
bytes an undisturbed one would have written.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Backbone, Tokens
from patchprobe.progress import Progress
from patchprobe.stores.build import Build
from patchprobe.tokens.extraction import AUTOCAST, BATCH_SIZE, Precision, full_float32
from patchprobe.tokens.image_settings import Setting
from patchprobe.tokens.pooled import MOMENTS
from patchprobe.tokens.transforms import Moments, joined_moments

_PARTS = 8  # of the images: few files, and a killed run goes on from the last one
_MOST_AT_ONCE = 16  # times as many small images in a batch as whole ones


def extract_image_features(
    build: Build,
    images: xr.Dataset,
    card: Mapping[str, Any],
    load: Callable[[Setting], Backbone],
    *,
    name: str,
    precision: Precision = "fp32",
    batch_size: int | None = None,
    device: str = "cpu",
) -> None:
    """Write the pooled features of all images into a store under construction.

    ``images`` is a tile store with one tile for each image, ``image`` uint8 (level, tile, y, x, channel); ``card`` is what
    :func:`patchprobe.tokens.image_settings.read_image_card` returns, and ``load`` builds the model ``models.<name>`` for a setting on it.
    Writes ``cls``, where the model has it, and ``mean``, float32 (setting, tile, feature) of the last block, and ``moment_count`` (fit, part), ``moment_mean`` (fit, part, feature) and
    ``moment_covariance`` (fit, part, feature, other_feature), float64, of the patch tokens of the training images at the largest size,
    for each thing that the model is told; see :func:`patchprobe.tokens.pooled.read_moments`. Images are resized as in Scale-MAE's evaluation: by area, in
    floating point. ``batch_size`` whole images are forwarded at once, of smaller ones more. Raises ModelError if a feature is not finite.
    """
    settings: list[Setting] = card["settings"]
    told = list(dict.fromkeys(one.told for one in settings))
    largest = max(one.relative_size for one in settings)
    part = _part_of(images)
    starts = range(0, images.sizes["tile"], part)
    features, count = card["features"], images.sizes["tile"]
    pooled = ("cls", "mean") if card["has_cls"] else ("mean",)
    shape, chunks = (len(settings), count, features), (1, part, features)
    arrays = {key: build.array(key, shape, chunks, np.float32, ("setting", "tile", "feature")) for key in pooled}
    outer, dims = (len(told), len(starts)), ("fit", "part", "feature", "other_feature")
    for width, key in enumerate(MOMENTS):
        inner = (features,) * width
        arrays[key] = build.array(
            key, (*outer, *inner), (1, 1, *inner), np.float64 if width else np.int64, dims[: 2 + width]
        )
    _describe(build, images, settings, told)
    kind = torch.device(device).type
    batch = batch_size or BATCH_SIZE[kind]
    how = {"model": name, "precision": precision, "device": kind, "batch_size": batch, "resize": "area, floating point"}
    build.attributes(layer=card["blocks"], provenance={**card["provenance"], **how})
    units = {
        f"{kind} batch {batch} setting {i} images {start}-{start + part}": (i, start)
        for i in sorted(range(len(settings)), key=lambda i: settings[i].side)
        for start in starts
    }
    pending = [units[unit] for unit in build.pending(list(units))]
    names = dict(zip(units.values(), units, strict=True))
    training = images["split"].to_numpy() == "train"
    with (
        Progress(
            file=sys.stderr, total=sum(min(part, count - start) for _, start in pending), desc=name, unit="image"
        ) as progress,
        torch.inference_mode(),
        full_float32(),
    ):
        model: Backbone | None = None
        for i, start in pending:
            setting, stop = settings[i], min(start + part, count)
            if model is None or model.input_size[0] != setting.side:
                model = load(setting)
            at_once = _at_once(batch, setting, settings)
            fitted = training[start:stop] if setting.relative_size == largest else None
            made, moments = _unit(
                model, images, setting, slice(start, stop), at_once, precision, device, fitted, progress
            )
            for key, values in made.items():
                arrays[key][i, start:stop] = values
            if moments is not None:
                place = told.index(setting.told), start // part
                arrays["moment_count"][place] = moments.count
                arrays["moment_mean"][place] = moments.mean
                arrays["moment_covariance"][place] = moments.covariance
            build.finish(names[i, start])


def _part_of(images: xr.Dataset) -> int:
    """Return how many images are in a part: whole chunks, so that none is read twice."""
    stored = images["image"].encoding.get("chunks")
    chunk = int(stored[images["image"].get_axis_num("tile")]) if stored else 32
    return chunk * max(1, -(-images.sizes["tile"] // (_PARTS * chunk)))


def _at_once(batch: int, setting: Setting, settings: Sequence[Setting]) -> int:
    most = max(one.patches for one in settings)
    return batch * min(_MOST_AT_ONCE, max(1, most // setting.patches))


def _describe(build: Build, images: xr.Dataset, settings: Sequence[Setting], told: Sequence[str]) -> None:
    for key in ("tile", "image_id", "split"):
        build.coordinate(key, images[key].to_numpy(), ("tile",))
    for key in ("relative_size", "told", "side"):
        build.coordinate(key, np.array([getattr(one, key) for one in settings]), ("setting",))
    metres = [np.nan if one.metres is None else one.metres for one in settings]
    build.coordinate("ground_sample_distance", np.array(metres), ("setting",))
    build.coordinate("fit_told", np.array(told), ("fit",))


def _unit(
    model: Backbone,
    images: xr.Dataset,
    setting: Setting,
    rows: slice,
    at_once: int,
    precision: Precision,
    device: str,
    fitted: npt.NDArray[np.bool_] | None,
    progress: Progress,
) -> tuple[dict[str, npt.NDArray[np.float32]], Moments | None]:
    """Return the pooled features of some images (tile, feature), and the moments of the tokens of those ``fitted``."""
    made: dict[str, list[npt.NDArray[np.float32]]] = {}
    empty = Moments(0, np.zeros(model.features), np.zeros((model.features, model.features)))
    moments = None if fitted is None else empty
    for start, pixels in batches(images, rows, at_once):
        tokens = tokens_of(model, pixels, setting, precision, device)
        for key, values in (("cls", tokens.cls), ("mean", tokens.patch.float().mean(dim=2))):
            if values is not None:
                made.setdefault(key, []).append(values[0].float().cpu().numpy())
                _check_finite(model, images["tile"].to_numpy()[start:], made[key][-1], precision)
        if fitted is not None and moments is not None:
            chosen = torch.from_numpy(fitted[start - rows.start :][: len(pixels)]).to(tokens.patch.device)
            moments = joined_moments([moments, _moments(tokens.patch[0][chosen].flatten(0, 1))])
        progress.update(len(pixels))
    return {key: np.concatenate(values) for key, values in made.items()}, moments


def batches(images: xr.Dataset, rows: slice, at_once: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield where batches begin and their pixels (B, y, x, channel); one thread reads ahead."""

    def read(start: int) -> npt.NDArray[np.uint8]:
        part = slice(start, min(start + at_once, rows.stop))
        found: npt.NDArray[np.uint8] = images["image"].isel(level=0, tile=part).to_numpy()
        return found

    starts = range(rows.start, rows.stop, at_once)
    with ThreadPoolExecutor(1, thread_name_prefix="read images") as reader:
        ahead = reader.submit(read, starts[0])
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            pixels = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield start, pixels


def tokens_of(
    model: Backbone, pixels: npt.NDArray[np.uint8], setting: Setting, precision: Precision, device: str
) -> Tokens:
    """Return the tokens of the last block for a batch of images, made smaller by area."""
    resized = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
    if resized.shape[2:] != model.input_size:
        resized = F.interpolate(resized, size=model.input_size, mode="area")
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (model.mean, model.std))
    half = AUTOCAST.get(precision)
    at = {}
    if setting.metres is not None:
        at["ground_sample_distances"] = torch.full((len(pixels),), setting.metres)
    try:
        with torch.autocast(torch.device(device).type, half, enabled=half is not None):
            return model.tokens((resized - mean) / std, [model.blocks], **at)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"models.{model.name}: the GPU has too little memory for a batch of {len(pixels)} images; set a smaller "
            "extraction.batch_size"
        ) from error


def _moments(tokens: torch.Tensor) -> Moments:
    """Return the moments of tokens (n, features); of none, zeros."""
    exact = tokens.double()
    mean = exact.sum(dim=0) / max(len(exact), 1)
    exact = exact - mean
    covariance = exact.T @ exact / max(len(exact), 1)
    return Moments(len(exact), mean.cpu().numpy(), covariance.cpu().numpy())


def _check_finite(
    model: Backbone, tiles: npt.NDArray[Any], values: npt.NDArray[np.float32], precision: Precision
) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        remedy = (
            "the weights are damaged or of another architecture: get them again"
            if precision == "fp32"
            else f"the model overflows in {precision}: set extraction.precision: fp32"
        )
        raise ModelError(f"models.{model.name}: the features of {tiles[bad.argmax()]} hold NaN or infinity; {remedy}")
