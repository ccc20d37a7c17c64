"""Evaluation tiles through encoder and decoder: a store of how close they come, and of pictures of a few.

The work is cut into units of 32 tiles, one chunk each, so that a killed job goes on; the pictures are the last unit.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
import zarr

from patchprobe.analyses.reconstruction.settings import Setting, settings
from patchprobe.errors import DataError, ModelError
from patchprobe.models.decoders.masked_autoencoder import Encoded, MaskedAutoencoder, Scope, largest_mask
from patchprobe.progress import Progress
from patchprobe.scoring.image_quality import WINDOW, ImageQuality, psnr
from patchprobe.seeds import generator
from patchprobe.stores.build import Build
from patchprobe.tokens.extraction import full_float32, to_size

METRICS = ("mse", "mse_hidden", "mse_normalised", "psnr", "ssim")
_TILES_PER_UNIT = 32
_BATCH_SIZE = {"cpu": 8, "cuda": 32}


@dataclass(frozen=True)
class Options:
    """What is asked for, as the key ``reconstruction`` of the configuration has it."""

    masked: Sequence[float]
    features: float
    sweep: Sequence[float]
    scope: Scope
    tiles: int | None
    clip: bool
    pictures: int


def reconstruct(
    build: Build,
    tiles: xr.Dataset,
    autoencoder: MaskedAutoencoder,
    variance: npt.NDArray[np.float64],
    options: Options,
    *,
    seed: int,
    batch_size: int | None = None,
) -> None:
    """Write the quality of reconstructed evaluation tiles, for every share of masked patches and every setting.

    ``tiles`` is the store of clean tiles, ``variance`` (features,) that of the model's features over training patches.
    Writes ``score`` float64 (metric, masked, setting, tile), and of a few tiles ``original`` uint8 (example, y, x, channel),
    ``picture`` uint8 (masked, shown, example, y, x, channel) and ``hidden`` uint8 (masked, example, patch), 1 where a patch
    was hidden; all at the size of the model's input. What scores mean says :func:`scores`. Raises DataError without an evaluation tile, ModelError for an input that
    SSIM's window does not fit into, and for reconstructions that are not finite.
    """
    model = autoencoder.encoder
    check_masked(autoencoder, options.masked)
    if min(model.input_size) < WINDOW:
        raise ModelError(
            f"models.{model.name}.input_size: SSIM looks through windows of {WINDOW} px, larger than the input; use a larger one"
        )
    every, table = settings(variance, options.features, options.sweep, seed=seed)
    job = _Job(autoencoder, every, options, batch_size, seed)
    chosen = draw_tiles(tiles, options.tiles, seed=seed)
    store = tiles.isel(level=0, tile=chosen)
    examples = choose_examples(store, options.pictures)
    arrays = _lay_out(build, store, job, table, examples)
    n = len(chosen)
    units = {f"tiles {start}-{min(start + _TILES_PER_UNIT, n)}": start for start in range(0, n, _TILES_PER_UNIT)}
    pending = build.pending([*units, "pictures"])
    done = sum(min(_TILES_PER_UNIT, n - start) for name, start in units.items() if name not in pending)
    with (
        Progress(file=sys.stderr, total=n, initial=done, desc=model.name, unit="tile") as progress,
        torch.inference_mode(),
        full_float32(),
    ):
        for name in pending:
            if name == "pictures":
                _write_pictures(arrays, store.isel(tile=examples), job, table)
            else:
                stop = min(units[name] + _TILES_PER_UNIT, n)
                part = store.isel(tile=slice(units[name], stop))
                arrays["score"][:, :, :, units[name] : stop] = _scored(part, job)
                progress.update(part.sizes["tile"])
            build.finish(name)


def scores(
    autoencoder: MaskedAutoencoder,
    quality: ImageQuality,
    images: torch.Tensor,
    encoded: Encoded,
    setting: Setting,
    options: Options,
) -> torch.Tensor:
    """Return the ``METRICS`` (metric, B), float64, of one setting for images (B, 3, H, W), normalised as the model's input.

    ``mse``, ``psnr`` and ``ssim`` compare pixels in 0..1, reconstructions clipped to that unless ``clip`` is off, over whole images,
    hidden patches and others alike; ``mse_hidden`` over the hidden patches alone. ``mse_normalised`` compares images as the model
    gets them, not clipped.
    """
    raw = reconstructed(autoencoder, images, encoded, setting, scope=options.scope)
    pixels = to_pixels(autoencoder, raw, clip=options.clip)
    mse = quality.mse(pixels)
    hidden = _over_pixels(autoencoder, encoded.mask, images.shape[-2:])
    return torch.stack(
        [
            mse,
            quality.mse(pixels, hidden),
            (raw.double() - images.double()).square().flatten(1).mean(1),
            psnr(mse),
            quality.ssim(pixels),
        ]
    )


def reconstructed(
    autoencoder: MaskedAutoencoder, images: torch.Tensor, encoded: Encoded, setting: Setting, *, scope: Scope
) -> torch.Tensor:
    """Return what the decoder makes (B, 3, H, W) of the tokens of images, normalised as these are, with features zeroed."""
    predicted = autoencoder.decode(encoded, zeroed=setting.zeroed.tolist(), scope=scope)
    return autoencoder.reconstruct(predicted, images)


def to_pixels(autoencoder: MaskedAutoencoder, images: torch.Tensor, *, clip: bool) -> torch.Tensor:
    """Return normalised images (B, 3, H, W) as pixels, float64, 1 for white; clipped to 0..1 or not."""
    mean, std = (_channels(values, images.device) for values in (autoencoder.encoder.mean, autoencoder.encoder.std))
    pixels = images.double() * std + mean
    return pixels.clamp(0, 1) if clip else pixels


def mask_noise(tile_ids: Sequence[str], patches: int, *, seed: int) -> torch.Tensor:
    """Return the noise (tiles, patches), float64, by which patches are hidden; it depends on seed, tile and number of patches."""
    rows = [generator(seed, "reconstruction", "mask", str(tile), patches).random(patches) for tile in tile_ids]
    return torch.from_numpy(np.stack(rows))


def draw_tiles(tiles: xr.Dataset, most: int | None, *, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of at most so many evaluation tiles, in the order of the store; a larger draw holds a smaller one."""
    evaluated = np.flatnonzero(tiles["split"].to_numpy() == "evaluation")
    if not len(evaluated):
        where = tiles.encoding.get("source", "the tile store")
        raise DataError(f"{where} holds no tile of the evaluation split: delete it and run again")
    names = tiles["tile"].to_numpy()[evaluated]
    by_name = evaluated[np.argsort(names, kind="stable")]
    order = generator(seed, "reconstruction", "tiles").permutation(len(by_name))
    return np.sort(by_name[order[:most]])


