"""Layout ``dinov2``: the released backbone with or without registers, or the teacher of a training run of DINOv2.

Source: ``dinov2/hub/backbones.py``, ``dinov2/models/vision_transformer.py`` (``BlockChunk``) and
``dinov2/utils/utils.py`` of facebookresearch/dinov2 (b8931f7b).
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, renamed, require, teacher_or_flat, width

# A run with chunks of blocks writes blocks.<chunk>.<block>; the block's number counts through all chunks.
_CHUNKED = re.compile(r"blocks\.\d+\.(\d+\.)")
# features: heads, of vit_small, vit_base, vit_large and vit_giant2
_HEADS = {384: 6, 768: 12, 1024: 16, 1536: 24}
_SWIGLU = {".mlp.w12.": ".mlp.fc1.", ".mlp.w3.": ".mlp.fc2."}


def read_dinov2(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the student, the heads and the mask token are left out."""
    tensors, place, left_out = teacher_or_flat(file, "dinov2", key)
    tensors = renamed(tensors, _timm_name, "dinov2", key)
    require(
        tensors,
        "dinov2",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.ls1.gamma", "norm.weight"],
        absent=["head.weight", "storage_tokens"],
    )
    if tensors.pop("mask_token", None) is not None:
        left_out += (f"{place}mask_token",)
    registers = "register_tokens" in tensors
    if registers and tensors["register_tokens"].shape[1] == 1:
        raise ModelError(f"{key}: not of layout dinov2: its only register is the second [CLS] of TIPS v2")
    if registers:
        # timm adds no position to prefix tokens here, so [CLS] takes its position along
        position = tensors["pos_embed"]
        tensors["reg_token"] = tensors.pop("register_tokens")
        tensors["cls_token"] = tensors["cls_token"] + position[:, :1]
        tensors["pos_embed"] = position[:, 1:]
    # its code resizes without antialiasing, but with it for models with registers
    return Contents(
        tensors,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="timm" if registers else "dino",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(tensors)),
        taken=place or None,
    )


LAYOUT = read_dinov2


def _timm_name(name: str) -> str:
    name = _CHUNKED.sub(r"blocks.\1", name)
    for official, timm in _SWIGLU.items():
        name = name.replace(official, timm)
    return name
