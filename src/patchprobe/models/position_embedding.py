"""Position embeddings at another size than the checkpoint's.

Published results differ by code base here: timm resizes with antialiasing to the exact grid, while DINO, iBOT and
DINOv2 (without registers) resize without it and with a scale factor that is slightly too large. Far from the
training size the two give clearly different tokens, so the config chooses and the provenance records.
"""

import math
from typing import Any, Literal

import torch
from timm.layers import resample_abs_pos_embed
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.checkpoints import Weights

Method = Literal["timm", "dino"]
Grid = tuple[int, int]


def fit_position_embedding(
    weights: Weights, module: nn.Module, method: Method, key: str
) -> tuple[Weights, dict[str, Any]]:
    """Return the weights with the absolute position embedding resized to the model's grid, and what was done.

    The second value is for the provenance: ``method``, ``applied``, ``checkpoint_grid`` and ``grid`` (rows,
    columns). Raises ModelError if the stored embedding is not that of a square grid.
    """
    vit: Any = module
    grid: Grid = tuple(vit.patch_embed.grid_size)
    stored = weights.get("pos_embed")
    if stored is None or getattr(vit, "pos_embed", None) is None:
        return weights, {"method": None, "applied": False, "checkpoint_grid": None, "grid": list(grid)}
    prefix: int = 0 if getattr(vit, "no_embed_class", False) else vit.num_prefix_tokens
    side = math.isqrt(max(stored.shape[1] - prefix, 0))
    if side * side + prefix != stored.shape[1]:
        raise ModelError(
            f"{key}: pos_embed has {stored.shape[1]} positions, which is not a square grid and {prefix} prefix "
            "tokens; name the architecture these weights were trained with"
        )
    applied = (side, side) != grid
    if applied:
        # float32 first: timm would round its result back to the file's float16
        resize = resize_like_dino if method == "dino" else _resize_like_timm
        weights = weights | {"pos_embed": resize(stored.float(), (side, side), grid, prefix)}
    return weights, {"method": method, "applied": applied, "checkpoint_grid": [side, side], "grid": list(grid)}


def resize_like_dino(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    """Resize (1, prefix + rows * columns, D) from grid ``old`` to ``new`` as DINO and DINOv2 do.

    Bicubic, no antialiasing, sampled with the scale factor (n + 0.1) / old side rather than n / old side: the
    offset once guarded against rounding down and was kept so that results stay the same. Source:
    ``interpolate_pos_encoding`` of facebookresearch/dino (7c446df5) and facebookresearch/dinov2 (b8931f7b).
    """
    kept, patches = embedding[:, :prefix], embedding[:, prefix:]
    planes = patches.reshape(1, *old, -1).permute(0, 3, 1, 2)
    scale = [(n + 0.1) / o for n, o in zip(new, old, strict=True)]
    planes = F.interpolate(planes, scale_factor=scale, mode="bicubic")
    return torch.cat([kept, planes.permute(0, 2, 3, 1).reshape(1, new[0] * new[1], -1)], dim=1)


def _resize_like_timm(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    resized: torch.Tensor = resample_abs_pos_embed(embedding, list(new), list(old), num_prefix_tokens=prefix)
    return resized
