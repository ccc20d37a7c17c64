"""Layout ``hf-pixio``: Pixio of Hugging Face transformers, as on its hub or as transformers 5 names it inside.

Source: ``modeling_pixio.py`` of transformers 5.24.0, whose ``save_pretrained`` writes the names of ``encoder.layer``. Epsilon is
that of ``PixioConfig``, 1e-6.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents, flat, renamed, require, with_prefix_replaced
from patchprobe.models.layouts.hf_dinov2 import joined
from patchprobe.models.layouts.hf_vitmae import BLOCK_NAMES
from patchprobe.models.layouts.pixio import pixio_contents

_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "layernorm.": "norm.",
}
_BLOCK = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)")
_JOINED = {"attn.qkv": ("attn.query", "attn.key", "attn.value")}


def read_hf_pixio(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; queries, keys and values are joined as timm has them."""
    tensors = flat(file, "hf-pixio", key)
    require(
        tensors,
        "hf-pixio",
        key,
        present=[*list(_NAMES)[:2], "embeddings.patch_embeddings.projection.weight", "layernorm.weight"],
        absent=["embeddings.mask_token", "encoder.layer.0.layer_scale1.lambda1"],
    )
    encoder = joined(renamed(tensors, _timm_name, "hf-pixio", key), _JOINED)
    return pixio_contents(encoder, "hf-pixio", key)


LAYOUT = read_hf_pixio


def _timm_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if not block:
        return with_prefix_replaced(name, _NAMES)
    return f"blocks.{block[1]}.{with_prefix_replaced(block[2], BLOCK_NAMES)}"
