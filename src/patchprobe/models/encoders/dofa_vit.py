"""Architecture ``dofa_vit``: the network of DOFA for fixed wavelengths, a ViT-B/16 whose patches are shifted by one pixel.

The kernel of the patches is generated from the wavelengths of the channels, so that for red, green and blue it is a
constant, which layout ``dofa`` computes. It is applied with a padding of one pixel: patch (i, j) covers the pixels from
row 16 i - 1 and column 16 j - 1, and the last row and column are not seen. Source: ``torchgeo/models/dofa.py`` of
torchgeo 0.8.1.
"""

from typing import Any

from timm.layers import PatchEmbed

from patchprobe.models.own_vit import facts, plain_vit, register


def _padded(*arguments: Any, **more: Any) -> Any:
    embedding = PatchEmbed(*arguments, **more)
    embedding.proj.padding = (1, 1)
    return embedding


def dofa_vit(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the network; ``arguments`` are those of timm's plain ViT."""
    return plain_vit("dofa_vit", {"embed_layer": _padded, "pretrained": pretrained}, arguments)


default_cfgs = facts("dofa_vit", 224)
register(dofa_vit)
