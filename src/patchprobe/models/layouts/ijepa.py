"""Layout ``ijepa``: a training checkpoint of I-JEPA, as released.

Source: ``src/train.py`` and ``src/models/vision_transformer.py`` of facebookresearch/ijepa (52c1ae95). The paper evaluates the
target encoder, a running mean; timm's weights of the same name are those of the context encoder, ``encoder``. The official
resize takes the first patch's position for that of a class token, which there is none of, and fails; the embedding is
resized here as its formula would without that.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, under, width

# features: heads, of vit_huge and vit_giant
_HEADS = {1280: 16, 1408: 16}
_SET, _WRAPPER = "target_encoder", "module."


def read_ijepa(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; context encoder, predictor and training state are left out."""
    tensors = entry(file, _SET, "ijepa", key)
    prefix = _WRAPPER if any(name.startswith(_WRAPPER) for name in tensors) else ""
    encoder = under(tensors, prefix)
    require(
        encoder,
        "ijepa",
        key,
        present=["pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["cls_token", "mask_token", "head.weight"],
    )
    place = f"{_SET}.{prefix}"
    used = {f"{place}{name}" for name in encoder}
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if name not in used),
        norm_eps=1e-6,
        position_embedding="vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(encoder)),
        taken=place,
    )


LAYOUT = read_ijepa