def choose_examples(tiles: xr.Dataset, pictures: int) -> npt.NDArray[np.int64]:
    """Return the tiles for pictures, those with most contrast, each of another image; a choice that favours no model."""
    n = tiles.sizes["tile"]
    parts = [tiles["image"].isel(tile=slice(start, start + _TILES_PER_UNIT)) for start in range(0, n, _TILES_PER_UNIT)]
    contrast = np.concatenate([part.to_numpy().astype(np.float32).std(axis=(1, 2)).mean(axis=1) for part in parts])
    best: dict[str, int] = {}
    for place in np.argsort(-contrast, kind="stable"):
        best.setdefault(str(tiles["image_id"].to_numpy()[place]), int(place))
    return np.sort(np.asarray(list(best.values())[:pictures], np.int64))


def check_masked(autoencoder: MaskedAutoencoder, masked: Sequence[float]) -> None:
    """Raise ModelError for a share of masked patches that leaves none of them visible."""
    n = autoencoder.patches
    for share in masked:
        if not int(n * (1 - share)):
            raise ModelError(
                f"reconstruction.masked: {share:g} leaves none of the {n} patches of models.{autoencoder.encoder.name} visible; "
                f"take {largest_mask(n):g} at most"
            )


@dataclass(frozen=True)
class _Job:
    autoencoder: MaskedAutoencoder
    settings: Sequence[Setting]
    options: Options
    batch_size: int | None
    seed: int

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        device: torch.device = self.autoencoder.encoder.module.cls_token.device
        return device


