"""Source ``random``, a control: the architecture of a ViT with seeded random weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from patchprobe.models.backbone import Norm
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

    The same seed gives the same weights whatever was drawn before, and leaves torch's generator as it was.
    """
    seed = int(entry.get("seed") or 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build_vit(name, entry.get("architecture"), input_size, entry.get("arguments"))
    return TimmViT(
        name,
        module,
        entry,
        norm=norm,
        device=device,
        provenance={"checkpoint": None, "seed": seed, "position_embedding": None},
    )


SOURCE = load_random
