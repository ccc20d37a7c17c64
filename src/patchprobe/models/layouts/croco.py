"""Layout ``croco``: a released file of CroCo v2, whose encoder is architecture ``croco_v2_vit``; its decoder is left out.

Source: ``models/croco.py``, ``demo.py`` and ``models/croco_downstream.py`` of naver/croco (d7de0705). The first CroCo has
position embeddings and another network, and is refused.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import (
    IMAGENET,
    Contents,
    entry,
    names_of,
    renamed,
    require,
    width,
    with_prefix_replaced,
)

_NAMES = {"enc_blocks.": "blocks.", "enc_norm.": "norm."}
_DECODER = ("dec_blocks.", "dec_norm.", "decoder_embed.", "prediction_head.", "mask_token")
_HEADS = {768: 12, 1024: 16}


def read_croco(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`."""
    tensors = entry(file, "model", "croco", key)
    require(
        tensors,
        "croco",
        key,
        present=["patch_embed.proj.weight", "enc_blocks.0.norm1.weight", "enc_norm.weight"],
        absent=["enc_pos_embed", "cls_token"],
    )
    used = {name: value for name, value in tensors.items() if not name.startswith(_DECODER)}
    encoder = renamed(used, lambda name: with_prefix_replaced(name, _NAMES), "croco", key)
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if name.removeprefix("model.") not in used),
        norm_eps=1e-6,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(encoder)),
    )


LAYOUT = read_croco
