"""Patch labels and painting, against loops over pixels."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from patchprobe.tiles.patches import paint, patch_labels


@st.composite
def maps_and_grids(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    ids = draw(st.lists(st.integers(0, 255), min_size=1, max_size=5, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.choice(np.array(ids, np.uint8), (draw(st.integers(1, 3)), height, width))
    return labels, (draw(st.integers(1, height)), draw(st.integers(1, width)))


@settings(deadline=None)  # a busy machine is no failure
@given(maps_and_grids())
def test_majority_equals_a_loop(case: tuple[np.ndarray, tuple[int, int]]) -> None:
    labels, (rows, columns) = case
    _, height, width = labels.shape
    got = patch_labels(labels, (rows, columns))
    for n, label in enumerate(labels):
        votes: dict[tuple[int, int], Counter[int]] = {}
        for y in range(height):
            for x in range(width):
                cell = ((2 * y + 1) * rows // (2 * height), (2 * x + 1) * columns // (2 * width))
                votes.setdefault(cell, Counter())[int(label[y, x])] += 1
        assert len(votes) == rows * columns
        for cell, count in votes.items():
            assert got[n][cell] == min(count, key=lambda i: (-count[i], i))


@settings(deadline=None)  # a busy machine is no failure
@given(maps_and_grids())
def test_painted_majority_is_never_worse_than_any_one_class(case: tuple[np.ndarray, tuple[int, int]]) -> None:
    labels, grid = case
    painted = paint(patch_labels(labels, grid), labels.shape[1:])
    assert painted.shape == labels.shape
    best = max((labels == i).sum() for i in np.unique(labels))
    assert (painted == labels).sum() >= best
