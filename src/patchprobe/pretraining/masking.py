"""Masks of patches, drawn from torch's global generator, with exactly the same number of patches in every image."""

import math

import torch


def random_mask(batch: int, grid: int, ratio: float, *, unit: int = 1, device: torch.device) -> torch.Tensor:
    """Return a mask (batch, grid * grid), true where a patch is masked.

    Blocks of ``unit`` x ``unit`` patches are masked together, ``ceil(ratio * blocks)`` of them in every image, each
    set of blocks as likely as any other. Raises ValueError unless ``unit`` divides ``grid``.
    """
    if grid % unit:
        raise ValueError(f"blocks of {unit} x {unit} patches do not tile a grid of {grid} x {grid}")
    side = grid // unit
    masked = masked_patches(side, ratio)
    order = torch.rand(batch, side * side, device=device).argsort(dim=1)
    blocks = torch.zeros(batch, side * side, dtype=torch.bool, device=device)
    blocks.scatter_(1, order[:, :masked], True)
    square = blocks.reshape(batch, side, side)
    return square.repeat_interleave(unit, dim=1).repeat_interleave(unit, dim=2).flatten(1)


def masked_patches(side: int, ratio: float) -> int:
    """Return how many of ``side * side`` patches, or blocks of them, a mask covers."""
    # Rounded first, so that 0.6 * 5 is 3 and not a little more.
    return math.ceil(round(ratio * side * side, 6))
