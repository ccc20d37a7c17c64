"""Layout ``pixio``: the released encoder of Pixio, with its eight class tokens in one tensor.

Source: ``pixio/pixio.py`` of facebookresearch/pixio (b83555d6). Its encoder has timm's names; timm takes the first class token
as [CLS] and the other seven as registers (``arguments: {reg_tokens: 7}``). All eight have positions of their own.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, Weights, flat, require, width

# features: heads, of pixio_vitb16, vitl16, vith16, vit1b16 and vit5b16
_HEADS = {768: 12, 1024: 16, 1280: 16, 1536: 24, 3072: 32}


def read_pixio(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; a file with a decoder, of pre-training, is refused by its names."""
    tensors = flat(file, "pixio", key)
    require(
        tensors,
        "pixio",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"],
        absent=["mask_token", "reg_token", "register_tokens", "blocks.0.ls1.gamma", "head.weight"],
    )
    return pixio_contents(tensors, "pixio", key)


def pixio_contents(tensors: Weights, layout: str, key: str) -> Contents:
    """Return the contents of an encoder with timm's names but for its class tokens, which are (1, 8, D) in one."""
    tokens = tensors["cls_token"]
    if tokens.ndim != 3 or tokens.shape[1] < 2:
        raise ModelError(
            f"{key}: not of layout {layout}: cls_token is {tuple(tokens.shape)}, where Pixio has eight class tokens in one "
            "tensor, (1, 8, features); set the layout of its code"
        )
    return Contents(
        tensors | {"cls_token": tokens[:, :1], "reg_token": tokens[:, 1:]},
        norm_eps=1e-6,
        position_embedding="vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(width(tensors)),
    )


LAYOUT = read_pixio
