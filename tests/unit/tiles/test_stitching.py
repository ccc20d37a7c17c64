"""Tiles put back at their places: against pixels by hand, and against the images that real tiles were cut from."""

import numpy as np
import pytest

from patchprobe.tiles.stitching import nearest, stitch
from patchprobe.tiles.tiling import Tiling


def test_pixels_by_hand():
    """Two tiles of 2 x 3 px of an image of 2 x 5 px overlap in column 2, where the second counts."""
    first, second = [[1, 2, 3], [4, 5, 6]], [[30, 40, 50], [60, 70, 80]]
    pixels, covered, corner = stitch(np.array([first, second], np.uint8), [(0, 0), (0, 2)], (2, 3))
    assert pixels.tolist() == [[1, 2, 30, 40, 50], [4, 5, 60, 70, 80]]
    assert covered.all() and corner == (0, 0)
    turned, _, _ = stitch(np.array([second, first], np.uint8), [(0, 2), (0, 0)], (2, 3))
    assert turned.tolist() == [[1, 2, 3, 40, 50], [4, 5, 6, 70, 80]]


def test_stored_tiles_of_another_size_by_hand():
    """Stored with 2 x 2 px and cut with 2 x 3: columns 0, 1, 2 have their centres at 1/3, 1 and 5/3 stored px."""
    pixels, _, _ = stitch(np.array([[[1, 2], [3, 4]]], np.uint8), [(0, 0)], (2, 3))
    assert pixels.tolist() == [[1, 2, 2], [3, 4, 4]]
    # Stored with 4 columns and cut with 3: centres at 2/3, 2 and 10/3.
    pixels, _, _ = stitch(np.array([[[1, 2, 3, 4]]], np.uint8), [(0, 0)], (1, 3))
    assert pixels.tolist() == [[1, 3, 4]]
    assert nearest(7, 3).tolist() == [1, 3, 5]


def test_missing_tiles_leave_gaps_and_the_part_that_is_there_is_shown():
    """Of a grid of 2 x 2 tiles the first is missing; of another all but the last column of it are."""
    tiles = np.full((3, 2, 2, 3), [[[[1]]], [[[2]]], [[[3]]]], np.uint8)
    pixels, covered, corner = stitch(tiles, [(0, 2), (2, 0), (2, 2)], (2, 2))
    assert pixels[..., 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert covered.tolist() == [[False, False, True, True]] * 2 + [[True] * 4] * 2 and corner == (0, 0)
    pixels, covered, corner = stitch(tiles[:2], [(4, 6), (6, 6)], (2, 2))
    assert pixels.shape == (4, 2, 3) and covered.all() and corner == (4, 6)
    assert pixels[:, 0, 0].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("size", [(50, 70), (37, 41), 37])
def test_tiles_of_the_size_they_were_cut_in_make_the_image_again(size):
    """None of the sizes divides 100 x 130, so tiles overlap."""
    draw = np.random.default_rng(0)
    image, label = draw.integers(0, 256, (100, 130, 3), np.uint8), draw.integers(0, 20, (100, 130), np.uint8)
    tiling = Tiling(size=size, resize=size)
    corners = tiling.corners(100, 130)
    for whole, tiles in ((image, tiling.cut_image(image)), (label, tiling.cut_label(label))):
        pixels, covered, corner = stitch(tiles, corners, tiling.cut)
        assert np.array_equal(pixels, whole) and covered.all() and corner == (0, 0)


def test_labels_come_back_through_other_scales():
    """Twice as large nothing is lost; half as large each 2 x 2 px are those of their lower right one, as tiles take it."""
    label = np.random.default_rng(1).integers(0, 20, (48, 64), np.uint8)
    twice, half = Tiling(size=(24, 32), resize=(48, 64)), Tiling(size=(24, 32), resize=(12, 16))
    pixels, _, _ = stitch(twice.cut_label(label), twice.corners(48, 64), twice.cut)
    assert np.array_equal(pixels, label)
    pixels, _, _ = stitch(half.cut_label(label), half.corners(48, 64), half.cut)
    assert np.array_equal(pixels, label[1::2, 1::2].repeat(2, 0).repeat(2, 1))


def test_no_tiles_are_refused():
    with pytest.raises(ValueError, match="0 tiles with 0 corners: give one tile or more"):
        stitch(np.zeros((0, 2, 2), np.uint8), [], (2, 2))
    with pytest.raises(ValueError, match="1 tiles with 2 corners"):
        stitch(np.zeros((1, 2, 2), np.uint8), [(0, 0), (0, 2)], (2, 2))
