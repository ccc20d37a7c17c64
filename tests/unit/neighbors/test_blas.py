"""The product that is added to its result, against numpy's in float64; threads do not wait for each other's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchprobe.neighbors.blas import add_product


@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(0, 7), st.sampled_from([np.float32, np.float64]), st.booleans()
)
def test_the_product_is_added(queries, rows, features, precision, views):
    rng = np.random.default_rng(0)
    wide = 3 if views else 0
    tile, asked, bank = (
        rng.integers(-8, 9, (n, m + wide)).astype(precision)[:, wide // 2 : wide // 2 + m]
        for n, m in ((queries, rows), (queries, features), (rows, features))
    )
    expected = tile.astype(np.float64) + asked.astype(np.float64) @ bank.T.astype(np.float64)
    add_product(tile, asked, bank)
    np.testing.assert_array_equal(tile, expected)


def test_what_lies_beside_a_view_stays():
    tile = np.ones((4, 8), np.float32)
    add_product(tile[:, 2:5], np.ones((4, 6), np.float32), np.ones((3, 6), np.float32))
    assert (tile[:, 2:5] == 7).all() and (tile[:, :2] == 1).all() and (tile[:, 5:] == 1).all()


@pytest.mark.parametrize(
    ("scores", "queries", "rows"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float64), np.zeros((3, 4), np.float32)),
        (np.zeros((2, 3), np.float16), np.zeros((2, 4), np.float16), np.zeros((3, 4), np.float16)),
        (np.zeros((2, 2), np.float32), np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float32)),
        (np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32), np.zeros((3, 5), np.float32)),
        (np.zeros((3, 2), np.float32).T, np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float32)),
        (np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)[::-1], np.zeros((3, 4), np.float32)),
        (
            np.broadcast_to(np.zeros((1, 3), np.float32), (2, 3)),
            np.zeros((2, 4), np.float32),
            np.zeros((3, 4), np.float32),
        ),
    ],
)
def test_other_arrays_are_refused(scores, queries, rows):
    with pytest.raises(ValueError, match="cannot add"):
        add_product(scores, queries, rows)
