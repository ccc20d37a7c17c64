"""Layout ``torchvision``: torchvision's vision transformers, with the names of old and new releases.

Source: ``torchvision/models/vision_transformer.py`` (0.29): queries, keys and values are packed as in timm;
``MLPBlock`` renames ``mlp.linear_1`` and ``mlp.linear_2`` of old files to ``mlp.0`` and ``mlp.3``.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, flat, renamed, require, width, with_prefix_replaced

# features: heads, of vit_b, vit_l and vit_h
_HEADS = {768: 12, 1024: 16, 1280: 16}
_NAMES = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj.": "patch_embed.proj.",
    "encoder.ln.": "norm.",
}
_BLOCK = re.compile(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)")
_BLOCK_NAMES = {
    "ln_1.": "norm1.",
    "ln_2.": "norm2.",
    "self_attention.in_proj_": "attn.qkv.",
    "self_attention.out_proj.": "attn.proj.",
    "mlp.linear_1.": "mlp.fc1.",
    "mlp.linear_2.": "mlp.fc2.",
    "mlp.0.": "mlp.fc1.",
    "mlp.3.": "mlp.fc2.",
}


def read_torchvision(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the classifier is left out."""
    tensors = flat(file, "torchvision", key)
    require(tensors, "torchvision", key, present=["class_token", "encoder.pos_embedding", "conv_proj.weight"])
    heads = tuple(name for name in tensors if name.startswith("heads."))
    backbone = {name: value for name, value in tensors.items() if name not in heads}
    tensors = renamed(backbone, _timm_name, "torchvision", key)
    return Contents(
        tensors,
        left_out=heads,
        norm_eps=1e-6,
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(tensors)),
    )


LAYOUT = read_torchvision


def _timm_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if not block:
        return with_prefix_replaced(name, _NAMES)
    return f"blocks.{block[1]}.{with_prefix_replaced(block[2], _BLOCK_NAMES)}"
