"""From a tile store to a token store: one forward pass per batch, reading and writing beside it.

The work is cut into units: groups of whole chunks of one level, each made of whole batches. A unit is the same
whenever it is made, so a resumed run writes the bytes an undisturbed one would have written. While the device
works on one unit, one thread reads the next and another writes the last.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
import zarr
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Backbone, check_card, load_model
from patchprobe.progress import Progress
from patchprobe.stores.build import Build
from patchprobe.stores.shards import Shard

Precision = Literal["fp32", "bf16", "fp16"]

# Measured: 8 is the fastest batch on two CPU cores, and 128 ViT-B images fill a data-centre GPU.
BATCH_SIZE = {"cpu": 8, "cuda": 128}
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_COORDINATES = ("tile", "image_id", "split")


def prepare(spec: Mapping[str, Any], card: Path, tiles: xr.Dataset, *, device: str) -> tuple[Backbone, dict[str, Any]]:
    """Load the model of a rule's ``spec`` for these tiles and return it with the options of :func:`extract`.

    ``card`` is what the model was inspected as. Raises ModelError if it cannot be loaded or is not that of the card.
    """
    own = dict(spec["extraction"])
    model = load_model(
        spec["name"],
        spec["model"],
        checkpoint_root=Path(spec["checkpoint_root"]),
        input_size=spec["model"]["input_size"] or tiles.sizes["y"],
        device=device,
        norm=own.pop("norm"),
        ground_sample_distance=spec.get("ground_sample_distance"),
    )
    check_card(model, card)
    return model, {**own, "device": device, "ground_of_images": spec.get("ground_of_images")}


def extract(
    build: Build,
    tiles: xr.Dataset,
    model: Backbone,
    *,
    layers: Literal["last", "all"] = "last",
    precision: Precision = "fp32",
    batch_size: int | None = None,
    tiles_each: float = 1.0,
    device: str = "cpu",
    dtype: Literal["float16", "float32"] = "float16",
    ground_of_images: Mapping[str, float | None] | None = None,
    shard: Shard | None = None,
) -> None:
    """Write the tokens of all tiles into a store under construction.

    ``tiles`` holds ``image`` uint8 (level, tile, y, x, channel) with coordinates level, tile, image_id and split.
    Writes ``tokens`` (level, layer, tile, patch, feature), ``cls`` (level, layer, tile, feature) and ``registers``
    (level, layer, tile, register, feature) where the model has them, in ``dtype``, one chunk for each chunk of
    tiles, level and layer. Tiles of another size than the model's are resized (bicubic, antialiased, in uint8).
    ``tiles_each`` is how many tiles each of them is worth, where they are full images: a batch of ``batch_size`` tiles
    holds so many times fewer of them, at least one. ``precision`` below fp32 is autocast: matrix products in half precision, weights and norms in float32. The
    attribute ``provenance`` says what made the tokens. With ``ground_of_images`` the model sees each tile at its own
    ``ground_sample_distance``, a coordinate in metres per stored pixel, and where that is not known at the one ``otherwise``
    says, in metres per pixel of the model's input. Of a ``shard``, everything is laid out and its share of the tiles is
    extracted, the same ones of every level. Raises ModelError if a token is not finite in ``dtype``, and for a tile of unknown
    size on the ground.
    """
    if device == "cpu" and precision != "fp32":
        print(f"extraction: {precision} on a CPU is many times slower than fp32", file=sys.stderr)
    batch_size = max(1, int((batch_size or BATCH_SIZE[torch.device(device).type]) / tiles_each))
    job = _Job(
        image=tiles["image"],
        tile_ids=tiles["tile"].to_numpy(),
        model=model,
        layers=list(range(1, model.blocks + 1)) if layers == "all" else [model.blocks],
        precision=precision,
        dtype=dtype,
        device=device,
        mean=torch.tensor(model.mean, device=device).view(3, 1, 1),
        std=torch.tensor(model.std, device=device).view(3, 1, 1),
        ground=None if ground_of_images is None else _ground(tiles, model, ground_of_images["otherwise"]),
    )
    arrays = _lay_out(build, tiles, job)
    build.attributes(provenance=_provenance(tiles, job, batch_size))
    units = {unit.name: unit for unit in _units(tiles, batch_size, device, shard)}
    if not units:
        said = (
            f"extraction: shard {shard} has no tiles, since there are fewer groups of chunks; lower extraction.shards"
        )
        print(said, file=sys.stderr)
    pending = [units[name] for name in build.pending(list(units))]
    if pending:
        _run(build, arrays, job, pending, total=sum(unit.stop - unit.start for unit in units.values()))


@dataclass(frozen=True)
class _Job:
    image: xr.DataArray
    tile_ids: npt.NDArray[Any]
    model: Backbone
    layers: list[int]
    precision: Precision
    dtype: Literal["float16", "float32"]
    device: str
    mean: torch.Tensor
    std: torch.Tensor
    ground: torch.Tensor | None
    """The side of a pixel of the model's input on the ground of each tile, in metres."""


