"""Layout ``moco-v3``: a training checkpoint of MoCo v3, as released.

Source: ``main_moco.py`` and ``main_lincls.py`` of facebookresearch/moco-v3 (c349e6e2): evaluation takes the base
encoder without its projector, not the momentum encoder.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, under, width

# features: heads, of vit_small and vit_base in ``vits.py``; the small one has twice as many as timm's
_HEADS = {384: 12, 768: 12}
_ENCODER = "module.base_encoder."


def read_moco_v3(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; projectors, predictor and momentum encoder are left out."""
    tensors = entry(file, "state_dict", "moco-v3", key)
    require(
        tensors, "moco-v3", key, present=[f"{_ENCODER}{name}" for name in ("cls_token", "pos_embed", "norm.weight")]
    )
    encoder = {name: value for name, value in under(tensors, _ENCODER).items() if not name.startswith("head.")}
    used = {f"state_dict.{_ENCODER}{name}" for name in encoder}
    heads = _HEADS.get(width(encoder))
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if name not in used),
        norm_eps=1e-6,
        square=True,
        normalisation=IMAGENET,
        heads=heads,
        asked={} if heads else {"arguments.num_heads": f"the code of MoCo v3 has no ViT of {width(encoder)} features"},
        taken=f"state_dict.{_ENCODER}",
    )


LAYOUT = read_moco_v3
