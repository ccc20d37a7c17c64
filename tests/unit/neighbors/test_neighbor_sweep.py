"""All numbers of removed features in one pass, against a search of its own for each."""

import numpy as np
import pytest

from patchprobe.errors import DataError, ModelError
from patchprobe.neighbors.sweep_bank import SweepBank

COUNTS = (0, 1, 3, 10, 40, 63)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def brute_force(bank, queries, kept):
    bank, queries = bank[:, kept].astype(np.float64), queries[:, kept].astype(np.float64)
    return np.array([np.square(query - bank).sum(axis=1).argmin() for query in queries])


def assert_equal_to_separate_searches(bank, queries, counts=COUNTS, bank_block=None, **options):
    order = np.argsort(-bank.astype(np.float64).var(axis=0), kind="stable")
    blocks = [queries[:70], queries[70:].reshape(1, -1, queries.shape[1])]
    found = SweepBank(bank, order, counts, block=bank_block).search(blocks, threads=2, **options)
    assert list(found) == sorted(counts)
    for count in counts:
        assert found[count].dtype == np.int64
        np.testing.assert_array_equal(found[count], brute_force(bank, queries, np.sort(order[count:])), str(count))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["even", "decaying", "huge", "ever huger"])
def test_every_number_of_removed_features(rng, kind, dtype):
    scale = {
        "even": np.ones(64),
        "decaying": 1 / np.arange(1, 65),
        "huge": np.where(np.arange(64) % 9 == 0, 100.0, 1),
        "ever huger": np.logspace(-4, 4, 64),
    }[kind]
    bank, queries = (rng.standard_normal((rows, 64)) * scale for rows in (1500, 110))
    assert_equal_to_separate_searches(bank.astype(dtype), queries.astype(dtype), query_block=50, bank_block=400)


def test_repeated_rows_and_ties_give_the_lowest_row(rng):
    few = rng.integers(0, 3, (40, 64)).astype(np.uint8)
    assert_equal_to_separate_searches(few[rng.integers(0, 40, 1000)], rng.integers(0, 3, (90, 64)).astype(np.uint8))


def test_rows_that_differ_in_removed_features_only(rng):
    # Without its one huge feature the bank has ten distinct rows, each a hundred times.
    bank = rng.standard_normal((10, 64))[rng.integers(0, 10, 1000)]
    bank[:, 5] = 1e3 * rng.standard_normal(1000)
    queries = bank[:90] + 0.01
    assert_equal_to_separate_searches(bank, queries, bank_block=128)


def test_crowds_closer_than_float32_can_tell(rng):
    centres = np.repeat([[-1e3], [1e3]], 1000, axis=0)
    bank = centres + 1e-4 * rng.standard_normal((2000, 64)) * np.linspace(1, 2, 64)
    assert_equal_to_separate_searches(bank, bank[::25] + 1e-4 * rng.standard_normal((80, 64)), bank_block=256)


def test_one_number_alone_and_progress(rng):
    bank, queries = rng.standard_normal((300, 8)), rng.standard_normal((90, 8))
    done = []
    assert_equal_to_separate_searches(bank, queries, counts=(7,), query_block=40, progress=done.append)
    assert sum(done) == 90


def test_bad_tokens_are_refused(rng):
    good = rng.standard_normal((3, 4))
    with pytest.raises(DataError, match="memory bank is empty"):
        SweepBank(good[:0], np.arange(4), [0])
    with pytest.raises(ModelError, match="queries have 3 features and the memory bank 4"):
        SweepBank(good, np.arange(4), [0]).search([good[:, :3]], threads=1)
    with pytest.raises(ModelError, match="memory bank: some tokens are infinite"):
        SweepBank(np.full((3, 4), np.nan), np.arange(4), [0])
