"""Layout ``timm``: a flat file with timm's own names, as on its hub, or a training checkpoint of its ``train.py``.

Source: ``CheckpointSaver`` in ``timm/utils/checkpoint_saver.py`` (1.0.31), which writes ``arch`` beside the weights, and
``load_state_dict`` in ``timm/models/_helpers.py``, which takes the moving average where there is one.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents, entry, flat, names_of, require

_AVERAGE, _RAW = "state_dict_ema", "state_dict"


def read_timm(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; nothing is renamed, and raw weights beside their average are left out."""
    if isinstance(file.get(_AVERAGE), Mapping) or ("arch" in file and _RAW in file):
        place = _AVERAGE if isinstance(file.get(_AVERAGE), Mapping) else _RAW
        tensors = entry(file, place, "timm", key)
        used = {f"{place}.{name}" for name in tensors}
        left_out = tuple(name for name in names_of(file) if name not in used)
        taken: str | None = f"{place}."
    else:
        tensors, left_out, taken = flat(file, "timm", key), (), None
    require(tensors, "timm", key, present=["patch_embed.proj.weight"])
    return Contents(tensors, left_out=left_out, taken=taken)


LAYOUT = read_timm
