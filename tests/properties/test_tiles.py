"""Tilings of any image."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from patchprobe.tiles.tiling import Tiling, tile_table

SIDES = st.integers(1, 300)


@settings(deadline=None)  # a busy machine is no failure
@given(SIDES, SIDES, st.integers(5, 120))
def test_tiles_cover_every_pixel_with_the_least_number(height: int, width: int, size: int) -> None:
    size = min(size, height, width)
    covered = np.zeros((height, width), int)
    corners = Tiling(size, 8).corners(height, width)
    for top, left in corners:
        assert 0 <= top <= height - size and 0 <= left <= width - size
        covered[top : top + size, left : left + size] += 1
    assert covered.min() >= 1
    assert len(corners) == -(-height // size) * -(-width // size)
    assert len(set(corners)) == len(corners) and corners == sorted(corners)


@settings(deadline=None)  # a busy machine is no failure
@given(SIDES, st.integers(1, 120))
def test_tiles_are_evenly_spread_and_symmetric(length: int, size: int) -> None:
    size = min(size, length)
    offsets = Tiling(size, 8).offsets(length)
    assert offsets[0] == 0 and offsets[-1] == length - size
    steps = np.diff(offsets)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
    mirrored = [length - size - offset for offset in reversed(offsets)]
    assert np.abs(np.subtract(offsets, mirrored)).max() <= 1  # a half pixel can go either way


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.integers(20, 90), st.integers(20, 90)), min_size=1, max_size=5))
def test_tile_ids_are_unique_stable_and_in_order(sizes: list[tuple[int, int]]) -> None:
    index = pd.DataFrame(
        [(f"train/{i:03}", "train", h, w) for i, (h, w) in enumerate(sizes)],
        columns=["image_id", "split", "height", "width"],
    )
    table = tile_table(index, Tiling(20, 8))
    assert table["tile"].is_unique
    assert table["image_id"].drop_duplicates().tolist() == index["image_id"].tolist()
    # The tiles of an image do not depend on the other images.
    alone = pd.concat([tile_table(index.iloc[[i]], Tiling(20, 8)) for i in range(len(index))])
    assert table.equals(alone.reset_index(drop=True))
    for row in table.itertuples():
        assert row.tile == f"{row.image_id}#r{row.row}c{row.col}"
