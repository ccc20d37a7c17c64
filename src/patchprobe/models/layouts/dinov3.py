"""Layout ``dinov3``: the released backbone of DINOv3.

Source: ``dinov3/hub/backbones.py``, ``dinov3/layers/attention.py`` (``LinearKMaskedBias``) and
``dinov3/layers/rope_position_encoding.py`` of facebookresearch/dinov3 (6876159a).
"""

from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.errors import ModelError
from patchprobe.models.layout import Contents, Weights, flat, require

_RENAMED = {"storage_tokens": "reg_token", "ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2", "rope_embed.": "rope."}


def read_dinov3(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`.

    ``rope.periods``, which timm computes and does not keep, is among the encoder's tensors: released files hold them
    rounded, and the official code uses them as they are.
    """
    tensors = flat(file, "dinov3", key)
    require(
        tensors,
        "dinov3",
        key,
        present=["cls_token", "storage_tokens", "patch_embed.proj.weight", "rope_embed.periods", "norm.weight"],
        absent=["pos_embed"],
    )
    encoder: Weights = {}
    left_out = []
    for name, value in tensors.items():
        if name == "mask_token" or name.endswith(".bias_mask"):
            left_out.append(name)
        elif name.endswith(".qkv.bias"):
            query, value_ = _query_and_value(name, value, tensors.get(f"{name}_mask"), key)
            encoder |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): value_}
        else:
            for official, timm in _RENAMED.items():
                name = name.replace(official, timm)
            encoder[name] = value
    return Contents(encoder, left_out=tuple(left_out))


LAYOUT = read_dinov3


def _query_and_value(
    name: str, bias: torch.Tensor, mask: torch.Tensor | None, key: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the bias of queries, keys and values; that of the keys is masked out, as softmax does not feel it."""
    query, keys, value = (bias if mask is None else bias * mask).chunk(3)
    if keys.any() or (mask is not None and not (mask.chunk(3)[0] == 1).all()):
        raise ModelError(f"{key}: {name}_mask does not leave queries and values alone and keys without a bias")
    return query, value
