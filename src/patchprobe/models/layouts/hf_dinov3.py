"""Layout ``hf-dinov3``: the ViTs of DINOv3 of Hugging Face transformers, as on its hub.

Source: ``modeling_dinov3_vit.py`` of transformers 4.57.6 and 5.24.0 (whose modules lie under ``model.layer``). Keys have no
bias, and RoPE periods are computed, not read. Files trained on SAT-493M have the names and shapes of those of LVD-1689M.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, flat, renamed, require, width, with_prefix_replaced
from patchprobe.models.layouts.dinov3 import GIANT, normalised_by
from patchprobe.models.layouts.hf_dinov2 import joined

# features: heads, of the configurations of ViT-S, S+, B, L, H+ and 7B
_HEADS = {384: 6, 768: 12, 1024: 16, 1280: 20, 4096: 32}
_LARGE = 1024
_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.": "patch_embed.proj.",
}
_BLOCK = re.compile(r"(?:model\.)?layer\.(\d+)\.(.+)")
_BLOCK_NAMES = {
    "attention.o_proj.": "attn.proj.",
    "attention.q_proj.bias": "attn.q_bias",
    "attention.k_proj.bias": "attn.k_bias",
    "attention.v_proj.bias": "attn.v_bias",
    "attention.q_proj.weight": "attn.query.weight",
    "attention.k_proj.weight": "attn.key.weight",
    "attention.v_proj.weight": "attn.value.weight",
    "layer_scale1.lambda1": "gamma_1",
    "layer_scale2.lambda1": "gamma_2",
    "mlp.down_proj.": "mlp.fc2.",
}
_PLAIN = {"mlp.up_proj.": "mlp.fc1."}
_GATED = {"mlp.gate_proj.": "mlp.fc1_g.", "mlp.up_proj.": "mlp.fc1_x."}
_MASK = "embeddings.mask_token"


def read_hf_dinov3(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the mask token is left out."""
    tensors = flat(file, "hf-dinov3", key)
    require(
        tensors,
        "hf-dinov3",
        key,
        present=["embeddings.cls_token", "embeddings.patch_embeddings.weight"],
        absent=["embeddings.position_embeddings"],
    )
    left_out = (_MASK,) if tensors.pop(_MASK, None) is not None else ()
    names = _BLOCK_NAMES | (_GATED if any(".mlp.gate_proj." in name for name in tensors) else _PLAIN)

    def timm_name(name: str) -> str:
        block = _BLOCK.fullmatch(name)
        return f"blocks.{block[1]}.{with_prefix_replaced(block[2], names)}" if block else _outside(name)

    encoder = joined(
        renamed(tensors, timm_name, "hf-dinov3", key), {"attn.qkv": ("attn.query", "attn.key", "attn.value")}
    )
    return Contents(
        encoder,
        left_out=left_out,
        norm_eps=1e-5,
        heads=_HEADS.get(width(encoder)),
        **normalised_by(width(encoder), (_LARGE, GIANT), IMAGENET),
    )


LAYOUT = read_hf_dinov3


def _outside(name: str) -> str:
    return with_prefix_replaced(name, _NAMES)
