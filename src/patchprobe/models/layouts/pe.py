"""Layout ``pe``: a file of Perception Encoder's PE-Spatial, which has no final norm.

Source: ``core/vision_encoder/pe.py``, ``rope.py`` and ``config.py`` of facebookresearch/perception_models (3e352cca). Its
rotary positions count patches at every size, where timm scales them to the grid of the training.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents, Normalisation, flat, renamed, require, with_prefix_replaced

HALVES: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

_NAMES = {
    "class_embedding": "cls_token",
    "positional_embedding": "pos_embed",
    "conv1.": "patch_embed.proj.",
    "ln_pre.": "norm_pre.",
}
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
_IN_BLOCK = {
    "attn.in_proj_": "attn.qkv.",
    "attn.out_proj.": "attn.proj.",
    "ln_1.": "norm1.",
    "ln_2.": "norm2.",
    "ls_1.gamma": "gamma_1",
    "ls_2.gamma": "gamma_2",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1536: 16}


def read_pe(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; PE-Core and PE-Lang, which have a norm and heads, are not for it."""
    tensors = flat(file, "pe", key)
    require(
        tensors,
        "pe",
        key,
        present=["positional_embedding", "conv1.weight", "transformer.resblocks.0.ln_1.weight"],
        absent=["ln_post.weight", "proj"],
    )
    encoder = renamed(tensors, _timm_name, "pe", key)
    encoder["pos_embed"] = encoder["pos_embed"][None]
    if "cls_token" in encoder:  # the largest has none
        encoder["cls_token"] = encoder["cls_token"].reshape(1, 1, -1)
    return Contents(
        encoder,
        norm_eps=1e-5,
        position_embedding="bilinear",
        square=True,
        counted_rope=True,
        normalisation=HALVES,
        heads=_HEADS.get(encoder["pos_embed"].shape[-1]),
    )


LAYOUT = read_pe


def _timm_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if block is None:
        return with_prefix_replaced(name, _NAMES)
    return f"blocks.{block[1]}.{with_prefix_replaced(block[2], _IN_BLOCK)}"
