"""Layout ``dinov3``: the released backbone of DINOv3, or the teacher of a training run.

Source: ``dinov3/hub/backbones.py``, ``dinov3/layers/attention.py`` (``LinearKMaskedBias``), ``dinov3/layers/ffn_layers.py``
(``SwiGLUFFN``: w3(silu(w1 x) * w2 x)) and ``dinov3/layers/rope_position_encoding.py`` of facebookresearch/dinov3
(6876159a). The normalisations are those of its README.
"""

from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, Normalisation, Weights, require, teacher_or_flat, width

# mean and standard deviation of the satellite images of SAT-493M
SATELLITE: Normalisation = ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143))
# features of the ViT-7B, which is released of both kinds of images
GIANT = 4096

_RENAMED = {
    "storage_tokens": "reg_token",
    "ls1.gamma": "gamma_1",
    "ls2.gamma": "gamma_2",
    "rope_embed.": "rope.",
    "mlp.w1.": "mlp.fc1_g.",
    "mlp.w2.": "mlp.fc1_x.",
    "mlp.w3.": "mlp.fc2.",
}
# The norm of [CLS] of local crops: used in training alone, `norm` does all tokens in evaluation.
_LOCAL_NORM = "local_cls_norm."
_UNDECIDED = "DINOv3 of this size is released for LVD-1689M (normalised as ImageNet) and for SAT-493M (otherwise)"


def read_dinov3(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`.

    ``rope.periods``, which timm computes and does not keep, is among the encoder's tensors: released files hold them
    rounded, and the official code uses them as they are. Their number tells that of the heads.
    """
    tensors, place, others = teacher_or_flat(file, "dinov3", key)
    left_out = list(others)
    require(
        tensors,
        "dinov3",
        key,
        present=["cls_token", "storage_tokens", "patch_embed.proj.weight", "rope_embed.periods", "norm.weight"],
        absent=["pos_embed"],
    )
    encoder: Weights = {}
    for name, value in tensors.items():
        if name == "mask_token" or name.endswith(".bias_mask") or name.startswith(_LOCAL_NORM):
            left_out.append(place + name)
        elif name.endswith(".qkv.bias"):
            query, value_ = _query_and_value(name, value, tensors.get(f"{name}_mask"), key)
            encoder |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): value_}
        else:
            for official, timm in _RENAMED.items():
                name = name.replace(official, timm)
            encoder[name] = value
    local = any(name.startswith(_LOCAL_NORM) for name in tensors)
    return Contents(
        encoder,
        left_out=tuple(left_out),
        norm_eps=1e-5,
        heads=width(encoder) // (4 * max(tensors["rope_embed.periods"].numel(), 1)) or None,
        taken=place or None,
        **normalised_by(width(encoder), (GIANT,), SATELLITE if local else IMAGENET),
    )


LAYOUT = read_dinov3


def normalised_by(features: int, both: tuple[int, ...], otherwise: Normalisation) -> dict[str, Any]:
    """Return ``normalisation`` and ``asked`` of contents: asked for where widths ``both`` are released of both kinds."""
    if features in both:
        return {"asked": {"mean": _UNDECIDED, "std": _UNDECIDED}}
    return {"normalisation": otherwise}


def _query_and_value(
    name: str, bias: torch.Tensor, mask: torch.Tensor | None, key: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the bias of queries, keys and values; that of the keys is masked out, as softmax does not feel it."""
    query, keys, value = (bias if mask is None else bias * mask).chunk(3)
    if keys.any() or (mask is not None and not (mask.chunk(3)[0] == 1).all()):
        raise ModelError(f"{key}: {name}_mask does not leave queries and values alone and keys without a bias")
    return query, value