def _lay_out(
    build: Build, tiles: xr.Dataset, job: _Job, table: Sequence[str], examples: npt.NDArray[np.int64]
) -> dict[str, zarr.Array]:
    """Create arrays and coordinates of the store; returns the arrays to fill."""
    model, masked, n = job.autoencoder.encoder, len(job.options.masked), tiles.sizes["tile"]
    picture = (*model.input_size, 3)
    shapes: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], Any]] = {
        "score": (
            ("metric", "masked", "setting", "tile"),
            (len(METRICS), masked, len(job.settings), n),
            (len(METRICS), masked, len(job.settings), _TILES_PER_UNIT),
            np.float64,
        )
    }
    for name, dims, shape in (
        ("original", ("example", "y", "x", "channel"), (len(examples), *picture)),
        ("picture", ("masked", "shown", "example", "y", "x", "channel"), (masked, len(table), len(examples), *picture)),
        ("hidden", ("masked", "example", "patch"), (masked, len(examples), job.autoencoder.patches)),
    ):
        shapes[name] = (dims, shape, shape, np.uint8)
    arrays = {
        name: build.array(name, shape, chunks, dtype, dims=dims)
        for name, (dims, shape, chunks, dtype) in shapes.items()
    }
    build.coordinate("metric", np.asarray(METRICS), dims=("metric",))
    build.coordinate("masked", np.asarray(job.options.masked, np.float64), dims=("masked",))
    build.coordinate("setting", np.asarray([setting.name for setting in job.settings]), dims=("setting",))
    build.coordinate("shown", np.asarray(table), dims=("shown",))
    for name in ("tile", "image_id"):
        build.coordinate(name, tiles[name].to_numpy(), dims=("tile",))
    build.coordinate("example", tiles["tile"].to_numpy()[examples], dims=("example",))
    rows, columns = np.indices(model.grid)
    build.coordinate("patch_row", rows.ravel(), dims=("patch",))
    build.coordinate("patch_col", columns.ravel(), dims=("patch",))
    build.attributes(
        model=model.name,
        block=model.blocks,
        features=model.features,
        decoder=job.autoencoder.provenance,
        device=job.device.type,
    )
    return arrays


def _scored(tiles: xr.Dataset, job: _Job) -> npt.NDArray[np.float64]:
    """Return the scores (metric, masked, setting, tile) of a unit."""
    size = min(job.batch_size or _BATCH_SIZE[job.device.type], _TILES_PER_UNIT)
    parts = []
    for start in range(0, tiles.sizes["tile"], size):
        batch = tiles.isel(tile=slice(start, start + size))
        images, originals, noise = _inputs(batch, job)
        quality = ImageQuality(originals)
        found = [
            torch.stack(
                [scores(job.autoencoder, quality, images, encoded, setting, job.options) for setting in job.settings]
            )
            for encoded in (job.autoencoder.encode_hidden(images, share, noise) for share in job.options.masked)
        ]
        parts.append(torch.stack(found).permute(2, 0, 1, 3).cpu().numpy())
    result: npt.NDArray[np.float64] = np.concatenate(parts, axis=-1)
    if not np.isfinite(result[METRICS.index("mse_normalised")]).all():
        raise ModelError(
            f"models.{job.autoencoder.encoder.name}: reconstructions hold NaN or infinity; the decoder's weights are damaged or of "
            "another architecture: name another file"
        )
    return result


def _write_pictures(arrays: dict[str, zarr.Array], tiles: xr.Dataset, job: _Job, table: Sequence[str]) -> None:
    images, originals, noise = _inputs(tiles, job)
    arrays["original"][:] = _bytes(originals)
    pictures, hidden = [], []
    for share in job.options.masked:
        encoded = job.autoencoder.encode_hidden(images, share, noise)
        hidden.append(encoded.mask.cpu().numpy())
        raw = [
            reconstructed(job.autoencoder, images, encoded, setting, scope=job.options.scope)
            for setting in job.settings
            if setting.name in table
        ]
        pictures.append([_bytes(to_pixels(job.autoencoder, one, clip=True)) for one in raw])
    arrays["picture"][:] = np.asarray(pictures)
    arrays["hidden"][:] = np.asarray(hidden, np.uint8)


def _inputs(tiles: xr.Dataset, job: _Job) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tiles as the model gets them, as pixels float64 in 0..1, both (B, 3, H, W), and the noise (B, N) of their masks."""
    model = job.autoencoder.encoder
    originals = to_size(tiles["image"].to_numpy(), model.input_size).to(job.device)
    images = originals.float().div_(255)
    images = images.sub_(_channels(model.mean, job.device, images.dtype))
    images = images.div_(_channels(model.std, job.device, images.dtype))
    noise = mask_noise(tiles["tile"].to_numpy().tolist(), job.autoencoder.patches, seed=job.seed)
    return images, originals.double() / 255, noise.to(job.device)


def _over_pixels(autoencoder: MaskedAutoencoder, mask: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Return a mask of patches (B, N) as one of pixels (B, H, W)."""
    rows, columns = autoencoder.encoder.grid
    cells = mask.unflatten(1, (rows, columns))
    return cells.repeat_interleave(size[0] // rows, dim=1).repeat_interleave(size[1] // columns, dim=2)


def _channels(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(values, device=device, dtype=dtype).view(3, 1, 1)


def _bytes(pixels: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Return pixels (B, 3, H, W) in 0..1 as uint8 (B, y, x, channel)."""
    return np.asarray((pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
