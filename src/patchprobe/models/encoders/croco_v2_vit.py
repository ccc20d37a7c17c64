"""Architecture ``croco_v2_vit``: the encoder of CroCo v2, a ViT-B/16 without [CLS] whose attention counts rows and columns.

Queries and keys are turned by whole-numbered positions: the first half of a head's features by the row of the patch, the
second by its column, each half a feature with the one half of it further on, by angles position * 100^(-2 i / half).
Any size works. Source: ``models/blocks.py`` and ``models/pos_embed.py`` (``RoPE2D``) of naver/croco (d7de0705).
"""

from typing import Any

import torch
from torch import nn

from patchprobe.models.own_vit import RotaryAttention, facts, plain_vit, register

_BASE = 100.0


class _Positions(nn.Module):
    """Cosines and sines (N, head width) of all patches, shared by all blocks."""

    def __init__(self, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        half = width // 2
        frequencies = _BASE ** (-torch.arange(0, half, 2, dtype=torch.float32) / half)
        rows, columns = (torch.arange(side, dtype=torch.float32) for side in grid)
        angles = [
            (axis.flatten()[:, None] * frequencies).repeat(1, 2)
            for axis in torch.meshgrid(rows, columns, indexing="ij")
        ]
        both = torch.cat(angles, dim=-1)
        self.register_buffer("cosines", both.cos(), persistent=False)
        self.register_buffer("sines", both.sin(), persistent=False)


class _CrocoAttention(RotaryAttention):
    rope: _Positions

    def angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rope.get_buffer("cosines"), self.rope.get_buffer("sines")

    def swapped(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)
        return torch.stack([-second, first], dim=-2).flatten(-3)


def croco_v2_vit(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the encoder; ``arguments`` are those of timm's plain ViT."""
    own = {
        "class_token": False,
        "global_pool": "avg",
        "fc_norm": False,
        "pos_embed": "none",
        "attn_layer": _CrocoAttention,
    }
    vit = plain_vit("croco_v2_vit", {**own, "pretrained": pretrained}, arguments)
    heads = [block.attn for block in vit.blocks]
    if heads:
        vit.rope = _Positions(tuple(vit.patch_embed.grid_size), heads[0].head_dim)
    for attention in heads:
        attention.rope = vit.rope
    return vit


default_cfgs = facts("croco_v2_vit", 224)
register(croco_v2_vit)
