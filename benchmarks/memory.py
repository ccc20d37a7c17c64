"""The peak memory of exact 1-NN, read from a zarr store, for N and for 4 N queries."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
import zarr

from benchmarks.measure import THREADS, Result
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors.memory_bank import MemoryBank

_CHUNK = 1024


def run() -> list[Result]:
    """Search in a fresh process for each number of queries; smaller is better, 1 is independence of the number."""
    bank, queries, _ = bank_and_queries()
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "bank.npy", bank)
        shape = (4 * len(queries), queries.shape[1])
        store = zarr.create_array(
            Path(folder) / "queries.zarr", shape=shape, chunks=(_CHUNK, shape[1]), dtype=queries.dtype, compressors=None
        )
        store[:] = np.tile(queries, (4, 1))
        few, many = (_peak_in_new_process(folder, count) for count in (len(queries), 4 * len(queries)))
    return [Result("memory of 1-NN beside the bank, 4 N queries against N", many, few, "MiB")]


def _peak_in_new_process(folder: str, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", folder, str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak_above_bank(folder: Path, count: int) -> float:
    """Return in MiB how far the resident memory rises above that of the prepared bank."""
    bank = MemoryBank(np.load(folder / "bank.npy"))
    queries = da.from_zarr(zarr.open_array(folder / "queries.zarr", mode="r"))
    blocks = [queries[start : start + _CHUNK] for start in range(0, count, _CHUNK)]
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    before = _status("VmRSS")
    bank.search(blocks, threads=THREADS)
    return _status("VmHWM") - before


def _status(field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match, f"/proc/self/status has no {field}"
    return int(match[1]) / 1024


if __name__ == "__main__":
    print(_peak_above_bank(Path(sys.argv[1]), int(sys.argv[2])))
