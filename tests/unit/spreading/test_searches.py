"""Searches on workers, processes of their own: the same neighbours, digit for digit, also when a worker is killed."""

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import SETTINGS
from spread_work import processes, slow

from patchprobe.errors import DataError, ModelError
from patchprobe.neighbors.blocks import search_blocks
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.spreading import cluster, staging
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store


def store(folder, tokens):
    """A token store of some tiles, read lazily, by a relative path."""
    with build_store(folder / "tokens.zarr", spec="{}", code="") as build:
        array = build.array("tokens", tokens.shape, (1, *tokens.shape[1:]), np.float32, ("tile", "patch", "feature"))
        for unit in build.pending([str(i) for i in range(len(tokens))]):
            array[int(unit)] = tokens[int(unit)]
            build.finish(unit)
    return open_store(Path("tokens.zarr")).tokens


def here(search):
    """What a search finds in this process."""
    announced = os.environ.pop(cluster.ANNOUNCED)
    try:
        return search()
    finally:
        os.environ[cluster.ANNOUNCED] = announced


def assert_same_bytes(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def brute_force(bank, queries):
    return np.array([np.square(query - bank).sum(axis=1).argmin() for query in queries.astype(np.float64)])


def test_workers_read_the_store_and_find_what_one_process_finds(announced, tmp_path):
    rng = np.random.default_rng(0)
    bank, queries = rng.standard_normal((300, 16)), rng.standard_normal((6, 10, 16)).astype(np.float32)
    lazy, done = store(tmp_path, queries), []
    search = partial(MemoryBank(bank).search, [lazy[:3], lazy[3:]], threads=1)
    found = search(progress=done.append)
    np.testing.assert_array_equal(found[0], brute_force(bank, queries.reshape(-1, 16)))
    assert_same_bytes(found, here(search))
    assert done == [30, 30]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_searches_find_the_same_bytes(announced, metric):
    rng = np.random.default_rng(1)
    # A bank that repeats rows, enough queries for lower bounds, blocks of several sizes, one a large array in memory.
    bank = np.repeat(rng.standard_normal((1500, 32)) * np.geomspace(10, 0.1, 32), 2, axis=0).astype(np.float16)
    blocks = [rng.standard_normal(shape) * np.geomspace(10, 0.1, 32) for shape in ((9000, 32), (10, 7, 32), (1, 32))]
    groups = [rng.integers(0, 12, block.shape[:-1]) for block in blocks]
    tokens = MemoryBank(bank, metric=metric, groups=np.arange(3000) // 300)

    def search():
        overall, outside = tokens.search_outside(blocks, groups, threads=2, k=3, outside_k=2)
        return [*tokens.search(blocks, threads=2, k=5), *overall, *outside]

    assert_same_bytes(search(), here(search))


def test_the_sweep_is_spread_too(announced):
    rng = np.random.default_rng(2)
    bank, queries = rng.standard_normal((200, 12)), rng.standard_normal((50, 12))
    sweep = SweepBank(bank, np.arange(12), [0, 4])
    search = partial(sweep.search, [queries[:20], queries[20:]], threads=1)
    found = search()
    np.testing.assert_array_equal(found[4], brute_force(bank[:, 4:], queries[:, 4:]))
    assert_same_bytes([*found.values()], [*here(search).values()])


def test_the_work_is_done_by_the_workers(announced):
    options = {"features": 3, "threads": 1, "query_block": 5, "progress": None}
    blocks = [np.zeros((5, 3)), np.zeros((5, 3))]
    away = search_blocks(MemoryBank(np.eye(3)), processes, blocks, **options, portable=True)
    assert os.getpid() not in np.concatenate([part[0] for part in away])
    kept = search_blocks(MemoryBank(np.eye(3)), processes, blocks, **options, portable=False)
    assert set(np.concatenate([part[0] for part in kept])) == {os.getpid()}


def test_an_error_of_a_block_comes_back_as_it_is(announced):
    bank = MemoryBank(np.eye(4), groups=[0, 0, 0, 1])
    with pytest.raises(ModelError, match="queries: some tokens are infinite"):
        bank.search([np.full((3, 4), np.nan)], threads=1)
    with pytest.raises(DataError, match="fewer than 2 bank rows lie outside it"):
        bank.search_outside([np.eye(4)], [np.zeros(4, int)], threads=1, k=2)


def test_the_bank_is_laid_out_once_and_removed_with_it(announced, tmp_path):
    bank = MemoryBank(np.eye(64))
    for _ in range(2):
        bank.search([np.eye(64)], threads=1)
    (file,) = (tmp_path / staging.FOLDER).iterdir()
    connection = cluster.connected()
    holding = connection.client.run(lambda: list(__import__("patchprobe.spreading.staging").spreading.staging._held))
    assert str(file) in [path for paths in holding.values() for path in paths]
    del bank
    assert not file.exists()


def test_a_worker_that_is_killed_changes_nothing(announced):
    """Both are killed while they search, one after the other; each is replaced, and maps the bank again."""
    rng = np.random.default_rng(3)
    bank, blocks = MemoryBank(rng.standard_normal((500, 8))), [rng.standard_normal((4, 8)) for _ in range(40)]
    search = partial(search_blocks, bank, slow, blocks, features=8, threads=2, query_block=4, portable=True)
    expected = here(partial(search, progress=None))
    client = cluster.connected().client
    before = set(client.run(os.getpid).values())
    killed, done = [], []

    def kill():
        for pid in sorted(before):
            while len(done) < 4 + 6 * len(killed):
                time.sleep(0.02)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    found = search(progress=done.append)
    killer.join()
    assert set(killed) == before
    assert_same_bytes([part[0] for part in found], [part[0] for part in expected])
    assert sum(done) == 160
    client.wait_for_workers(SETTINGS["workers"], timeout=30)
    assert not before & set(client.run(os.getpid).values())
