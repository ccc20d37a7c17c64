"""Layout ``dino``: the released backbone, which is the teacher's, or a full training checkpoint of DINO.

Source: ``hubconf.py`` and ``main_dino.py`` of facebookresearch/dino (7c446df5).
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, require, teacher_or_flat, width

# features: heads, of vit_tiny, vit_small and vit_base in ``vision_transformer.py``
_HEADS = {192: 3, 384: 6, 768: 12}


def read_dino(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the student and the heads are left out."""
    tensors, place, left_out = teacher_or_flat(file, "dino", key)
    require(
        tensors,
        "dino",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["mask_token", "blocks.0.ls1.gamma", "head.weight"],
    )
    if tensors["cls_token"].numel() != width(tensors):
        raise ModelError(
            f"{key}: not of layout dino: cls_token is {tuple(tensors['cls_token'].shape)}, where DINO has one class token; set "
            "the layout of its code, such as pixio"
        )
    return Contents(
        tensors,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="dino",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(tensors)),
        taken=place or None,
    )


LAYOUT = read_dino
