"""Lower bounds by principal axes: they hold, they are used, and what they find is the answer of brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchprobe.neighbors import bounds as neighbor_bounds
from patchprobe.neighbors.bounds import choose_axes, principal_axes
from patchprobe.neighbors.memory_bank import MemoryBank

ROWS, QUERIES, FEATURES = 5000, 160, 96


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def structured(rng, rows):
    """Tokens near a space of five dimensions, which few axes describe."""
    space = np.random.default_rng(1).standard_normal((5, FEATURES))
    return rng.standard_normal((rows, 5)) @ space + 0.02 * rng.standard_normal((rows, FEATURES))


@pytest.fixture
def free_distances(monkeypatch):
    """Bounds always pay, however many rows they leave."""
    monkeypatch.setattr(neighbor_bounds, "_distance_cost", lambda features: 0)
    monkeypatch.setattr(neighbor_bounds, "_second_cost", lambda axes: 0)


def squared_distances(bank, queries):
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    return np.stack([np.square(query - bank).sum(axis=1) for query in queries])


def searched(bank, queries, **options):
    """Search three times: by the last the bank has decided on bounds."""
    for _ in range(3):
        found = bank.search([queries[:100], queries[100:]], threads=2, query_block=64, **options)
    return found


@pytest.mark.parametrize("k", [1, 6])
@pytest.mark.parametrize("kind", ["plain", "float16", "huge features", "repeated rows", "near duplicates", "even"])
def test_bounds_are_used_and_exact(rng, free_distances, kind, k):
    bank, queries = structured(rng, ROWS).astype(np.float32), structured(rng, QUERIES).astype(np.float32)
    if kind == "float16":
        bank, queries = bank.astype(np.float16), queries.astype(np.float16)
    if kind == "huge features":
        bank[:, :3] *= 100
        queries[:, :3] *= 100
    if kind == "repeated rows":
        bank[4500:] = bank[:500]
        queries[:100] = bank[:100]
    if kind == "near duplicates":
        bank[4500:] = bank[:500] + 1e-5 * rng.standard_normal((500, FEATURES), dtype=np.float32)
        queries[:100] = bank[:100]
    if kind == "even":
        bank, queries = rng.standard_normal(bank.shape), rng.standard_normal(queries.shape)
    memory_bank = MemoryBank(bank)
    indices, distances = searched(memory_bank, queries, k=k)
    assert memory_bank._bounds is not None
    expected = squared_distances(bank, queries)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices.reshape(order.shape), order)
    np.testing.assert_allclose(distances.reshape(order.shape), np.take_along_axis(expected, order, 1), rtol=1e-12)


def test_cosine_and_groups_go_through_bounds(rng, free_distances):
    bank, queries = structured(rng, ROWS), structured(rng, QUERIES)
    groups, own = np.arange(ROWS) // 50, np.arange(QUERIES) // 8
    memory_bank = MemoryBank(bank, metric="cosine", groups=groups)
    for _ in range(3):
        overall, outside = memory_bank.search_outside([queries], [own], threads=1, k=2)
    assert memory_bank._bounds is not None
    unit, directions = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True) for tokens in (bank, queries))
    expected = squared_distances(unit, directions)
    np.testing.assert_array_equal(overall[0], np.argsort(expected, axis=1)[:, :2])
    expected[own[:, None] == groups] = np.inf
    np.testing.assert_array_equal(outside[0], np.argsort(expected, axis=1)[:, :2])


def test_queries_unlike_the_sample(rng):
    bank, queries = structured(rng, ROWS), structured(rng, QUERIES)
    memory_bank = MemoryBank(bank)
    searched(memory_bank, queries)
    assert memory_bank._bounds is not None
    for noise in (1, 30):
        far = queries + noise * rng.standard_normal(queries.shape)
        indices, _ = memory_bank.search([far], threads=1, query_block=100)
        np.testing.assert_array_equal(indices, squared_distances(bank, far).argmin(axis=1))


def test_no_bounds_where_all_axes_are_alike(rng):
    bank, queries = rng.standard_normal((ROWS, FEATURES)), rng.standard_normal((QUERIES, FEATURES))
    memory_bank = MemoryBank(bank)
    indices, _ = searched(memory_bank, queries)
    assert memory_bank._decided and memory_bank._bounds is None
    np.testing.assert_array_equal(indices, squared_distances(bank, queries).argmin(axis=1))


def test_no_bounds_for_few_features_or_rows(rng):
    tokens = rng.standard_normal((ROWS, 8))
    assert choose_axes(lambda rows: tokens[rows], ROWS, tokens[:10], np.zeros(10)) is None
    tokens = rng.standard_normal((100, FEATURES))
    assert choose_axes(lambda rows: tokens[rows], 100, tokens[:10], np.zeros(10)) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.floats(-8, 8), st.floats(-8, 8))
def test_products_never_exceed_their_bounds(seed, count, along, across):
    """Tokens in the span of the axes, across it and between, of any length, where the bound is tightest."""
    rng = np.random.default_rng(seed)
    axes = principal_axes(rng.standard_normal((200, 24)) * rng.lognormal(0, 2, 24), 20)
    assert axes.slack < 1e-9
    inside = rng.standard_normal((30, 20)) @ axes.vectors.T
    outside = rng.standard_normal((30, 24))
    outside -= outside @ axes.vectors @ axes.vectors.T
    tokens = np.concatenate([10**along * inside, 10**across * outside, 10**along * inside + 10**across * outside])
    (points,) = axes.points(tokens, [count])
    norms = np.linalg.norm(tokens, axis=1)
    assert (tokens @ tokens.T <= points @ points.T + axes.slack * np.outer(norms, norms)).all()
    # Not so loose that it says nothing.
    np.testing.assert_allclose(np.square(points).sum(axis=1), norms**2, rtol=1e-8)
