"""Architecture ``capi_vit``: the encoder of CAPI, a ViT-L/14 with 16 registers, without [CLS] and without biases in its blocks.

Norms are RMSNorm, the last one without weights. Positions lie in the unit square, both ends included, row first; those of
the registers lie on its edge, four a side. A token at (row, column) has the angles row * f[0] + column * f[1], with
frequencies f (2, head width) of each block, which are read from the file. Queries and keys x become x cos(angles) +
x' sin(angles), where x' is x with its halves exchanged and the new first half negated. As released, f has the rows'
frequencies in the first half of the features alone and the columns' in the second, so that a feature is mixed with one of
the other axis: no turn by one angle. Any size works. Source: ``model.py`` of facebookresearch/capi (98b4fa17).
"""

import functools
import math
from typing import Any

import torch
from torch import nn

from patchprobe.models.own_vit import RotaryAttention, facts, plain_vit, register

_EPS = 1e-5
_REGISTERS = 16


class _Positions(nn.Module):
    """Rows and columns (N, 2) of registers and patches in the unit square, shared by all blocks."""

    def __init__(self, grid: tuple[int, int], registers: int) -> None:
        super().__init__()
        along = torch.arange(registers // 4) / max(registers // 4, 1)
        low, high = torch.zeros_like(along), torch.ones_like(along)
        edge = [(along, low), (high, along), (1 - along, high), (low, 1 - along)]
        rows, columns = (torch.linspace(0, 1, side) for side in grid)
        patches = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
        self.register_buffer(
            "coordinates", torch.cat([*(torch.stack(side, dim=-1) for side in edge), patches]), persistent=False
        )


class _CapiAttention(RotaryAttention):
    rope: _Positions

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        quarter = 2 * math.pi * 7 * 1e4 ** -torch.linspace(0, 1, max(self.head_dim // 4, 1))
        frequencies = torch.zeros(2, self.head_dim)
        frequencies[0, : self.head_dim // 2] = quarter.repeat(2)
        frequencies[1, self.head_dim // 2 :] = quarter.repeat(2)
        self.frequencies = nn.Parameter(frequencies)

    def angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        places = self.rope.get_buffer("coordinates")
        both = places[:, :1] * self.frequencies[0] + places[:, 1:] * self.frequencies[1]
        return both.cos(), both.sin()

    def swapped(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=-1)
        return torch.cat([-second, first], dim=-1)


def capi_vit(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the encoder; ``arguments`` are those of timm's plain ViT."""
    own = {
        "patch_size": 14,
        "embed_dim": 1024,
        "depth": 24,
        "num_heads": 16,
        "class_token": False,
        "reg_tokens": _REGISTERS,
        "global_pool": "avg",
        "fc_norm": False,
        "pos_embed": "none",
        "qkv_bias": False,
        "proj_bias": False,
        "norm_layer": functools.partial(nn.RMSNorm, eps=_EPS),
        "attn_layer": _CapiAttention,
    }
    vit = plain_vit("capi_vit", {**own, "pretrained": pretrained}, arguments)
    vit.norm = nn.RMSNorm(vit.embed_dim, eps=_EPS, elementwise_affine=False)
    vit.rope = _Positions(tuple(vit.patch_embed.grid_size), vit.num_prefix_tokens)
    for block in vit.blocks:
        block.attn.rope = vit.rope
    return vit


default_cfgs = facts("capi_vit", 224)
register(capi_vit)
