"""Layout ``simmim``: a pre-training checkpoint of SimMIM with a ViT, whose blocks share one relative position bias.

Source: ``models/simmim.py``, ``models/vision_transformer.py`` and ``utils.py`` of microsoft/SimMIM (d3e29bca). Its
encoder has the names of timm's BEiT, which computes ``relative_position_index`` itself.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, shortened, under

_ENCODER = "encoder."
_DECODER = "decoder."
_DECODER_PARTS = {"decoder.0.weight", "decoder.0.bias"}
_INDEX = "rel_pos_bias.relative_position_index"
_MASK = "mask_token"  # stands for hidden patches: no part of a BEiT, needed to reconstruct


def read_simmim(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the fine-tuned model is refused."""
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
    parts = {name for name in tensors if name.startswith(_DECODER)}
    if parts and (missing := _DECODER_PARTS - parts):
        raise ModelError(
            f"{key}: not of layout simmim: its decoder is incomplete, there is no {shortened(sorted(missing))}"
        )
    unknown = sorted(name for name in tensors if not name.startswith(_ENCODER) and name not in _DECODER_PARTS)
    if unknown:
        raise ModelError(f"{key}: not of layout simmim: neither of encoder nor decoder: {shortened(unknown)}")
    encoder = under(tensors, _ENCODER)
    mask = encoder.pop(_MASK)
    decoder = {_MASK: mask} | {name: tensors[name] for name in sorted(parts)} if parts else {}
    encoder.pop(_INDEX, None)
    unused = {f"model.{_ENCODER}{_INDEX}"} if decoder else {f"model.{_ENCODER}{name}" for name in (_INDEX, _MASK)}
    left_out = tuple(name for name in names_of(file) if not name.startswith("model.") or name in unused)
    return Contents(encoder, decoder, left_out=left_out, norm_eps=1e-6, normalisation=IMAGENET)


LAYOUT = read_simmim
