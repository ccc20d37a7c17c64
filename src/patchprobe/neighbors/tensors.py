"""The tiles of scores of a search by torch; a module of its own, since importing torch takes seconds."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from patchprobe.neighbors.candidates import Candidates


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


def _demand_float32() -> None:
    if torch.get_float32_matmul_precision() != "highest":
        raise RuntimeError(
            "exact neighbours need matrix products in float32: call torch.set_float32_matmul_precision('highest')"
        )
