"""The loss and the gradients of a step; on a GPU recorded once and replayed, where the objective allows it.

A small network's step is a thousand small kernels, which a GPU ends sooner than Python starts them. A CUDA graph starts all
of them at once: https://docs.pytorch.org/docs/stable/notes/cuda.html (CUDA Graphs).
"""

import dataclasses
from collections.abc import Callable

import torch

from patchprobe.pretraining.objective import Batch, Objective

# Before a graph is recorded its libraries have to have chosen their algorithms.
_WARM_UP = 3


class Gradients:
    """Leaves the gradients of a batch in the weights of an objective."""

    def __init__(self, objective: Objective, precision: torch.dtype | None, device: str) -> None:
        """``precision`` is that of matrix products, None for float32."""
        self._objective = objective
        self._precision = precision
        self._device = torch.device(device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def record(self, batch: Callable[[], Batch]) -> None:
        """Record a step with batches of this shape if it can be; changes neither weights nor what a seed leads to."""
        if self._device.type != "cuda" or not self._objective.recordable:
            return
        self._batch = _copied(batch())
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UP):
                self._computed(self._batch)
        torch.cuda.current_stream().wait_stream(beside)
        # Made anew inside, gradients lie where every replay writes them.
        self._objective.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._loss = self._computed(self._batch)
        self._graph = graph

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch, a float32 scalar; gradients of earlier batches are gone."""
        if self._graph is None:
            return self._computed(batch)
        for held, new in zip(_tensors(self._batch), _tensors(batch), strict=True):
            held.copy_(new)
        self._graph.replay()
        return self._loss

    def _computed(self, batch: Batch) -> torch.Tensor:
        self._objective.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, self._precision, enabled=self._precision is not None):
            loss = self._objective.loss(batch)
        loss.backward()
        return loss.detach()


def _copied(batch: Batch) -> Batch:
    views = {name: [view.clone() for view in getattr(batch, name)] for name in ("full", "local")}
    return dataclasses.replace(batch, **views, presence=None if batch.presence is None else batch.presence.clone())


def _tensors(batch: Batch) -> list[torch.Tensor]:
    return [*batch.full, *batch.local, *([] if batch.presence is None else [batch.presence])]
