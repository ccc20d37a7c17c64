"""More neighbours than one, cosine distance and groups that are left out, against scikit-learn and brute force."""

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from patchprobe.errors import DataError
from patchprobe.neighbors.candidates import Candidates
from patchprobe.neighbors.memory_bank import MemoryBank, nearest


def brute_force(bank, queries, k, allowed=None):
    """Lower rows first among equals, by a stable sort."""
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    squared = np.stack([np.square(query - bank).sum(axis=1) for query in queries])
    if allowed is not None:
        squared[~allowed] = np.inf
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(squared, order, axis=1)


def assert_same(found, expected, k):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == ((len(theirs),) if k == 1 else theirs.shape)
    np.testing.assert_array_equal(found[0].reshape(expected[0].shape), expected[0])
    np.testing.assert_allclose(found[1].reshape(expected[1].shape), expected[1], rtol=1e-12)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("k", [2, 5, 30, 700])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_k_nearest(rng, k, scale):
    bank, queries = rng.standard_normal((700, 48)), rng.standard_normal((90, 48))
    bank[:, 3] *= scale
    found = nearest(bank, queries, k=k, threads=2, query_block=40, bank_block=150)
    assert_same(found, brute_force(bank, queries, k), k)
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bank).kneighbors(queries)
    np.testing.assert_array_equal(found[0], indices)
    np.testing.assert_allclose(np.sqrt(found[1]), distances, rtol=1e-9)


def test_repeated_rows_are_neighbours_each(rng):
    few = rng.integers(0, 9, (15, 24)).astype(np.uint8)
    bank = few[rng.integers(0, 15, 600)]
    for k in (2, 70):
        assert_same(nearest(bank, few, k=k, threads=1, bank_block=50), brute_force(bank, few, k), k)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 3))
