"""Nearest neighbours against float64 brute force, written out and by scikit-learn."""

import cv2
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from patchprobe.errors import DataError, ModelError
from patchprobe.neighbors import candidates as neighbor_candidates
from patchprobe.neighbors.memory_bank import MemoryBank, nearest


def brute_force(bank, queries):
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    distances = np.stack([np.square(query - bank).sum(axis=1) for query in queries])
    return distances.argmin(axis=1), distances.min(axis=1)


def assert_exact(bank, queries, **options):
    indices, distances = nearest(bank, queries, threads=2, **options)
    expected_indices, expected_distances = brute_force(bank, queries)
    assert indices.dtype == np.int64 and distances.dtype == np.float64
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)


def spread(features, kind):
    scale = np.ones(features)
    if kind == "one huge feature":
        scale[7] = 100
    elif kind == "200 huge features":
        scale[:200] = 1000
    elif kind == "decaying":
        scale = 1 / np.arange(1, features + 1)
    return scale


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["even", "one huge feature", "200 huge features", "decaying"])
def test_tokens_of_any_spectrum(rng, kind, dtype):
    scale = spread(256, kind)
    bank = (rng.standard_normal((3000, 256)) * scale).astype(dtype)
    queries = (rng.standard_normal((150, 256)) * scale).astype(dtype)
    assert_exact(bank, queries, query_block=64, bank_block=500)


def test_agrees_with_scikit_learn(rng):
    bank, queries = rng.standard_normal((2000, 64)), rng.standard_normal((300, 64))
    reference = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(bank)
    distances, indices = reference.kneighbors(queries)
    found, squared = nearest(bank, queries, threads=2)
    np.testing.assert_array_equal(found, indices[:, 0])
    np.testing.assert_allclose(np.sqrt(squared), distances[:, 0], rtol=1e-9)


def test_near_duplicates_are_told_apart(rng):
    base = rng.standard_normal((400, 128))
    copies = [base + 1e-6 * rng.standard_normal(base.shape) for _ in range(8)]
    assert_exact(np.concatenate(copies), base + 1e-7 * rng.standard_normal(base.shape))


def test_large_common_offset(rng):
    bank, queries = rng.standard_normal((2000, 96)) + 1e3, rng.standard_normal((200, 96)) + 1e3
    assert_exact(bank.astype(np.float32), queries.astype(np.float32))


def test_crowds_closer_than_float32_can_tell(rng):
    # Two clusters far apart, narrow in themselves: every bank token of a cluster is a float32 candidate.
    centres = np.repeat([[-1e3], [1e3]], 1500, axis=0)
    bank = centres + 1e-4 * rng.standard_normal((3000, 32))
    queries = centres[::50] + 1e-4 * rng.standard_normal((60, 32))
    assert_exact(bank, queries, bank_block=256)


def test_few_candidates_may_be_pending(rng, monkeypatch):
    monkeypatch.setattr(neighbor_candidates, "_PENDING", 50)
    bank = 1e3 + 1e-3 * rng.standard_normal((1000, 16))
    bank[0] = 0
    assert_exact(bank, bank[1:] + 1e-4, bank_block=64)


def test_magnitudes_whose_squares_leave_float32(rng):
    for magnitude in (1e-30, 1e30):
        assert_exact(
            magnitude * rng.standard_normal((500, 32)), magnitude * rng.standard_normal((50, 32)), bank_block=100
        )


def test_equal_rows_give_the_lowest_index(rng):
    few = rng.integers(0, 255, (20, 48)).astype(np.uint8)
    bank = few[rng.integers(0, 20, 3000)]
    assert_exact(bank, few)
    assert_exact(bank, rng.integers(0, 255, (50, 48)).astype(np.uint8))
    assert_exact(np.ones((100, 5)), np.zeros((3, 5)))


