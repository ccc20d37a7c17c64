"""Dense nearest-neighbour retrieval (protocol section 5, beside patch classification).

As in "Towards In-Context Scene Understanding" (Balazevic et al., NeurIPS 2023, arXiv 2306.01667): every evaluation
patch attends to its k nearest training patches by cosine similarity; the softmax of similarity / temperature weighs
their soft labels, the shares of the classes among their pixels. The scores of the classes go up to pixels bilinearly,
and each pixel takes the class of highest score. The search is exact.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.errors import ConfigError, DataError
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.scoring.metrics import class_iou
from patchprobe.scoring.patch_pixels import class_pixels, count_maps, map_rows
from patchprobe.scoring.patch_scores import METRICS
from patchprobe.seeds import generator
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.labelled import TILES_PER_BLOCK, grid, token_blocks

PROTOCOL = "hummingbird-v1"


@dataclass(frozen=True)
class Quirks:
    """What open-hummingbird-eval, the public implementation, does otherwise; everything off is the protocol.

    ``memory_size``: so many training patches are kept, the same number of every tile; patches whose classes are in
    few patches of their tile are likelier. ``void_is_first_class``: void pixels of training patches count as the class
    of lowest id, and patches that void wins stay in the bank. ``match_classes``: predicted classes are matched one to
    one to true ones, for the highest sum of IoUs, before scoring. ``absent_is_zero``: a class in neither truth nor
    prediction counts as 0 in the mean IoU.
    """

    memory_size: int | None = None
    void_is_first_class: bool = False
    match_classes: bool = False
    absent_is_zero: bool = False


@dataclass(frozen=True)
class Memory:
    """Training patches: ``tokens`` (n, features) and ``shares`` float32 (n, classes), which sum to 1."""

    tokens: npt.NDArray[Any]
    shares: npt.NDArray[np.float32]


def memory(features: xr.Dataset, labels: xr.Dataset, quirks: Quirks, *, seed: int) -> Memory:
    """Take the training patches of a token store (last layer, clean) with the shares of the classes in them.

    Patches labelled void are left out, and void pixels have no share. Raises DataError if no patch is left, ConfigError
    for a memory that is smaller than the number of training tiles.
    """
    train = features.isel(tile=np.flatnonzero(features.split.values == "train"), level=0, layer=-1)
    maps = labels.label.sel(tile=train.tile.values).values
    ids, void = labels.attrs["class_ids"], labels.attrs["void_id"]
    if quirks.void_is_first_class:
        maps = np.where(maps == void, np.uint8(ids[0]), maps)
    counts = class_pixels(maps, grid(features), ids)
    keep = patch_labels(maps, grid(features)).reshape(counts.shape[:2]) != void
    if quirks.memory_size is not None:
        keep = _rare_first(counts, keep, quirks.memory_size, train.tile.values, seed)
    if not keep.any():
        raise DataError(
            "split 'train' has no patch with a class: every patch is void; use the label maps with evaluation ids"
        )
    kept = counts[keep].astype(np.float32)
    return Memory(train.tokens.values[keep], kept / kept.sum(axis=1, keepdims=True))


def predict(
    remembered: Memory,
    features: xr.Dataset,
    class_ids: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    k: int,
    temperature: float,
    threads: int,
    device: str = "cpu",
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield class ids (tiles, *shape) for blocks of the evaluation tiles of a token store, clean tiles, last layer.

    ``device`` is where neighbours are searched. Raises DataError for a ``k`` above the number of patches in the memory.
    """
    bank = MemoryBank(remembered.tokens, metric="cosine", device=device)
    tiles, patches = int((features.split == "evaluation").sum()), features.sizes["patch"]
    with tqdm(total=tiles * patches, desc="hummingbird", unit="patch", file=sys.stderr, mininterval=5) as bar:
        found = bank.search(token_blocks(features, 0), threads=threads, k=k, progress=bar.update)
    nearest, distance = (part.reshape(tiles, patches, k) for part in found)
    ids = np.asarray(class_ids, np.uint8)
    for start in range(0, tiles, TILES_PER_BLOCK):
        block = []
        # A tile at a time: the scores of all classes for its pixels are what takes memory.
        for tile in range(start, min(start + TILES_PER_BLOCK, tiles)):
            weights = _softmax((1 - distance[tile] / 2) / temperature).astype(np.float32)
            scores = np.einsum("pk,pkc->pc", weights, remembered.shares[nearest[tile]])
            block.append(ids[_highest(scores.reshape(*grid(features), -1), shape)])
        yield np.stack(block)


