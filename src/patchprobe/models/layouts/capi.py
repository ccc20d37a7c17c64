"""Layout ``capi``: a released file of CAPI, whose encoder is architecture ``capi_vit``.

Source: ``model.py`` (``__model_loader__``) and ``hubconf.py`` of facebookresearch/capi (98b4fa17). Its predictor, of blocks
like those of the encoder, and the clustering head are left out.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import IMAGENET, Contents, flat, renamed, require, under, with_prefix_replaced
from patchprobe.models.layouts.hf_dinov2 import joined

_BACKBONE = "backbone."
_BLOCK = re.compile(r"encoder\.(blocks\.\d+)\.(residual[12])\.(.+)")
_IN_BLOCK = {
    "residual1.norm.": "norm1.",
    "residual1.fn.rope.freqs": "attn.frequencies",
    "residual1.fn.": "attn.",
    "residual2.norm.": "norm2.",
    "residual2.fn.": "mlp.",
}
_OUTSIDE = {"registers": "reg_token", "patch_embed.": "patch_embed.proj."}
_UNUSED = ("decoder.", "mask_token")
_HEADS = {1024: 16}


def read_capi(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; everything outside of the encoder is left out."""
    tensors = flat(file, "capi", key)
    require(
        tensors,
        "capi",
        key,
        present=[f"{_BACKBONE}{name}" for name in ("registers", "patch_embed.weight")]
        + [f"{_BACKBONE}encoder.blocks.0.residual1.fn.rope.freqs"],
    )
    backbone = under(tensors, _BACKBONE)
    encoder = {name: value for name, value in backbone.items() if not name.startswith(_UNUSED)}
    left_out = tuple(name for name in tensors if name.removeprefix(_BACKBONE) not in encoder)
    encoder = joined(
        renamed(encoder, _our_name, "capi", key), {"attn.qkv": ("attn.q_proj", "attn.k_proj", "attn.v_proj")}
    )
    return Contents(
        encoder, left_out=left_out, normalisation=IMAGENET, heads=_HEADS.get(encoder["reg_token"].shape[-1])
    )


LAYOUT = read_capi


def _our_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if block is None:
        return with_prefix_replaced(name, _OUTSIDE)
    return f"{block[1]}.{with_prefix_replaced(f'{block[2]}.{block[3]}', _IN_BLOCK)}"
