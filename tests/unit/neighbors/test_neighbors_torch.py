"""The path of GPUs, run by torch on the CPU and on a GPU where there is one: the same answers as float64 brute force."""

import numpy as np
import pytest
import torch

from patchprobe.neighbors import arrays as neighbor_arrays
from patchprobe.neighbors.arrays import CpuArrays
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.neighbors.tensors import TorchArrays


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.requires_gpu)])
def device(request, monkeypatch):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    monkeypatch.setattr("patchprobe.neighbors.memory_bank.arrays_on", TorchArrays)
    monkeypatch.setattr("patchprobe.neighbors.sweep_bank.arrays_on", TorchArrays)
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sorted_rows(bank, queries, allowed=None):
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    squared = np.stack([np.square(query - bank).sum(axis=1) for query in queries])
    if allowed is not None:
        squared[~allowed] = np.inf
    return np.argsort(squared, axis=1, kind="stable")


def tokens(rng, kind):
    bank, queries = rng.standard_normal((1200, 64)), rng.standard_normal((90, 64))
    if kind == "huge":
        bank[:, ::9] *= 100
        queries[:, ::9] *= 100
    if kind == "crowded":
        bank = np.where(np.arange(1200) % 2, 1e3, -1e3)[:, None] + 1e-4 * bank
        queries = 1e3 + 1e-4 * queries
    if kind == "ties":
        bank, queries = np.round(bank), np.round(queries)
    return bank.astype(np.float64 if kind == "crowded" else np.float32), queries


@pytest.mark.parametrize("kind", ["even", "huge", "crowded", "ties"])
def test_nearest(rng, device, kind):
    bank, queries = tokens(rng, kind)
    order = sorted_rows(bank, queries)
    memory_bank = MemoryBank(bank, block=350, device=device)
    for k in (1, 7):
        found, _ = memory_bank.search([queries[:50], queries[50:]], threads=2, k=k, query_block=40)
        np.testing.assert_array_equal(found.reshape(-1, k), order[:, :k])


def test_own_group_left_out(rng, device):
    bank, queries = tokens(rng, "even")
    groups, own = np.arange(1200) // 40, np.arange(90) // 3
    overall, outside = MemoryBank(bank, groups=groups, block=350, device=device).search_outside(
        [queries], [own], threads=1, k=3
    )
    np.testing.assert_array_equal(overall[0], sorted_rows(bank, queries)[:, :3])
    np.testing.assert_array_equal(outside[0], sorted_rows(bank, queries, own[:, None] != groups)[:, :3])


@pytest.mark.parametrize("kind", ["even", "huge", "crowded", "ties"])
def test_sweep(rng, device, kind):
    bank, queries = tokens(rng, kind)
    order = np.argsort(-bank.astype(np.float64).var(axis=0), kind="stable")
    found = SweepBank(bank, order, [0, 8, 20, 63], device=device, block=500).search([queries], threads=1)
    for count, rows in found.items():
        kept = np.sort(order[count:])
        np.testing.assert_array_equal(rows, sorted_rows(bank[:, kept], queries[:, kept])[:, 0])


def test_tf32_is_refused(rng, device):
    bank, queries = tokens(rng, "even")
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError, match="set_float32_matmul_precision"):
            MemoryBank(bank, device=device).search([queries], threads=1)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_devices():
    assert isinstance(neighbor_arrays.arrays_on("cpu"), CpuArrays)
    assert isinstance(neighbor_arrays.arrays_on("cuda"), TorchArrays)
