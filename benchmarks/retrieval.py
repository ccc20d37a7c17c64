"""Patch retrieval: both settings in one pass against one setting alone and the bare product, and more neighbours."""

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank

_PATCHES, _BANK = 196, 57_820  # of a tile, and of the paper's 295 tiles
_QUERIES, _ROWS = 4096, 512
_LEVELS = (0.1, 0.3, 1.0)  # deviation of the noise on queries, in that of the tokens


class OtherTilesAlone(MemoryBank):
    """A bank that looks nowhere but outside a query's own tile."""

    def _with_own(self, queries: Any, own: Any, outside: Any, ks: Any) -> list[Any]:
        return [outside, outside]


def run() -> list[Result]:
    """Search from noisy copies of bank rows, as patches of transformed tiles are; smaller times are better."""
    rng = np.random.default_rng(0)
    real = bank_and_queries()[0].astype(np.float32)
    # As many again, each a real one moved by a third of the tokens' deviation.
    moved = real + 0.3 * real.std(axis=0).mean() * rng.standard_normal(real.shape, np.float32)
    bank = np.concatenate([real, moved])[:_BANK]
    chosen = np.sort(rng.permutation(len(bank))[:_QUERIES])
    measured = {}
    for level in _LEVELS:
        noise = rng.standard_normal((_QUERIES, bank.shape[1]), np.float32)
        measured[f"noise {level:g}"] = _seconds(bank, chosen, bank[chosen] + level * bank.std(axis=0).mean() * noise)
    # A run searches from all levels: what one setting costs beside the other there is the sum.
    measured["all levels"] = {name: sum(part[name] for part in measured.values()) for name in measured["noise 1"]}
    results = []
    for queries, seconds in measured.items():
        for name, ours, reference in (
            ("both settings, against own tile left out alone", "both", "others"),
            ("both settings, against all patches alone", "both", "all"),
            ("ten neighbours of all, against one", "ten", "both"),
            ("both settings, against the bare product", "both", "product"),
        ):
            results.append(Result(f"retrieval, {queries}, {name}", seconds[ours], seconds[reference], "s"))
    return results


def _seconds(
    bank: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64], queries: npt.NDArray[np.float32]
) -> dict[str, float]:
    tiles = np.arange(len(bank)) // _PATCHES
    # A bank for each, since one decides by its first queries how it searches.
    all_alone, both, ten = (MemoryBank(bank, groups=tiles) for _ in range(3))
    others, product = OtherTilesAlone(bank, groups=tiles), np.empty((_ROWS, len(bank)), np.float32)
    parts = slices(_QUERIES, _ROWS)
    blocks, own = [queries[part] for part in parts], [tiles[chosen[part]] for part in parts]

    def multiply() -> None:
        for block in blocks:
            np.matmul(block, bank.T, out=product)

    return median_seconds(
        {
            "all": lambda: all_alone.search(blocks, threads=THREADS),
            "others": lambda: others.search_outside(blocks, own, threads=THREADS),
            "both": lambda: both.search_outside(blocks, own, threads=THREADS),
            "ten": lambda: ten.search_outside(blocks, own, k=10, outside_k=1, threads=THREADS),
            "product": multiply,
        },
        rounds=5,
    )
