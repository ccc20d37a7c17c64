"""Which original patch a patch of a transformed tile shows, against mapping every pixel by itself."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from patchprobe.corruptions.corruption import open_corruption
from patchprobe.tiles.correspondence import NONE, corresponding_patches, source_centres


@st.composite
def transforms(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    grid = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    # Even sides of patches, so that their centre is the corner of four pixels.
    size = grid[0] * 2 * draw(st.integers(1, 5)), grid[1] * 2 * draw(st.integers(1, 5))
    kind = draw(st.sampled_from(("shift", "rotate", "scale")))
    levels = {"shift": st.integers(1, 9), "rotate": st.integers(1, 359), "scale": st.floats(0.3, 3.0)}
    corruption = open_corruption(kind, {"levels": [draw(levels[kind])], "apply": "tile"})
    return corruption.affine(corruption.levels[0], *size), size, grid


def naive(affine: np.ndarray, size: tuple[int, int], grid: tuple[int, int]) -> list[tuple[int, float]]:
    """For every patch the patch that holds the mean of its mapped pixels, and how near that is to a border."""
    (height, width), (rows, columns) = size, grid
    side_y, side_x = height // rows, width // columns
    found = []
    for row in range(rows):
        for column in range(columns):
            xs, ys = [], []
            for y in range(row * side_y, (row + 1) * side_y):
                for x in range(column * side_x, (column + 1) * side_x):
                    xs.append(affine[0, 0] * x + affine[0, 1] * y + affine[0, 2])
                    ys.append(affine[1, 0] * x + affine[1, 1] * y + affine[1, 2])
            # From the corner of the tile, where a pixel's centre is a half.
            x, y = sum(xs) / len(xs) + 0.5, sum(ys) / len(ys) + 0.5
            margin = min(abs(v / side - round(v / side)) for v, side in ((x, side_x), (y, side_y)))
            inside = 0 <= x < width and 0 <= y < height
            found.append((math.floor(y / side_y) * columns + math.floor(x / side_x) if inside else NONE, margin))
    return found


@settings(deadline=None, max_examples=300)
@given(transforms())
def test_a_patch_shows_what_the_mean_of_its_mapped_pixels_lies_in(case):
    affine, size, grid = case
    got = corresponding_patches(affine, size, grid)
    for place, (expected, margin) in enumerate(naive(affine, size, grid)):
        if margin > 1e-5:  # a centre on a border may go either way in sums of floats
            assert got[place] == expected


@settings(deadline=None)
@given(st.integers(2, 8), st.integers(1, 8), st.floats(1.05, 3.0))
def test_enlarging_lets_several_patches_show_one_and_none_come_from_outside(patches, side, factor):
    size, grid = (patches * side, patches * side), (patches, patches)
    corruption = open_corruption("scale", {"levels": [factor], "apply": "tile"})
    got = corresponding_patches(corruption.affine(factor, *size), size, grid)
    assert NONE not in got
    # What is shown has a share of 1 / factor of each side, and every patch of it is whole or cut.
    shown = patches / factor
    assert len(set(got.tolist())) <= (math.floor(shown) + 2) ** 2
    if shown + 2 < patches:
        assert len(set(got.tolist())) < len(got)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(1, 8), st.floats(0.3, 0.95))
def test_shrinking_leaves_a_rim_without_an_original(patches, side, factor):
    size, grid = (patches * side, patches * side), (patches, patches)
    corruption = open_corruption("scale", {"levels": [factor], "apply": "tile"})
    affine = corruption.affine(factor, *size)
    got = corresponding_patches(affine, size, grid).reshape(grid)
    x, y = source_centres(affine, size, grid).T.reshape(2, *grid)
    outside = (x < -0.5) | (x >= size[1] - 0.5) | (y < -0.5) | (y >= size[0] - 0.5)
    assert np.array_equal(got == NONE, outside)
    # By hand: the centre of the first patch lies (1 - 1 / patches) / 2 of a side from the middle.
    assert (got[0, 0] == NONE) == ((1 - 1 / patches) / 2 / factor > 0.5 + 1e-9)
    inside = got[got != NONE]
    assert len(set(inside.tolist())) == len(inside)
