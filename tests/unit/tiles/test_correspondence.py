"""Corresponding patches by hand, and matrices of full images that are one tile each."""

import numpy as np
import pytest
import xarray as xr

from patchprobe.corruptions.corruption import open_corruption
from patchprobe.corruptions.geometric import warp_image
from patchprobe.errors import StoreError
from patchprobe.tiles.correspondence import NONE, corresponding_patches, patch_centres, source_centres, tile_affines


def matrix(kind, level, side):
    corruption = open_corruption(kind, {"levels": [level], "apply": "tile"})
    return corruption.affine(corruption.levels[0], side, side)


def test_centres_of_patches_by_hand():
    centres = patch_centres((8, 12), (2, 3))
    assert centres.tolist() == [[1.5, 1.5], [5.5, 1.5], [9.5, 1.5], [1.5, 5.5], [5.5, 5.5], [9.5, 5.5]]


def test_a_shift_by_a_patch_moves_every_patch_by_one():
    got = corresponding_patches(matrix("shift", 4, 16), (16, 16), (4, 4)).reshape(4, 4)
    assert (got[0] == NONE).all() and (got[:, 0] == NONE).all()
    assert got[1:, 1:].tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]


def test_a_shift_below_half_a_patch_changes_none_and_one_of_half_belongs_to_the_later():
    everything = np.arange(16)
    assert np.array_equal(corresponding_patches(matrix("shift", 1, 16), (16, 16), (4, 4)), everything)
    # Centres of 4 px patches move from 2 to 0 px from the corner of their patch: onto its border.
    assert np.array_equal(corresponding_patches(matrix("shift", 2, 16), (16, 16), (4, 4)), everything)
    assert corresponding_patches(matrix("shift", 3, 16), (16, 16), (4, 4))[5] == 0


def test_a_quarter_turn_counter_clockwise_by_hand():
    got = corresponding_patches(matrix("rotate", 90, 12), (12, 12), (3, 3)).reshape(3, 3)
    # What was at the right is at the top now.
    assert got.tolist() == np.rot90(np.arange(9).reshape(3, 3)).tolist()


@pytest.mark.parametrize("kind, level", [("shift", 3), ("rotate", 20), ("scale", 0.8), ("scale", 1.2)])
def test_pixels_come_from_where_the_centres_say(kind, level):
    y, x = np.mgrid[:60, :60]
    ramps = np.stack([x * 4, y * 4, 0 * x], axis=-1).astype(np.uint8)
    affine = matrix(kind, level, 60)
    moved = warp_image(ramps, affine).astype(float) / 4
    centres = source_centres(affine, (60, 60), (12, 12))  # of 5 px, so that a pixel is at the centre
    inside = ((centres >= 0) & (centres <= 59)).all(axis=1)
    assert inside.sum() > 60
    there = moved[2::5, 2::5].reshape(-1, 3)[:, :2]
    assert np.abs(there - centres)[inside].max() < 0.2  # values are rounded to 8 bits


def store(affine, *, frame, tiles=2, images=2, cut=112, stored=224):
    return xr.Dataset(
        {"affine": (("level", "affine_row", "affine_column"), affine[None])},
        coords={
            "level": [1.0],
            "tile": [f"t{i}" for i in range(tiles)],
            "image_id": ("tile", [f"i{i % images}" for i in range(tiles)]),
            "y": np.arange(stored),
            "x": np.arange(stored),
        },
        attrs={"affine_frame": frame, "tile_size": cut, "corruption": "rotate"},
    )


@pytest.mark.parametrize("kind, level", [("shift", 3), ("rotate", 15), ("scale", 0.8)])
def test_matrices_of_images_that_are_one_tile_are_those_of_the_tile(kind, level):
    # Rotation and scaling about the centre do not depend on the size; 3 px of the image are 6 of the resized tile.
    got = tile_affines(store(matrix(kind, level, 112), frame="image"))
    expected = matrix(kind, 2 * level if kind == "shift" else level, 224)
    assert np.allclose(got[0], expected)
    assert np.array_equal(tile_affines(store(expected, frame="tile"))[0], expected)


def test_what_moves_nothing_is_the_identity():
    tiles = store(np.eye(2, 3), frame="tile").drop_vars("affine")
    assert np.array_equal(tile_affines(tiles), np.eye(2, 3)[None])


def test_moved_images_of_several_tiles_are_refused():
    with pytest.raises(StoreError, match=r"set corruptions\.rotate\.apply to tile"):
        tile_affines(store(matrix("rotate", 5, 224), frame="image", tiles=4))
