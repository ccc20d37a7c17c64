"""The tiles of scores of a search, on the CPU by numpy and on any other device by torch.

A matrix product of numpy is faster than that of torch on CPUs, and so is its search for candidates. On a GPU products
are in float32 proper, not in TF32, whose rounding the margins of a search would not cover.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from patchprobe.neighbor_candidates import Candidates


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
        scores += self.product(queries, rows, tile)


class TorchCandidates(Candidates):
    """Candidates whose scores are tensors: they are found where the scores are, and ranked on the CPU."""

    def offer(self, scores: torch.Tensor, start: int) -> None:  # type: ignore[override]
        """Take the scores (Q, B) of the bank rows from ``start`` on into account; infinite ones are no candidates."""
        k = self._lowest.shape[1]
        if k == 1:
            lowest = scores.amin(dim=1, keepdim=True)
        else:
            lowest = scores.topk(min(k, scores.shape[1]), dim=1, largest=False).values
        merged = np.concatenate([self._lowest, lowest.cpu().numpy()], axis=1)
        merged.partition(k - 1, axis=1)
        self._lowest, self._kth = merged[:, :k], merged[:, k - 1]
        limits = self.limits(np.float32)
        near = np.flatnonzero(lowest.amin(dim=1).cpu().numpy() <= limits)
        if not near.size:
            return
        rows, bounds = (torch.from_numpy(values).to(scores.device) for values in (near, limits[near]))
        part = scores[rows]
        row, column = ((part <= bounds[:, None]) & part.isfinite()).nonzero(as_tuple=True)
        found = part[row, column].cpu().numpy()
        self._keep(near[row.cpu().numpy()], column.cpu().numpy() + start, found)


class TorchArrays:
    """Tiles of 256 MiB on a torch device, big enough to hide the start of its kernels."""

    query_block = 4096
    bank_block = 16384
    candidates: type[Candidates] = TorchCandidates

    def __init__(self, device: str) -> None:
        self._device = device

    def put(self, values: npt.NDArray[Any]) -> torch.Tensor:
        """See Arrays."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def empty(self, queries: int, rows: int, precision: type[Any]) -> torch.Tensor:
        """See Arrays."""
        return torch.empty((queries, rows), dtype=torch.from_numpy(np.empty(0, precision)).dtype, device=self._device)

    def product(self, queries: torch.Tensor, rows: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
        """See Arrays."""
        _demand_float32()
        return torch.mm(queries, rows.T, out=tile) if tile.shape[1] == len(rows) else torch.mm(queries, rows.T)

    def add_product(self, scores: torch.Tensor, queries: torch.Tensor, rows: torch.Tensor, tile: torch.Tensor) -> None:
        """See Arrays."""
        _demand_float32()
        scores.addmm_(queries, rows.T)


def arrays_on(device: str) -> Arrays:
    """Return the arrays of a device: ``cpu``, or any that torch knows."""
    return CpuArrays() if device == "cpu" else TorchArrays(device)


def _demand_float32() -> None:
    if torch.get_float32_matmul_precision() != "highest":
        raise RuntimeError(
            "exact neighbours need matrix products in float32: call torch.set_float32_matmul_precision('highest')"
        )
