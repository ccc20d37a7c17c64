"""Layout ``scalemae``: a checkpoint of Scale-MAE.

Source: ``mae/models_mae.py`` of bair-climate-initiative/scale-mae (89280d83). Its encoder has timm's names. The
``pos_embed`` in the file is left out with the decoder: the official code never adds it, and computes the position
embedding from the ground sample distance (``position_embedding: gsd``).
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, width

# features: heads, of ViT-B, L and H
_HEADS = {768: 12, 1024: 16, 1280: 16}
_UNUSED = ("pos_embed", "mask_token", "decoder_", "fpn.", "fcn_high.", "fcn_low.")


def read_scalemae(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; decoder and ``pos_embed`` are left out."""
    tensors = entry(file, "model", "scalemae", key)
    require(
        tensors,
        "scalemae",
        key,
        present=["cls_token", "patch_embed.proj.weight", "norm.weight", "mask_token_decoder"],
    )
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_UNUSED)}
    used = {f"model.{name}" for name in encoder}
    left_out = tuple(name for name in names_of(file) if name not in used)
    return Contents(
        encoder,
        left_out=left_out,
        norm_eps=1e-6,
        position_embedding="gsd",
        normalisation=IMAGENET,
        heads=_HEADS.get(width(encoder)),
    )


LAYOUT = read_scalemae
