"""Searches on the workers of a dask cluster, processes of their own, and what is said when it is not there."""

import os
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from patchprobe.errors import ConfigError
from patchprobe.neighbors.blocks import search_blocks
from patchprobe.neighbors.cluster import ADDRESS, announce
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a scheduler with two workers, in another folder than this process."""
    folder = str(tmp_path_factory.mktemp("workers"))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", local_directory=folder
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def announced(scheduler, monkeypatch):
    monkeypatch.setenv(ADDRESS, "")  # so that what is announced ends with the test
    announce(scheduler)


def brute_force(bank, queries):
    return np.array([np.square(query - bank).sum(axis=1).argmin() for query in queries.astype(np.float64)])


def store(folder, tokens):
    """A token store of some tiles, read lazily, by a relative path."""
    with build_store(folder / "tokens.zarr", spec="{}", code="") as build:
        array = build.array("tokens", tokens.shape, (1, *tokens.shape[1:]), np.float32, ("tile", "patch", "feature"))
        for unit in build.pending([str(i) for i in range(len(tokens))]):
            array[int(unit)] = tokens[int(unit)]
            build.finish(unit)
    return open_store(Path("tokens.zarr")).tokens


def test_workers_read_the_store_and_find_what_one_process_finds(announced, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    bank, queries = rng.standard_normal((300, 16)), rng.standard_normal((6, 10, 16)).astype(np.float32)
    lazy, done = store(tmp_path, queries), []
    indices, _ = MemoryBank(bank).search([lazy[:3], lazy[3:]], threads=1, progress=done.append)
    np.testing.assert_array_equal(indices, brute_force(bank, queries.reshape(-1, 16)))
    assert sum(done) == 60


def test_the_sweep_is_spread_too(announced):
    rng = np.random.default_rng(1)
    bank, queries = rng.standard_normal((200, 12)), rng.standard_normal((50, 12))
    found = SweepBank(bank, np.arange(12), [0, 4]).search([queries[:20], queries[20:]], threads=1)
    np.testing.assert_array_equal(found[4], brute_force(bank[:, 4:], queries[:, 4:]))


def test_the_work_is_done_by_the_workers(announced):
    here = os.getpid()

    def search(queries):
        return (np.full(len(queries), os.getpid()),)

    options = {"features": 3, "threads": 1, "query_block": 5, "progress": None}
    blocks = [np.zeros((5, 3)), np.zeros((5, 3))]
    away = np.concatenate([part[0] for part in search_blocks(search, blocks, **options, portable=True)])
    assert here not in away
    kept = np.concatenate([part[0] for part in search_blocks(search, blocks, **options, portable=False)])
    assert set(kept) == {here}


def test_an_address_where_nobody_answers(monkeypatch):
    monkeypatch.setattr("patchprobe.neighbors.cluster._PATIENCE", "1s")
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:9")
    with pytest.raises(
        ConfigError, match=r"dask_scheduler: no scheduler answers at tcp://127.0.0.1:9 .*dask_scheduler: null"
    ):
        MemoryBank(np.eye(4)).search([np.eye(4)], threads=1)


def test_a_scheduler_without_workers(monkeypatch):
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        monkeypatch.setenv(ADDRESS, empty.scheduler_address)
        with pytest.raises(ConfigError, match=r"the scheduler at .* has no workers; start"):
            MemoryBank(np.eye(4)).search([np.eye(4)], threads=1)
