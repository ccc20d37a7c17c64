"""Layout ``radio``: the backbone of C-RADIOv3 and C-RADIOv4, from the repository's files or NVIDIA's on Hugging Face's hub.

Source: ``hubconf.py``, ``radio/common.py``, ``radio/vit_patch_generator.py`` and ``radio/cls_token.py`` of NVlabs/RADIO
(c0f37017). The tokens beside the patches, without position, are one summary token for each teacher and registers behind
them; the first goes by the name of [CLS] here. There is no final norm. Heads for the teachers are left out.
"""

from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.models.layout import (
    CLIP,
    Contents,
    Normalisation,
    PositionEmbedding,
    Weights,
    entry,
    flat,
    names_of,
    renamed,
    require,
    under,
)

_PLACES = ("state_dict_ema", "state_dict")
# places of the network, and of the part before it that normalises pixels
_CONDITIONERS = {"base_model.": "input_conditioner.", "radio_model.model.": "radio_model.input_conditioner."}
_TOKENS, _POSITIONS = "patch_generator.cls_token.token", "patch_generator.pos_embed"
_KERNEL = "patch_generator.embedder.weight"
_HEADS = {768: 12, 1024: 16, 1152: 16, 1280: 16, 1536: 24}
# features and tokens beside the patches of those whose code has align_corners as released: C-RADIOv3-B and H
_ALIGNED = ((768, 8), (1280, 8))


def read_radio(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the moving average is preferred, as in RADIO's own code."""
    place = next((name for name in _PLACES if name in file), None)
    tensors = entry(file, place, "radio", key) if place else flat(file, "radio", key)
    prefix = next((known for known in _CONDITIONERS if known + _KERNEL in tensors), "base_model.")
    require(tensors, "radio", key, present=[prefix + name for name in (_TOKENS, _POSITIONS, _KERNEL)])
    encoder = renamed(under(tensors, prefix), lambda name: name.replace(".grandma", ".gamma"), "radio", key)
    tokens, kernel = encoder.pop(_TOKENS), encoder.pop(_KERNEL)
    features = kernel.shape[0]
    side = round((kernel.shape[1] / 3) ** 0.5)
    encoder |= {
        "cls_token": tokens[None, :1],
        "reg_token": tokens[None, 1:],
        "pos_embed": encoder.pop(_POSITIONS),
        "patch_embed.proj.weight": kernel.reshape(features, 3, side, side),
        "patch_embed.proj.bias": torch.zeros(features, dtype=kernel.dtype),
    }
    whole = f"{place}.{prefix}" if place else prefix
    aligned: PositionEmbedding = "radio-aligned" if (features, len(tokens)) in _ALIGNED else "radio"
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if not name.startswith(whole)),
        norm_eps=1e-6,
        position_embedding=aligned,
        square=True,
        normalisation=_normalisation(tensors, _CONDITIONERS[prefix]),
        heads=_HEADS.get(features),
        taken=whole,
    )


LAYOUT = read_radio


def _normalisation(tensors: Weights, prefix: str) -> Normalisation:
    """Return the mean and standard deviation of the network's first part, or those of CLIP if it is not in the file."""
    held = [tensors.get(f"{prefix}norm_{kind}") for kind in ("mean", "std")]
    if any(value is None or value.numel() != 3 for value in held):
        return CLIP
    mean, std = (tuple(float(number) for number in value.flatten()) for value in held if value is not None)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
