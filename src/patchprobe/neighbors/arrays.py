"""The tiles of scores of a search, on the CPU by numpy and on any other device by torch.

A matrix product of numpy is faster than that of torch on CPUs, and so is its search for candidates. On a GPU products
are in float32 proper, not in TF32, whose rounding the margins of a search would not cover.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from patchprobe.neighbors import blas
from patchprobe.neighbors.candidates import Candidates


class Arrays(Protocol):
    """Where tiles (queries, bank rows) are computed, and their best size."""

    query_block: int
    bank_block: int
    candidates: type[Candidates]

    def put(self, values: npt.NDArray[Any]) -> Any:
        """Return an array where tiles are computed."""

    def empty(self, queries: int, rows: int, precision: type[Any]) -> Any:
        """Return a tile to compute in."""

    def product(self, queries: Any, rows: Any, tile: Any) -> Any:
        """Return queries (Q, n) times rows (B, n), transposed; ``tile`` holds it if it has that shape."""

    def add_product(self, scores: Any, queries: Any, rows: Any, tile: Any) -> None:
        """Add such a product to scores (Q, B); ``tile`` is overwritten."""


class CpuArrays:
    """Tiles of 4 MiB, which stay in a CPU's cache."""

    query_block = 512
    bank_block = 2048
    candidates: type[Candidates] = Candidates

    def put(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See Arrays."""
        return values

    def empty(self, queries: int, rows: int, precision: type[Any]) -> npt.NDArray[Any]:
        """See Arrays."""
        return np.empty((queries, rows), precision)

    def product(self, queries: npt.NDArray[Any], rows: npt.NDArray[Any], tile: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See Arrays."""
        return np.matmul(queries, rows.T, out=tile if tile.shape[1] == len(rows) else None)

    def add_product(
        self, scores: npt.NDArray[Any], queries: npt.NDArray[Any], rows: npt.NDArray[Any], tile: npt.NDArray[Any]
    ) -> None:
        """See Arrays."""
        blas.add_product(scores, queries, rows)


def arrays_on(device: str) -> Arrays:
    """Return the arrays of a device: ``cpu``, or any that torch knows."""
    if device == "cpu":
        return CpuArrays()
    # Most jobs search on the CPU and need no torch.
    from patchprobe.neighbors.tensors import TorchArrays

    return TorchArrays(device)
