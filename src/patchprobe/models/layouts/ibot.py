"""Layout ``ibot``: the released backbone, of the teacher or the student, or a full training checkpoint of iBOT.

Source: ``extract_backbone_weights.py`` and ``main_ibot.py`` of bytedance/ibot (da316d82).
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, teacher_backbone, width

_MASK = "masked_embed"  # stands for hidden patches in training; only the student has one

# features: heads, of ``models/vision_transformer.py``
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16}


def read_ibot(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; of a full checkpoint the student and the heads are left out."""
    if "teacher" in file or "student" in file:
        tensors, place, left_out = teacher_backbone(file, "ibot", key)
        taken: str | None = place
    else:
        tensors, place, taken = entry(file, "state_dict", "ibot", key), "state_dict.", None
        left_out = tuple(name for name in names_of(file) if not name.startswith(place))
    require(
        tensors,
        "ibot",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["mask_token", "blocks.0.ls1.gamma", "head.weight"],
    )
    if tensors.pop(_MASK, None) is not None:
        left_out += (f"{place}{_MASK}",)
    return Contents(
        tensors,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="dino",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(tensors)),
        taken=taken,
    )


LAYOUT = read_ibot
