"""Layout ``msn``: a training checkpoint of MSN, as released.

Source: ``src/msn_train.py``, ``src/deit.py`` and ``logistic_eval.py`` of facebookresearch/msn (4388dc1e): evaluation takes the
target encoder, a running mean, without its projector. Its position embedding is resized by the scale factor of the grids,
without DINO's 0.1.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, all_but, require, target_encoder, width

# features: heads, of deit_small, deit_base and deit_large
_HEADS = {384: 6, 768: 12, 1024: 16}
_PROJECTOR = "fc."


def read_msn(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; projector, student and prototypes are left out."""
    tensors, place = target_encoder(file, "msn", key)
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_PROJECTOR)}
    require(
        encoder,
        "msn",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["mask_token", "blocks.0.ls1.gamma", "head.weight"],
    )
    return Contents(
        encoder,
        left_out=all_but(file, place, encoder),
        norm_eps=1e-6,
        position_embedding="vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(encoder)),
        taken=place,
    )


LAYOUT = read_msn
