"""Patch labels against scipy's mode, and painting."""

import numpy as np
import pytest
from scipy.stats import mode

from patchprobe.tiles.patches import paint, patch_labels


def test_against_scipy_mode_on_a_dividing_grid() -> None:
    labels = np.random.default_rng(0).choice([0, 3, 7, 255], (5, 56, 84), p=[0.3, 0.3, 0.2, 0.2]).astype(np.uint8)
    blocks = labels.reshape(5, 4, 14, 6, 14).transpose(0, 1, 3, 2, 4).reshape(5, 4, 6, -1)
    np.testing.assert_array_equal(patch_labels(labels, (4, 6)), mode(blocks, axis=-1).mode)


def test_ties_go_to_the_smaller_id_and_void_votes() -> None:
    labels = np.array([[7, 7, 255, 255], [2, 2, 255, 4]], np.uint8)
    assert patch_labels(labels, (1, 2)).tolist() == [[2, 255]]


def test_a_grid_that_does_not_divide_by_hand() -> None:
    # Five rows in two patches: centres 0.5, 1.5, 2.5, 3.5, 4.5 of 5, so row 2 (half way) belongs to the second.
    labels = np.array([[1], [1], [9], [9], [2]], np.uint8)
    assert patch_labels(labels, (2, 1)).tolist() == [[1], [9]]


def test_many_tiles_in_batches_and_none() -> None:
    labels = np.random.default_rng(1).integers(0, 20, (40, 112, 112), dtype=np.uint8)
    whole = patch_labels(labels, (8, 8))
    np.testing.assert_array_equal(whole, np.stack([patch_labels(label, (8, 8)) for label in labels]))
    assert patch_labels(labels[:0], (8, 8)).shape == (0, 8, 8)


def test_painting_is_the_inverse_on_maps_constant_in_patches() -> None:
    patches = np.random.default_rng(2).integers(0, 20, (3, 7, 5), dtype=np.uint8)
    np.testing.assert_array_equal(patch_labels(paint(patches, (28, 41)), (7, 5)), patches)
    np.testing.assert_array_equal(paint(patches, (28, 20)), np.kron(patches, np.ones((1, 4, 4), np.uint8)))


def test_more_patches_than_pixels() -> None:
    with pytest.raises(ValueError, match="8 patches do not fit in 7 pixels"):
        patch_labels(np.zeros((7, 9), np.uint8), (8, 2))