def test_zero_and_minus_zero_are_equal():
    assert nearest(np.array([[1.0, 0.0], [1.0, -0.0]])[::-1], np.array([[1.0, 0.0]]), threads=1)[0] == 0


def test_equidistant_rows_give_the_lowest_index():
    corners = np.eye(64)
    bank = np.concatenate([corners[::-1], -corners])
    assert_exact(bank, np.zeros((3, 64)))


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 4))
def test_small_integer_grids_full_of_ties(data, features):
    grids = hnp.arrays(np.int8, st.tuples(st.integers(1, 40), st.just(features)), elements=st.integers(-2, 2))
    assert_exact(data.draw(grids), data.draw(grids), query_block=7, bank_block=5)


def test_patches_of_real_pictures(shared):
    def patches(split, count):
        files = sorted((shared / "samples/camvid/CamVid" / split).glob("*.png"))[:count]
        assert len(files) == count
        pictures = np.stack([cv2.imread(str(file))[:336, :448] for file in files])
        return pictures.reshape(-1, 24, 14, 32, 14, 3).swapaxes(2, 3).reshape(-1, 14 * 14 * 3)

    assert_exact(patches("train", 6), patches("test", 2)[::11])


def test_lazy_blocks_in_order(rng):
    bank = rng.standard_normal((500, 16)).astype(np.float32)
    tokens = rng.standard_normal((10, 9, 16)).astype(np.float16)
    expected = brute_force(bank, tokens.reshape(-1, 16))[0]
    chunked = da.from_array(tokens, chunks=(2, 9, 16))
    named = xr.DataArray(tokens, dims=("tile", "patch", "feature"))
    parts = [slice(start, start + 2) for start in range(0, 10, 2)]
    candidates = {
        "numpy": [tokens[part] for part in parts],
        "dask": [chunked[part] for part in parts],
        "delayed": [dask.delayed(tokens.__getitem__)(part) for part in parts],
        "xarray": [named.isel(tile=part) for part in parts],
        "chunked xarray": [named.chunk(tile=2).isel(tile=part) for part in parts],
        "generator": (tokens[part] for part in parts),
    }
    for name, blocks in candidates.items():
        done = []
        found, _ = MemoryBank(bank).search(blocks, threads=2, query_block=7, progress=done.append)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        assert sum(done) == 90


def test_threads_and_block_sizes_change_nothing(rng):
    bank, queries = rng.standard_normal((700, 32)), rng.standard_normal((100, 32))
    first = nearest(bank, queries, threads=1)
    for options in ({"threads": 4, "query_block": 9}, {"threads": 2, "bank_block": 33}):
        np.testing.assert_array_equal(nearest(bank, queries, **options), first)


def test_no_queries():
    indices, distances = nearest(np.ones((3, 2)), np.ones((0, 2)), threads=1)
    assert indices.shape == distances.shape == (0,)
    assert indices.dtype == np.int64


def test_empty_bank_is_refused():
    with pytest.raises(DataError, match="memory bank is empty"):
        nearest(np.ones((0, 4)), np.ones((1, 4)), threads=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tokens_that_are_not_finite_are_refused(bad):
    good, broken = np.ones((3, 2)), np.array([[1.0, bad]])
    with pytest.raises(ModelError, match="memory bank: some tokens are infinite"):
        nearest(broken, good, threads=1)
    with pytest.raises(ModelError, match="queries: some tokens are infinite"):
        nearest(good, broken, threads=1)


def test_other_models_tokens_are_refused():
    with pytest.raises(ModelError, match="queries have 3 features and the memory bank 2"):
        nearest(np.ones((3, 2)), np.ones((1, 3)), threads=1)
    with pytest.raises(ModelError, match="expected real tokens"):
        nearest(np.ones(3), np.ones((1, 3)), threads=1)
    with pytest.raises(ModelError, match=r"more than 2\^60 times"):
        nearest(np.array([[0.0], [1.0]]), np.array([[1e30]]), threads=1)
