"""Layout ``simmim-ft``: a fine-tuned ViT of SimMIM, each of whose blocks has its own relative position bias.

Source: ``models/vision_transformer.py`` and ``utils.py`` of microsoft/SimMIM (d3e29bca). It has the names of timm's
BEiT, which computes ``relative_position_index`` itself.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require


def read_simmim_ft(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the classifier is left out."""
    tensors = entry(file, "model", "simmim-ft", key)
    require(
        tensors,
        "simmim-ft",
        key,
        present=["cls_token", "blocks.0.attn.relative_position_bias_table", "blocks.0.gamma_1", "fc_norm.weight"],
        absent=["pos_embed"],
    )
    encoder = {
        name: value
        for name, value in tensors.items()
        if not name.startswith("head.") and not name.endswith(".relative_position_index")
    }
    used = {f"model.{name}" for name in encoder}
    left_out = tuple(name for name in names_of(file) if name not in used)
    return Contents(encoder, left_out=left_out, norm_eps=1e-6, normalisation=IMAGENET)


LAYOUT = read_simmim_ft
