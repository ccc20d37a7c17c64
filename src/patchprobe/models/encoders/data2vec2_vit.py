"""Architecture ``data2vec2_vit``: the network of data2vec 2.0 for images, a ViT-B/16 that norms behind each sum.

A block is x = norm1(x + attention(x)), x = norm2(x + mlp(x)): the norm is outside of the residual, so that tokens come out
normed and there is no final norm. One more norm stands before the first block. [CLS] has no position, and patches have a
bias. Source: ``examples/data2vec/models/modalities/modules.py`` (``AltBlock``, ``layer_norm_first`` off) and
``data2vec2.py`` of facebookresearch/fairseq (3d262bb2).
"""

from typing import Any

import torch
from timm.layers import PatchEmbed
from timm.models.vision_transformer import Block

from patchprobe.models.own_vit import facts, plain_vit, register


class _PostNormBlock(Block):
    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False) -> torch.Tensor:
        x = self.norm1(x + self.attn(x, attn_mask=attn_mask, is_causal=is_causal))
        normed: torch.Tensor = self.norm2(x + self.mlp(x))
        return normed


def _with_bias(*arguments: Any, bias: bool = True, **more: Any) -> Any:
    """Embed patches with a bias, which timm drops where a norm stands before the blocks."""
    return PatchEmbed(*arguments, bias=True, **more)


def data2vec2_vit(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the network; ``arguments`` are those of timm's plain ViT."""
    own = {
        "pre_norm": True,
        "no_embed_class": True,
        "final_norm": False,
        "embed_layer": _with_bias,
        "block_fn": _PostNormBlock,
    }
    return plain_vit("data2vec2_vit", {**own, "pretrained": pretrained}, arguments)


default_cfgs = facts("data2vec2_vit", 224)
register(data2vec2_vit)
