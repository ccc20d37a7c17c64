"""Layout ``simmim``: a pre-training checkpoint of SimMIM with a ViT, whose blocks share one relative position bias.

Source: ``models/simmim.py``, ``models/vision_transformer.py`` and ``utils.py`` of microsoft/SimMIM (d3e29bca). Its
encoder has the names of timm's BEiT, which computes ``relative_position_index`` itself.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layouts import Contents, entry, names_of, require, shortened, under

_ENCODER = "encoder."
_DECODER = "decoder."
_INDEX = "rel_pos_bias.relative_position_index"
_MASK = "mask_token"  # stands for hidden patches: no part of a BEiT, needed to reconstruct


def read_simmim(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layouts.Layout`; the fine-tuned model is refused."""
    tensors = entry(file, "model", "simmim", key)
    if "blocks.0.attn.relative_position_bias_table" in tensors:
        raise ModelError(
            f"{key}: a fine-tuned SimMIM (each block has its own relative position bias), whose encoder is no longer "
            "that of the pre-training; take simmim_pretrain__vit_base__img224__800ep.pth"
        )
    require(
        tensors,
        "simmim",
        key,
        present=[f"{_ENCODER}{name}" for name in ("cls_token", _MASK, "rel_pos_bias.relative_position_bias_table")],
    )
    unknown = sorted(name for name in tensors if not name.startswith((_ENCODER, _DECODER)))
    if unknown:
        raise ModelError(f"{key}: not of layout simmim: neither of encoder nor decoder: {shortened(unknown)}")
    encoder = under(tensors, _ENCODER)
    decoder = {_MASK: encoder.pop(_MASK)} | {n: value for n, value in tensors.items() if n.startswith(_DECODER)}
    encoder.pop(_INDEX, None)
    return Contents(
        encoder,
        decoder if len(decoder) > 1 else {},
        left_out=tuple(n for n in names_of(file) if not n.startswith("model.") or n == f"model.{_ENCODER}{_INDEX}"),
    )


LAYOUT = read_simmim
