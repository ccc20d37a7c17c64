"""Layout ``timm``: a flat file with timm's own names, as on its hub."""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents, flat, require


def read_timm(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; nothing is renamed."""
    tensors = flat(file, "timm", key)
    require(tensors, "timm", key, present=["patch_embed.proj.weight"])
    return Contents(tensors)


LAYOUT = read_timm