def test_small_grids_full_of_ties_for_any_k_and_groups(data, features):
    grids = hnp.arrays(np.int8, st.tuples(st.integers(2, 30), st.just(features)), elements=st.integers(-2, 2))
    bank, queries = data.draw(grids), data.draw(grids)
    k = data.draw(st.integers(1, len(bank) // 2))
    # Two groups that alternate: each leaves at least half of the bank.
    own, asked = np.arange(len(bank)) % 2, data.draw(hnp.arrays(np.int8, len(queries), elements=st.integers(0, 2)))
    found, outside = MemoryBank(bank, groups=own, block=7).search_outside(
        [queries], [asked], threads=1, k=k, query_block=4
    )
    assert_same(found, brute_force(bank, queries, k), k)
    assert_same(outside, brute_force(bank, queries, k, asked[:, None] != own), k)


@pytest.mark.parametrize("k", [1, 30])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_cosine_is_that_of_scikit_learn(rng, k, dtype):
    lengths = rng.lognormal(0, 3 if dtype == np.float32 else 1, (2, 900, 1))
    bank = (rng.standard_normal((900, 32)) * lengths[0]).astype(dtype)
    queries = (rng.standard_normal((80, 32)) * lengths[1, :80]).astype(dtype)
    reference = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine").fit(bank.astype(np.float64))
    distances, indices = reference.kneighbors(queries.astype(np.float64))
    found, squared = nearest(bank, queries, k=k, metric="cosine", threads=2, bank_block=200)
    np.testing.assert_array_equal(found.reshape(-1, k), indices)
    np.testing.assert_allclose(squared.reshape(-1, k) / 2, distances, rtol=1e-9)


def test_tokens_of_zeros_are_orthogonal_to_all():
    bank = np.array([[0.0, 0], [-2, 0], [0, 3], [1e-9, 1e-9]])
    found, squared = nearest(bank, np.array([[5.0, 0], [0, 0]]), k=4, metric="cosine", threads=1)
    np.testing.assert_array_equal(found[0], [3, 0, 2, 1])
    np.testing.assert_allclose(1 - squared / 2, [[np.sqrt(0.5), 0, 0, -1], [0, 0, 0, 0]], atol=1e-15)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("text", [False, True])
def test_own_group_left_out(rng, k, text):
    bank = rng.standard_normal((600, 40)).astype(np.float32)
    groups = np.repeat(np.arange(30), 20)
    if text:
        groups = np.array([f"tile {group}" for group in groups])
    order = rng.permutation(600)
    queries = bank[order[:100]] + 0.1 * rng.standard_normal((100, 40)).astype(np.float32)
    asked = groups[order[:100]].copy()
    asked[:3] = "none" if text else 99
    overall, outside = MemoryBank(bank, groups=groups, block=64).search_outside(
        [queries[:60].reshape(3, 20, 40), queries[60:]],
        [asked[:60].reshape(3, 20), asked[60:]],
        threads=2,
        k=k,
        query_block=33,
    )
    assert_same(overall, brute_force(bank, queries, k), k)
    assert_same(outside, brute_force(bank, queries, k, asked[:, None] != groups), k)
    if k == 1:
        np.testing.assert_array_equal(overall[0], order[:100])
        assert (groups[outside[0][3:]] != asked[3:]).all()


def test_rows_repeated_in_other_groups_are_found(rng):
    few = rng.standard_normal((10, 8))
    bank, groups = np.tile(few, (3, 1)), np.repeat([0, 1, 2], 10)
    overall, outside = MemoryBank(bank, groups=groups).search_outside([few], [np.zeros(10, int)], threads=1)
    np.testing.assert_array_equal(overall[0], np.arange(10))
    np.testing.assert_array_equal(outside[0], np.arange(10, 20))


def test_what_cannot_be_answered_is_refused(rng):
    bank = rng.standard_normal((10, 4))
    with pytest.raises(DataError, match="k is 11, but the memory bank has 10 rows"):
        nearest(bank, bank, k=11, threads=1)
    with pytest.raises(DataError, match="k is 0"):
        nearest(bank, bank, k=0, threads=1)
    with pytest.raises(DataError, match="groups of shape"):
        MemoryBank(bank, groups=[1, 2])
    with pytest.raises(DataError, match="has no groups to leave out"):
        MemoryBank(bank).search_outside([bank], [np.zeros(10)], threads=1)
    with pytest.raises(DataError, match=r"group .*7.*: fewer than 3 bank rows lie outside it"):
        MemoryBank(bank, groups=np.repeat([7, 8], [8, 2])).search_outside([bank], [np.full(10, 7)], threads=1, k=3)


def test_workers_of_another_scheduler(rng):
    """A configured scheduler is used; that of processes sends bank and blocks as a cluster does."""
    bank, queries = rng.standard_normal((300, 16)), rng.standard_normal((60, 16))
    done = []
    with dask.config.set(scheduler="processes", num_workers=1):
        found = MemoryBank(bank).search([queries[:30], queries[30:]], threads=1, k=3, progress=done.append)
    assert_same(found, brute_force(bank, queries, 3), 3)
    assert sum(done) == 60


@pytest.mark.parametrize("near", [3, 40])  # rows with a candidate in the tile, few or many of 40
def test_scores_are_left_as_they_were_for_what_is_added_to_them(near):
    scores = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    scores[:near, 7] = scores[:near, 9] = -10  # two candidates in each of these rows
    before, ranked = scores.copy(), []
    book = Candidates(np.full(40, 1e-3), lambda query, row: ranked.append((query, row)), crowd_limit=None)
    book.offer(np.where(np.arange(40)[:, None] < near, scores, -9).astype(np.float32)[:, :1], 0)
    book.offer(scores, 1)
    np.testing.assert_array_equal(scores, before)
    query, row = book.remaining()
    assert {(int(q), int(r)) for q, r in zip(query, row, strict=True) if q < near} == {
        (q, r) for q in range(near) for r in (8, 10)
    }
