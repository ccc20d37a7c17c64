"""From label maps to patch labels and back."""

import numpy as np
import numpy.typing as npt

_BATCH_PIXELS = 1 << 20  # keeps the vote's index array in the cache: 8 MiB


def patch_labels(labels: npt.NDArray[np.uint8], grid: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the most frequent id in every patch.

    ``labels`` is uint8 (..., height, width), ``grid`` is (rows, columns); the result is uint8 (..., rows, columns).
    Pixel row y belongs to patch row floor((y + 0.5) * rows / height), columns alike, so the grid need not divide the
    size. Void takes part as an id of its own; ties go to the smaller id. Raises ValueError if the grid has more rows
    or columns than the map.
    """
    *lead, height, width = labels.shape
    rows, columns = grid
    patches = patch_rows(height, rows)[:, None] * columns + patch_rows(width, columns)
    ids, codes = _compress(labels.reshape(-1, height, width))
    votes = np.empty((len(codes), rows * columns), np.uint8)
    batch = max(1, _BATCH_PIXELS // (height * width))
    cells = patches * len(ids)
    for start in range(0, len(codes), batch):
        part = codes[start : start + batch]
        offsets = np.arange(len(part))[:, None, None] * (rows * columns * len(ids))
        bins = np.bincount((part + cells + offsets).ravel(), minlength=len(part) * rows * columns * len(ids))
        # argmax takes the first of equals, and ids are sorted.
        votes[start : start + batch] = ids[bins.reshape(len(part), rows * columns, len(ids)).argmax(-1)]
    return votes.reshape(*lead, rows, columns)


def paint(patches: npt.NDArray[Scalar], shape: tuple[int, int]) -> npt.NDArray[Scalar]:
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
    seen = np.zeros(256, bool)
    seen[labels] = True
    ids = np.flatnonzero(seen).astype(np.uint8)
    position = np.zeros(256, np.intp)
    position[ids] = np.arange(len(ids))
    return ids, position[labels]
