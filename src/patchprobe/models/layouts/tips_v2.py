"""Layout ``tips-v2``: the image encoder of TIPS v2 as released, an archive of NumPy arrays with DINOv2's names.

Source: ``pytorch/image_encoder.py`` and ``run_image_encoder_inference.py`` of google-deepmind/tips (4db271d3). What the
tensors call a register is a second [CLS], without position; pixels go in as 0..1.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import Contents, Normalisation, flat, require, width

AS_THEY_ARE: Normalisation = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

# features: heads, of B, L, So400m and g
_HEADS = {768: 12, 1024: 16, 1152: 16, 1536: 24}
_SWIGLU = {".mlp.w12.": ".mlp.fc1.", ".mlp.w3.": ".mlp.fc2."}


def read_tips_v2(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the mask token is left out."""
    tensors = flat(file, "tips-v2", key)
    require(
        tensors,
        "tips-v2",
        key,
        present=["cls_token", "pos_embed", "register_tokens", "patch_embed.proj.weight", "blocks.0.ls1.gamma"],
    )
    second = tensors.pop("register_tokens")
    if second.shape[1] != 1:
        raise ModelError(f"{key}: not of layout tips-v2: there are {second.shape[1]} register_tokens, not one")
    mask = tensors.pop("mask_token", None)
    for official, timm in _SWIGLU.items():
        tensors = {name.replace(official, timm): value for name, value in tensors.items()}
    # timm adds no position to prefix tokens here, so [CLS] takes its position along
    position = tensors["pos_embed"]
    tensors |= {
        "reg_token": second,
        "cls_token": tensors["cls_token"] + position[:, :1],
        "pos_embed": position[:, 1:],
    }
    return Contents(
        tensors,
        left_out=() if mask is None else ("mask_token",),
        norm_eps=1e-6,
        position_embedding="bilinear-antialiased",
        square=True,
        normalisation=AS_THEY_ARE,
        heads=_HEADS.get(width(tensors)),
    )


LAYOUT = read_tips_v2