@dataclass(frozen=True)
class _Unit:
    """Tiles start..stop of one level, forwarded in ``batches`` batches."""

    name: str
    level: int
    start: int
    stop: int
    batches: int


@dataclass(frozen=True)
class _Result:
    """Tokens of one batch by array name, (layer, tile, ...), and the largest magnitude per (layer, tile).

    They are on their way to the host; ``arrived`` is the CUDA event to wait for.
    """

    values: dict[str, torch.Tensor]
    peaks: dict[str, torch.Tensor]
    arrived: torch.cuda.Event | None


def _ground(tiles: xr.Dataset, model: Backbone, otherwise: float | None) -> torch.Tensor:
    known = tiles.get("ground_sample_distance")
    own = np.full(tiles.sizes["tile"], np.nan) if known is None else known.to_numpy()
    metres = own * (tiles.sizes["y"] / model.input_size[0])
    metres = np.where(np.isnan(metres), np.nan if otherwise is None else otherwise, metres)
    if np.isnan(metres).any():
        tile = tiles["tile"].to_numpy()[np.isnan(metres)][0]
        raise ModelError(
            f"models.{model.name}: how large a pixel of tile {tile} is on the ground is not known, since its image does not say "
            "it: set ground_sample_distance of the data set, for images without one, in metres"
        )
    return torch.tensor(metres, dtype=torch.float32)


def _tiles_per_chunk(tiles: xr.Dataset) -> int:
    chunks = tiles["image"].encoding.get("chunks")
    return int(chunks[tiles["image"].get_axis_num("tile")]) if chunks else 32


