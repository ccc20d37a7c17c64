"""Source ``random``, a control: the architecture of a ViT with seeded random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from patchprobe.models.backbone import Norm
from patchprobe.models.checkpoints.reading import load_strictly
from patchprobe.models.position_embedding import fit_position_embedding
from patchprobe.models.vit import TimmViT, build_vit


def load_random(
    name: str,
    entry: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    input_size: tuple[int, int],
    norm: Norm,
    device: str,
    ground_sample_distance: float | None,
) -> TimmViT:
    """Build ``entry["architecture"]`` with timm's own initialisation drawn from ``entry["seed"]``.

    The same seed gives the same weights whatever was drawn before, and leaves torch's generator as it was. Weights depend on
    the number of patches too. With ``entry["position_grid"]``, rows and columns of patches, they are those of images of that
    many, their position embedding resized as timm does, so that one network sees images of several sizes.
    """
    seed, grid = int(entry.get("seed") or 0), entry.get("position_grid")
    module = _drawn(name, entry, input_size, seed)
    vit: Any = module
    if grid is not None and tuple(grid) != tuple(vit.patch_embed.grid_size):
        patch = vit.patch_embed.feat_ratio()
        drawn = _drawn(name, entry, (grid[0] * patch, grid[1] * patch), seed).state_dict()
        weights, _ = fit_position_embedding(drawn, module, "timm", name, stored_grid=grid)
        load_strictly(module, weights, f"models.{name}.architecture")
    return TimmViT(
        name,
        module,
        entry,
        norm=norm,
        device=device,
        provenance={"checkpoint": None, "seed": seed, "position_embedding": None},
    )


SOURCE = load_random


def _drawn(name: str, entry: Mapping[str, Any], input_size: tuple[int, int], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_vit(name, entry.get("architecture"), input_size, entry.get("arguments"))
