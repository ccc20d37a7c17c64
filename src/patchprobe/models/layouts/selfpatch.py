"""Layout ``selfpatch``: the teacher of a training checkpoint of SelfPatch, or its backbone alone.

Source: ``main_selfpatch.py``, ``selfpatch_vision_transformer.py`` and ``eval_video_segmentation.py`` of alinlab/SelfPatch
(81aef149): the backbone has neither a class token nor a final norm, and its evaluation takes the last block as it is. The norm
of its aggregation head is that of layout ``selfpatch-normed``.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, require, teacher_or_flat

# features: heads, of vit_tiny, vit_small and vit_base
_HEADS = {192: 3, 384: 6, 768: 12}


def read_selfpatch(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the student and the heads are left out."""
    tensors, place, left_out = teacher_or_flat(file, "selfpatch", key)
    require(
        tensors,
        "selfpatch",
        key,
        present=["pos_embed", "patch_embed.proj.weight", "blocks.0.norm1.weight"],
        absent=["cls_token", "mask_token", "norm.weight", "blocks.0.ls1.gamma"],
    )
    return Contents(
        tensors,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="dino",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(tensors["pos_embed"].shape[-1]),
        taken=place or None,
    )


LAYOUT = read_selfpatch
