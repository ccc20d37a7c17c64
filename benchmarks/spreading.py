"""Searches spread over two workers of dask against two threads of this process, and the cost of getting the bank to workers."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.spreading import cluster, server, staging

_ROOT = str(Path(__file__).resolve().parents[1])
_WORKERS = 2
_ROWS = 512
_SETTINGS = {"scheduler": "distributed", "workers": _WORKERS, "memory_mb": 4000, "patience": 60, "slurm": {}}


def run() -> list[Result]:
    """Search the same bank in turns; every way to move it brings it to both workers anew each time."""
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    here = MemoryBank(bank)
    away = MemoryBank(bank)
    blocks = [queries[rows] for rows in slices(len(queries), _ROWS)]
    with _workers() as client:
        assert _found_by_workers(away, blocks)[0].tobytes() == here.search(blocks, threads=_WORKERS)[0].tobytes()
        seconds = median_seconds(
            {
                "threads": lambda: here.search(blocks, threads=_WORKERS),
                "workers": lambda: _found_by_workers(away, blocks),
                "file": lambda: _by_file(client, here),
                "scatter": lambda: _by_scatter(client, here),
                "graph": lambda: _by_graph(client, here),
            },
            rounds=3,
        )
        # A new bank each time: laid out, mapped, and its bounds learnt by every worker.
        once = median_seconds(
            {
                "threads": lambda: MemoryBank(bank).search(blocks, threads=_WORKERS),
                "workers": lambda: _found_by_workers(MemoryBank(bank), blocks),
            },
            rounds=3,
        )
        memory = _memory(client, here)
        size = staging.staged(here).size / 2**20
    speed = {name: len(queries) / taken for name, taken in seconds.items()}
    return [
        Result("1-NN over two workers, against two threads", speed["workers"], speed["threads"], "queries/s"),
        Result("the same with a bank prepared for it", 1 / once["workers"], 1 / once["threads"], "1/s"),
        Result("the bank to two workers by a mapped file, against scatter", seconds["file"], seconds["scatter"], "s"),
        Result("the same, against a value of the graph", seconds["file"], seconds["graph"], "s"),
        Result("the bank to two workers, against one search", seconds["file"], seconds["threads"], "s"),
        Result(
            "private memory of a worker by a mapped file, against scatter", memory["file"], memory["scatter"], "MiB"
        ),
        Result("the same, against the size of the bank", memory["file"], size, "MiB"),
    ]


@contextmanager
def _workers() -> Iterator[Any]:
    """Workers as a run starts them, and a client of theirs; what is laid out for them is in a folder of its own."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # Workers import this file.
        os.environ["PYTHONPATH"] = os.pathsep.join([_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            cluster.announce(_SETTINGS, address=server.start(_SETTINGS, Path(folder) / "dask.log"))
            connection = cluster.connected()
            assert connection is not None
            connection.client.wait_for_workers(_WORKERS)
            announced = os.environ.pop(cluster.ANNOUNCED)
            os.environ["BENCHMARK_DASK"] = announced
            yield connection.client
        finally:
            cluster.announce(None)
            cluster.disconnect()
            server.stop()
            os.chdir(before)


def _found_by_workers(bank: MemoryBank, blocks: list[Any]) -> Any:
    os.environ[cluster.ANNOUNCED] = os.environ["BENCHMARK_DASK"]
    try:
        return bank.search(blocks, threads=_WORKERS)
    finally:
        del os.environ[cluster.ANNOUNCED]


def _by_file(client: Any, bank: MemoryBank) -> None:
    handle = staging.write(bank)
    client.run(_touch_file, str(handle.path))


def _by_scatter(client: Any, bank: MemoryBank) -> None:
    future = client.scatter(bank, broadcast=True, hash=False)
    workers = list(client.scheduler_info()["workers"])
    client.gather([client.submit(_touch, future, workers=[name], pure=False) for name in workers])
    future.release()


def _by_graph(client: Any, bank: MemoryBank) -> None:
    """As a value of the graph that tasks refer to, which the scheduler holds and sends on."""
    import dask

    held = dask.delayed(bank, pure=False, traverse=False)
    workers = list(client.scheduler_info()["workers"])
    tasks = [dask.delayed(_touch, pure=False)(held) for _ in workers]
    futures = [client.compute(task, workers=[name]) for task, name in zip(tasks, workers, strict=True)]
    client.gather(futures)


def _touch(bank: MemoryBank) -> float:
    """Read one number of every page of what a search reads."""
    return float(sum(part.reshape(-1)[:: 4096 // part.itemsize].sum() for part in (bank._tokens, bank._doubled)))


def _touch_file(path: str) -> float:
    return _touch(staging.read(Path(path)))


def _memory(client: Any, bank: MemoryBank) -> dict[str, float]:
    """Return in MiB how much memory of its own the first worker takes for a bank, the larger of several looks."""
    found = {}
    before = _private(client)
    handle = staging.write(bank)
    client.run(_hold_file, str(handle.path))
    found["file"] = max(_private(client) - before, 0.1)
    client.run(_let_go)
    time.sleep(1)
    before = _private(client)
    future = client.scatter(bank, broadcast=True, hash=False)
    client.gather(client.submit(_touch, future, pure=False))
    found["scatter"] = max(_private(client) - before, 0.1)
    return found


_held: list[Any] = []


def _hold_file(path: str) -> float:
    _held.append(staging.read(Path(path)))
    return _touch(_held[-1])


def _let_go() -> None:
    _held.clear()


def _private(client: Any) -> float:
    return max(client.run(_private_here).values())


def _private_here() -> float:
    """Return the memory in MiB that this process shares with no other and with no file (proc(5), smaps_rollup)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024
