"""Layout ``dino``: the released backbone, which is the teacher's, or a full training checkpoint of DINO.

Source: ``hubconf.py`` and ``main_dino.py`` of facebookresearch/dino (7c446df5).
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents, flat, require, teacher_backbone


def read_dino(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the student and the heads are left out."""
    if "teacher" in file or "student" in file:
        tensors, _, left_out = teacher_backbone(file, "dino", key)
    else:
        tensors, left_out = flat(file, "dino", key), ()
    require(
        tensors,
        "dino",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["mask_token", "blocks.0.ls1.gamma", "head.weight"],
    )
    return Contents(tensors, left_out=left_out, position_embedding="dino")


LAYOUT = read_dino