def _units(tiles: xr.Dataset, batch_size: int, device: str, shard: Shard | None) -> Iterator[_Unit]:
    """Cut every level into units of whole chunks: one chunk, or as many as fit into one batch; yield those of the shard.

    The name carries what the bytes depend on beside the config: a run on another device starts over.
    """
    chunk = _tiles_per_chunk(tiles)
    step = chunk * max(1, batch_size // chunk)
    n = tiles.sizes["tile"]
    starts = range(0, n, step)
    if shard is not None:
        starts = starts[shard.share(len(starts))]
    for level in range(tiles.sizes["level"]):
        for start in starts:
            stop = min(start + step, n)
            name = f"{torch.device(device).type} batch {batch_size} level {level} tiles {start}-{stop}"
            yield _Unit(name, level, start, stop, -(-(stop - start) // batch_size))


def _lay_out(build: Build, tiles: xr.Dataset, job: _Job) -> dict[str, zarr.Array]:
    """Create the arrays and coordinates of the token store; returns the arrays to fill."""
    model = job.model
    inner: dict[str, tuple[tuple[str, int], ...]] = {"tokens": (("patch", model.grid[0] * model.grid[1]),)}
    if model.has_cls:
        inner["cls"] = ()
    if model.registers:
        inner["registers"] = (("register", model.registers),)
    outer = (("level", tiles.sizes["level"]), ("layer", len(job.layers)), ("tile", tiles.sizes["tile"]))
    arrays = {}
    for name, dims in inner.items():
        names, shape = zip(*outer, *dims, ("feature", model.features), strict=True)
        chunks = (1, 1, _tiles_per_chunk(tiles), *shape[3:])
        arrays[name] = build.array(name, shape, chunks, np.dtype(job.dtype), dims=names)
    build.coordinate("level", tiles["level"].to_numpy(), dims=("level",))
    build.coordinate("layer", np.asarray(job.layers), dims=("layer",))
    for name in _COORDINATES:
        build.coordinate(name, tiles[name].to_numpy(), dims=("tile",))
    rows, columns = np.indices(model.grid)
    build.coordinate("patch_row", rows.ravel(), dims=("patch",))
    build.coordinate("patch_col", columns.ravel(), dims=("patch",))
    return arrays


def _provenance(tiles: xr.Dataset, job: _Job, batch_size: int) -> dict[str, Any]:
    side = tiles.sizes["y"], tiles.sizes["x"]
    resized = side != job.model.input_size
    return {
        **job.model.provenance,
        "model": job.model.name,
        "tile_size": list(side),
        "resize": "bicubic, antialiased, uint8" if resized else None,
        "precision": job.precision,
        "dtype": job.dtype,
        "device": torch.device(job.device).type,
        "batch_size": batch_size,
    }


def _run(build: Build, arrays: dict[str, zarr.Array], job: _Job, pending: list[_Unit], total: int) -> None:
    """Take the units through read, forward and write, at most one unit in each at a time.

    An error in either thread is raised here at the next batch; leaving ends both threads after the unit in hand.
    """
    left = sum(unit.stop - unit.start for unit in pending)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="read tiles") as reader,
        ThreadPoolExecutor(1, thread_name_prefix="write tokens") as writer,
        _progress(total, total - left, job) as progress,
        torch.inference_mode(),
        full_float32(),
    ):
        ahead = reader.submit(_read, job, pending[0])
        writing: Future[None] | None = None
        for unit, following in zip(pending, [*pending[1:], None], strict=True):
            images = ahead.result()
            if following:
                ahead = reader.submit(_read, job, following)
            results = []
            # The tiles of a batch are cut alike out of both.
            ground = () if job.ground is None else job.ground[unit.start : unit.stop].tensor_split(unit.batches)
            for batch, metres in zip_longest(images.tensor_split(unit.batches), ground):
                results.append(_forward(job, batch, metres))
                progress.update(len(batch))
                if writing and writing.done():
                    writing.result()
            if writing:
                writing.result()
            writing = writer.submit(_write, build, arrays, job, unit, results)
        if writing:
            writing.result()


def _read(job: _Job, unit: _Unit) -> torch.Tensor:
    """Return the tiles of a unit as uint8 (B, 3, H, W) of the model's size, in page-locked memory for a GPU."""
    pixels = job.image.isel(level=unit.level, tile=slice(unit.start, unit.stop)).to_numpy()
    size, on_gpu = job.model.input_size, job.device.startswith("cuda")
    if on_gpu and pixels.shape[1:3] == size:
        # The GPU puts them in order, in a fraction of the time.
        return torch.from_numpy(pixels).pin_memory().permute(0, 3, 1, 2)
    images = to_size(pixels, size)
    return images.pin_memory() if on_gpu else images


def to_size(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """Return tiles (B, y, x, 3) as uint8 (B, 3, H, W) of a model's ``size``: bicubic, antialiased, where it is another."""
    # By NumPy: torch would start OpenMP threads for this thread too, and with more of them than cores those of the
    # forward pass go to sleep between layers (measured: 5 to 8 % on two cores).
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return images if images.shape[2:] == size else F.interpolate(images, size=size, mode="bicubic", antialias=True)


def _forward(job: _Job, images: torch.Tensor, ground: torch.Tensor | None) -> _Result:
    """Return the tokens of one batch in the stored dtype; on a GPU without waiting for them."""
    on_gpu = job.device.startswith("cuda")
    normalised = images.to(job.device, non_blocking=True).contiguous().float().div_(255)
    normalised.sub_(job.mean).div_(job.std)
    half = AUTOCAST.get(job.precision)
    try:
        with torch.autocast(torch.device(job.device).type, half, enabled=half is not None):
            at = {} if ground is None else {"ground_sample_distances": ground}
            tokens = job.model.tokens(normalised, job.layers, **at)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"models.{job.model.name}: the GPU has too little memory for a batch of {len(images)} tiles; set a "
            "smaller extraction.batch_size"
        ) from error
    named = {"tokens": tokens.patch, "cls": tokens.cls, "registers": tokens.registers}
    kept = {name: value for name, value in named.items() if value is not None}
    dtype = getattr(torch, job.dtype)
    values = {name: value.to(dtype).to("cpu", non_blocking=True) for name, value in kept.items()}
    peaks = {
        name: torch.linalg.vector_norm(value.flatten(2), ord=torch.inf, dim=2).to("cpu", non_blocking=True)
        for name, value in kept.items()
    }
    arrived = torch.cuda.Event() if on_gpu else None
    if arrived:
        arrived.record()
    return _Result(values, peaks, arrived)


def _write(build: Build, arrays: dict[str, zarr.Array], job: _Job, unit: _Unit, results: list[_Result]) -> None:
    for result in results:
        if result.arrived:
            result.arrived.synchronize()
    for name, array in arrays.items():
        _check_finite(job, unit, torch.cat([result.peaks[name] for result in results], dim=1).numpy())
        parts = [result.values[name].numpy() for result in results]
        array[unit.level, :, unit.start : unit.stop] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    build.finish(unit.name)


def _check_finite(job: _Job, unit: _Unit, peaks: npt.NDArray[np.floating[Any]]) -> None:
    """Raise ModelError if a magnitude in ``peaks`` (layer, tile) is not finite, or not in the stored dtype."""
    limit = float(np.finfo(job.dtype).max)
    unusable = ~(peaks <= limit)
    if not unusable.any():
        return
    layer, tile = np.argwhere(unusable)[0]
    peak = float(peaks[layer, tile])
    where = f"models.{job.model.name}: block {job.layers[layer]}, tile {job.tile_ids[unit.start + tile]!s}"
    if np.isfinite(peak):
        raise ModelError(
            f"{where}: a token value of {peak:.4g} does not fit {job.dtype} (at most {limit:.5g}); "
            "set extraction.dtype: float32"
        )
    remedy = (
        "the weights are damaged or of another architecture"
        if job.precision == "fp32"
        else f"the model overflows in {job.precision}: set extraction.precision: fp32"
    )
    raise ModelError(f"{where}: the tokens hold NaN or infinity; {remedy}")


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Switch TensorFloat-32 off, so that fp32 means fp32 on every GPU."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def _progress(total: int, done: int, job: _Job) -> Progress:
    return Progress(file=sys.stderr, total=total, initial=done, desc=job.model.name, unit="tile")
