"""Pixels of patches there and back, and counts by hand."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import confusion_matrix

from patchprobe.scoring.patch_pixels import class_pixels, count_maps, label_maps, pixel_labels
from patchprobe.tiles.patches import patch_rows


def maps(shape, count=5, classes=4, seed=0):
    return np.random.default_rng(seed).integers(0, classes, (count, *shape)).astype(np.uint8)


def test_pixels_of_a_patch_are_its_window():
    labels = maps((6, 12))
    pixels = pixel_labels(labels, (2, 3))
    assert pixels.shape == (5, 6, 12)
    np.testing.assert_array_equal(pixels[2, 4], labels[2, 3:, 4:8].ravel())


@pytest.mark.parametrize(("shape", "grid"), [((6, 12), (2, 3)), ((7, 11), (2, 3)), ((5, 5), (5, 4)), ((10, 9), (3, 2))])
def test_maps_come_back_whatever_the_grid(shape, grid):
    labels = maps(shape)
    np.testing.assert_array_equal(label_maps(pixel_labels(labels, grid), grid, shape), labels)


@pytest.mark.parametrize(("shape", "grid"), [((6, 12), (2, 3)), ((7, 11), (2, 3))])
def test_class_pixels_are_counted(shape, grid):
    labels = maps(shape, count=40)
    counts = class_pixels(labels, grid, [1, 3])
    rows, columns = patch_rows(shape[0], grid[0]), patch_rows(shape[1], grid[1])
    for patch in range(grid[0] * grid[1]):
        own = labels[:, rows == patch // grid[1]][:, :, columns == patch % grid[1]]
        for place, name in enumerate([1, 3]):
            np.testing.assert_array_equal(counts[:, patch, place], (own == name).sum(axis=(1, 2)))


def test_maps_are_counted_by_image():
    truth, found = maps((4, 6), 7), maps((4, 6), 7, seed=1) % 3 + 1
    images = np.array(["b", "b", "a", "c", "c", "c", "a"])
    names = [f"t{i}" for i in range(7)]
    tiles = xr.Dataset(coords={"tile": names, "image_id": ("tile", images)})
    # Labels lie in another order, among further tiles.
    stored = xr.Dataset(
        {"label": (("tile", "y", "x"), np.concatenate([truth[::-1], truth[:1] * 0]))},
        coords={"tile": [*names[::-1], "other"]},
        attrs={"class_ids": [1, 2, 3], "void_id": 0},
    )
    counted = count_maps(iter([found[:3], found[3:4], found[4:]]), tiles, stored)
    for place, name in enumerate("abc"):
        own, answer = truth[images == name].ravel(), found[images == name].ravel()
        np.testing.assert_array_equal(counted[place], confusion_matrix(own[own > 0], answer[own > 0], labels=[1, 2, 3]))
