"""Classifiers that answer for single pixels: the pixels of patches, and predicted label maps counted block by block."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.scoring.clean_scores import clean_columns
from patchprobe.scoring.metrics import confusion_matrices
from patchprobe.scoring.patch_scores import METRICS, confusion_scores
from patchprobe.tiles.patches import patch_rows

_BATCH = 32  # label maps counted at a time


def pixel_labels(maps: npt.NDArray[np.uint8], grid: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the labels of the pixels of every patch: (n, height, width) to (n, patches, pixels).

    Pixels belong to patches as in :func:`patchprobe.tiles.patches.patch_labels`, row by row. Where the ``grid`` (rows,
    columns) does not divide the map, patches of fewer pixels are enlarged to the size of the largest, by nearest
    neighbour, so that the pixels of all patches correspond.
    """
    (rows, _, _), (columns, _, _) = (_correspondence(*pair) for pair in zip(maps.shape[1:], grid, strict=True))
    return maps[:, rows[:, None, :, None], columns[None, :, None, :]].reshape(len(maps), grid[0] * grid[1], -1)


def label_maps(pixels: npt.NDArray[np.uint8], grid: tuple[int, int], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Put the pixels of patches (n, patches, pixels), as :func:`pixel_labels` orders them, into maps (n, *shape)."""
    (rows, row, y), (columns, column, x) = (_correspondence(*pair) for pair in zip(shape, grid, strict=True))
    patches = pixels.reshape(len(pixels), *grid, rows.shape[1], columns.shape[1])
    return patches[:, row[:, None], column, y[:, None], x]


def class_pixels(
    maps: npt.NDArray[np.uint8], grid: tuple[int, int], class_ids: Iterable[int]
) -> npt.NDArray[np.uint16]:
    """Return how many pixels of each class every patch has: (n, height, width) to (n, patches, classes).

    Ids that are not among ``class_ids``, such as void, are not counted.
    """
    ids = list(class_ids)
    place = np.full(256, len(ids), np.intp)
    place[ids] = np.arange(len(ids))
    patches = grid[0] * grid[1]
    patch = patch_rows(maps.shape[1], grid[0])[:, None] * grid[1] + patch_rows(maps.shape[2], grid[1])
    counts = np.empty((len(maps), patches, len(ids)), np.uint16)
    for start in range(0, len(maps), _BATCH):
        part = maps[start : start + _BATCH]
        cells = (np.arange(len(part))[:, None, None] * patches + patch) * (len(ids) + 1) + place[part]
        found = np.bincount(cells.ravel(), minlength=len(part) * patches * (len(ids) + 1))
        counts[start : start + _BATCH] = found.reshape(len(part), patches, -1)[..., :-1]
    return counts


def count_maps(
    predicted: Iterable[npt.NDArray[np.uint8]], tiles: xr.Dataset, labels: xr.Dataset
) -> npt.NDArray[np.int64]:
    """Count predicted label maps against the true ones for each image: (images, classes, classes), images sorted.

    ``predicted`` are blocks (tiles, height, width) that together answer for the tiles of ``tiles``, part of a token
    store, in its order; ``labels`` is the label store. One block of each is held at a time. Raises DataError for a
    prediction, where it counts, that is no class.
    """
    ids, void = labels.attrs["class_ids"], labels.attrs["void_id"]
    names, image = np.unique(tiles.image_id.values, return_inverse=True)
    truth = labels.label.sel(tile=tiles.tile.values)
    total = np.zeros((len(names), len(ids), len(ids)), np.int64)
    start = 0
    for block in predicted:
        rows = slice(start, start + len(block))
        own, place = np.unique(image[rows], return_inverse=True)
        places = place[:, None, None]
        total[own] += confusion_matrices(truth[rows].values, block, places, images=len(own), class_ids=ids, void=void)
        start += len(block)
    return total


def map_rows(
    confusions: npt.NDArray[np.int64],
    features: xr.Dataset,
    labels: xr.Dataset,
    *,
    dataset: str,
    bootstrap: Mapping[str, Any],
    seed: int,
    metrics: Mapping[str, Any] = METRICS,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every pixel metric and class, with intervals over images.

    ``confusions`` are those of the evaluation tiles of the token store ``features``, clean tiles, last layer;
    ``labels`` is the label store, ``metrics`` as for :func:`patchprobe.scoring.patch_scores.confusion_scores`, and ``columns``
    are further columns of the rows. Raises DataError if nothing has a class.
    """
    common = clean_columns(features, dataset=dataset, seed=seed)
    of = f"{dataset} on clean tiles"
    scores = confusion_scores(confusions, "pixel", labels.attrs, of=of, bootstrap=bootstrap, seed=seed, metrics=metrics)
    return [common | columns | score for score in scores]


def _correspondence(size: int, patches: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return along one side the pixel of every patch and place (patches, places), and patch and place of every pixel."""
    patch = patch_rows(size, patches)
    lengths = np.bincount(patch, minlength=patches)
    starts = np.cumsum(lengths) - lengths
    places = int(lengths.max())
    pixel = starts[:, None] + (2 * np.arange(places) + 1) * lengths[:, None] // (2 * places)
    within = np.arange(size) - starts[patch]
    return pixel, patch, (2 * within + 1) * places // (2 * lengths[patch])