def score(
    predicted: Iterable[npt.NDArray[np.uint8]],
    features: xr.Dataset,
    labels: xr.Dataset,
    quirks: Quirks,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every pixel metric and class for the blocks that :func:`predict` yields.

    ``columns`` are those of :func:`patchprobe.scoring.patch_pixels.map_rows` and further ones of the rows. Raises DataError if
    no evaluation pixel has a class.
    """
    evaluated = features.isel(tile=np.flatnonzero(features.split.values == "evaluation"))
    confusions = count_maps(predicted, evaluated, labels)
    if quirks.match_classes:
        confusions = confusions[:, :, _matched(confusions.sum(axis=0))]
    metrics = METRICS | ({"miou": _mean_over_all} if quirks.absent_is_zero else {})
    return map_rows(confusions, features, labels, metrics=metrics, method="hummingbird", protocol=PROTOCOL, **columns)


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    k: int,
    temperature: float,
    quirks: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of a token store of clean tiles with its label store.

    ``quirks`` are those of :class:`Quirks`, ``columns`` as for :func:`score`. Raises DataError or ConfigError.
    """
    known = Quirks(**quirks)
    remembered = memory(tokens, labels, known, seed=seed)
    shape = (labels.sizes["y"], labels.sizes["x"])
    ids = labels.attrs["class_ids"]
    maps = predict(remembered, tokens, ids, shape, k=k, temperature=temperature, threads=threads, device=device)
    return score(maps, tokens, labels, known, seed=seed, **columns)


def _rare_first(
    counts: npt.NDArray[np.uint16],
    keep: npt.NDArray[np.bool_],
    size: int,
    tiles: npt.NDArray[np.str_],
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Choose ``size`` patches in all: of each tile those with the lowest (patches with its classes) x uniform."""
    each = size // len(tiles)
    if each == 0:
        raise ConfigError(
            f"hummingbird.quirks.memory_size is {size}, fewer than the {len(tiles)} training tiles: take at least one "
            "patch of each tile, or null for all"
        )
    chosen = np.zeros_like(keep)
    for tile, name in enumerate(tiles):
        occurs = (counts[tile] > 0).astype(np.float64)
        crowd = occurs @ occurs.sum(axis=0)
        order = np.argsort(crowd * generator(seed, PROTOCOL, str(name)).random(len(crowd)), kind="stable")
        chosen[tile, order[keep[tile, order]][:each]] = True
    return chosen


def _softmax(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _highest(scores: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Return the class of highest score of every pixel: (rows, columns, classes) to ``shape``, the first of equals."""
    present = np.flatnonzero(scores.any(axis=(0, 1)))
    rows, columns = (_bilinear(*pair) for pair in zip(shape, scores.shape, strict=False))
    up = np.einsum("yr,crx->cyx", rows, scores[..., present].transpose(2, 0, 1) @ columns.T, optimize=True)
    return np.asarray(present[up.argmax(axis=0)])


def _bilinear(size: int, cells: int) -> npt.NDArray[np.float32]:
    """Return the weights (size, cells) of cells for pixels, by pixel centres, the border cells going on outwards."""
    place = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    below = np.minimum(place.astype(np.intp), max(cells - 2, 0))
    weights = np.zeros((size, cells), np.float32)
    weights[np.arange(size), np.minimum(below + 1, cells - 1)] = place - below
    weights[np.arange(size), below] += 1 - (place - below)
    return weights


def _matched(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the predicted class that belongs to every true one, for the highest sum of IoUs."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and seldom asked for

    union = confusion.sum(axis=1, keepdims=True) + confusion.sum(axis=0) - confusion
    return np.asarray(linear_sum_assignment(confusion / np.where(union > 0, union, 1), maximize=True)[1])


def _mean_over_all(confusion: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(class_iou(confusion)).mean(axis=-1)
