"""Layout ``hf-vitmae``: Hugging Face's ``ViTMAEForPreTraining``, as on its hub, as transformers 5 names or saves it.

Source: ``modeling_vit_mae.py`` of transformers 4.57.6 and 5.23.0, whose ``save_pretrained`` writes the old names but for
``decoder.decoder_encoder.layer``. The decoder gets the names of the official MAE. The LayerNorms' epsilon, 1e-12, is the
default of ``ViTMAEConfig``; that of the official MAE is 1e-6.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.errors import ModelError
from patchprobe.models.decoders.mae_names import split_decoder
from patchprobe.models.layout import IMAGENET, Contents, Weights, flat, renamed, require, with_prefix_replaced

_NORM_EPS = 1e-12
# features: heads, of facebook/vit-mae-base, -large and -huge
_HEADS = {768: 12, 1024: 16, 1280: 16}
_NAMES = {
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "pos_embed",
    "vit.embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "vit.layernorm.": "norm.",
    "decoder.": "",
}
_BLOCK = re.compile(r"(vit|decoder)\.(?:encoder\.layer|layers|decoder_layers|decoder_encoder\.layer)\.(\d+)\.(.+)")
BLOCK_NAMES = {
    "layernorm_before.": "norm1.",
    "layernorm_after.": "norm2.",
    "attention.attention.": "attn.",
    "attention.output.dense.": "attn.proj.",
    "intermediate.dense.": "mlp.fc1.",
    "output.dense.": "mlp.fc2.",
    "attention.o_proj.": "attn.proj.",
    "attention.q_proj.": "attn.query.",
    "attention.k_proj.": "attn.key.",
    "attention.v_proj.": "attn.value.",
}
_QUERY = re.compile(r"(.+\.attn)\.query\.(weight|bias)")


def read_hf_vitmae(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; a model with a classifier is refused."""
    tensors = flat(file, "hf-vitmae", key)
    require(
        tensors,
        "hf-vitmae",
        key,
        present=[name for name in _NAMES if name.startswith("vit.embeddings.") and not name.endswith(".")],
    )
    if any(name.startswith("classifier.") for name in tensors):
        raise ModelError(
            f"{key}: a ViTForImageClassification (it has a classifier), whose encoder is not that of the pre-training; "
            "take the file of facebook/vit-mae-base"
        )
    packed = _pack_attention(renamed(tensors, _official_name, "hf-vitmae", key))
    encoder, decoder = split_decoder(packed, "hf-vitmae", key)
    return Contents(
        encoder,
        decoder,
        left_out=tuple(name for name in tensors if _official_name(name) == "mask_token" and not decoder),
        norm_eps=_NORM_EPS,
        position_embedding="vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(encoder["cls_token"].shape[-1]),
    )


LAYOUT = read_hf_vitmae


def _official_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if not block:
        return with_prefix_replaced(name, _NAMES)
    blocks = "decoder_blocks" if block[1] == "decoder" else "blocks"
    return f"{blocks}.{block[2]}.{with_prefix_replaced(block[3], BLOCK_NAMES)}"


def _pack_attention(tensors: Weights) -> Weights:
    """Join query, key and value into one projection; where one is absent the others keep their names."""
    packed = dict(tensors)
    for name in tensors:
        query = _QUERY.fullmatch(name)
        if not query:
            continue
        parts = [f"{query[1]}.{part}.{query[2]}" for part in ("query", "key", "value")]
        if all(part in tensors for part in parts):
            packed[f"{query[1]}.qkv.{query[2]}"] = torch.cat([packed.pop(part) for part in parts])
    return packed
