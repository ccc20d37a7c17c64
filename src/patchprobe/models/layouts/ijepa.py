"""Layout ``ijepa``: a training checkpoint of I-JEPA, as released.

Source: ``src/train.py`` and ``src/models/vision_transformer.py`` of facebookresearch/ijepa (52c1ae95). The paper evaluates the
target encoder, a running mean; timm's weights of the same name are those of the context encoder, ``encoder``. The official
resize takes the first patch's position for that of a class token, which there is none of, and fails; the embedding is
resized here as its formula would without that.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, all_but, require, target_encoder, width

# features: heads, of vit_huge and vit_giant
_HEADS = {1280: 16, 1408: 16}


def read_ijepa(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; context encoder, predictor and training state are left out."""
    encoder, place = target_encoder(file, "ijepa", key)
    require(
        encoder,
        "ijepa",
        key,
        present=["pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["cls_token", "mask_token", "head.weight"],
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


LAYOUT = read_ijepa
