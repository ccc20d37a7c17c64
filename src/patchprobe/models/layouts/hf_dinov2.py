"""Layout ``hf-dinov2``: DINOv2 of Hugging Face transformers, with or without registers, as on its hub.

Source: ``modeling_dinov2.py`` and ``modeling_dinov2_with_registers.py`` of transformers 4.57.6 and 5.24.0, whose
``save_pretrained`` writes the old names. Epsilon is that of the configurations of the hub, 1e-6. Without registers the
position embedding is resized to the exact grid and not antialiased, unlike in the original code; with registers as there.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.models.layout import (
    IMAGENET,
    Contents,
    Weights,
    flat,
    renamed,
    require,
    width,
    with_prefix_replaced,
)

# features: heads, of facebook/dinov2-small, -base, -large and -giant
_HEADS = {384: 6, 768: 12, 1024: 16, 1536: 24}
_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "layernorm.": "norm.",
}
_BLOCK = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_BLOCK_NAMES = {
    "attention.attention.": "attn.",
    "attention.output.dense.": "attn.proj.",
    "attention.o_proj.": "attn.proj.",
    "attention.q_proj.": "attn.query.",
    "attention.k_proj.": "attn.key.",
    "attention.v_proj.": "attn.value.",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in.": "mlp.fc1.",
    "mlp.weights_out.": "mlp.fc2.",
    "mlp.down_proj.": "mlp.fc2.",
}
_MASK = "embeddings.mask_token"
# what timm keeps as one: the parts, in the order of its rows
_JOINED = {"attn.qkv": ("attn.query", "attn.key", "attn.value"), "mlp.fc1": ("mlp.gate_proj", "mlp.up_proj")}


def read_hf_dinov2(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the mask token is left out."""
    tensors = flat(file, "hf-dinov2", key)
    require(
        tensors,
        "hf-dinov2",
        key,
        present=[
            "embeddings.cls_token",
            "embeddings.position_embeddings",
            "embeddings.patch_embeddings.projection.weight",
            "encoder.layer.0.layer_scale1.lambda1",
        ],
    )
    left_out = (_MASK,) if tensors.pop(_MASK, None) is not None else ()
    encoder = joined(renamed(tensors, _timm_name, "hf-dinov2", key), _JOINED)
    registers = "reg_token" in encoder
    if registers:
        # timm adds no position to prefix tokens here, so [CLS] takes its position along
        position = encoder["pos_embed"]
        encoder["cls_token"] = encoder["cls_token"] + position[:, :1]
        encoder["pos_embed"] = position[:, 1:]
    return Contents(
        encoder,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="timm" if registers else "vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(encoder)),
    )


LAYOUT = read_hf_dinov2


def joined(tensors: Weights, whole: Mapping[str, tuple[str, ...]]) -> Weights:
    """Return the tensors with the parts of each of ``whole`` in one, along the first axis; incomplete parts stay."""
    result = dict(tensors)
    for name in tensors:
        for one, parts in whole.items():
            first, kind = f".{parts[0]}.", name.rpartition(".")[2]
            if first not in name:
                continue
            block = name.partition(first)[0]
            names = [f"{block}.{part}.{kind}" for part in parts]
            if all(part in result for part in names):
                result[f"{block}.{one}.{kind}"] = torch.cat([result.pop(part) for part in names])
    return result


def _timm_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    return f"blocks.{block[1]}.{with_prefix_replaced(block[2], _BLOCK_NAMES)}" if block else _outside(name)


def _outside(name: str) -> str:
    return with_prefix_replaced(name, _NAMES)
