"""From label maps to patch labels and back."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

_Scalar = TypeVar("_Scalar", bound=np.generic)

_BATCH_PIXELS = 1 << 18  # the vote index array then takes 2 MiB


def patch_labels(labels: npt.NDArray[np.uint8], grid: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the most frequent id in every patch.

    ``labels`` is uint8 (..., height, width), ``grid`` is (rows, columns); the result is uint8 (..., rows,
    columns). Pixel row y belongs to patch row floor((y + 0.5) * rows / height), columns alike, so the grid
    need not divide the size. Void takes part as an id of its own; ties go to the smaller id. Raises
    ValueError if the grid has more rows or columns than the map.
    """
    *lead, height, width = labels.shape
    rows, columns = grid
    patches = patch_rows(height, rows)[:, None] * columns + patch_rows(width, columns)
    maps = labels.reshape(-1, height, width)
    votes = np.empty((len(maps), rows * columns), np.uint8)
    batch = max(1, _BATCH_PIXELS // (height * width))
    for start in range(0, len(maps), batch):
        ids, codes = _compress(maps[start : start + batch])
        codes += patches * len(ids)
        codes += np.arange(len(codes))[:, None, None] * (rows * columns * len(ids))
        counts = np.bincount(codes.ravel(), minlength=len(codes) * rows * columns * len(ids))
        # argmax takes the first of equals, and ids are sorted.
        votes[start : start + batch] = ids[counts.reshape(len(codes), rows * columns, len(ids)).argmax(-1)]
    return votes.reshape(*lead, rows, columns)


def paint(patches: npt.NDArray[_Scalar], shape: tuple[int, int]) -> npt.NDArray[_Scalar]:
    """Give every pixel the value of its patch: (..., rows, columns) to (..., height, width) for ``shape``."""
    rows = patch_rows(shape[0], patches.shape[-2])
    columns = patch_rows(shape[1], patches.shape[-1])
    return patches[..., rows[:, None], columns]


def patch_rows(size: int, patches: int) -> npt.NDArray[np.intp]:
    """Return the patch row of every pixel row (or column): floor((y + 0.5) * patches / size), int (size,)."""
    if not 1 <= patches <= size:
        raise ValueError(f"{patches} patches do not fit in {size} pixels")
    return (2 * np.arange(size) + 1) * patches // (2 * size)


def _compress(labels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]]:
    """Return the sorted ids that occur and the labels as positions among them."""
    ids = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).astype(np.uint8)
    position = np.zeros(256, np.intp)
    position[ids] = np.arange(len(ids))
    return ids, position[labels]
