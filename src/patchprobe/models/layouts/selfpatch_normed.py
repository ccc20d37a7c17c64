"""Layout ``selfpatch-normed``: as ``selfpatch``, with the norm of SelfPatch's aggregation head as the final norm.

Source: ``CA_head`` in ``selfpatch_vision_transformer.py`` of alinlab/SelfPatch (81aef149), which norms patch tokens together with
its class token. It needs ``arguments: {final_norm: true}``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import Contents, entry
from patchprobe.models.layouts.selfpatch import read_selfpatch

_HEAD = "ca_head.norm."


def read_selfpatch_normed(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; a file without the head is refused."""
    contents = read_selfpatch(file, key)
    tensors = entry(file, "teacher", "selfpatch-normed", key) if "teacher" in file else {}
    prefix = "module." if any(name.startswith("module.") for name in tensors) else ""
    norm = {f"norm.{part}": f"{prefix}{_HEAD}{part}" for part in ("weight", "bias")}
    if not tensors.keys() >= {*norm.values()}:
        raise ModelError(
            f"{key}: not of layout selfpatch-normed: the teacher has no {_HEAD}weight and bias; set layout: selfpatch, whose "
            "tokens have no final norm"
        )
    used = {f"teacher.{theirs}" for theirs in norm.values()}
    return replace(
        contents,
        encoder=contents.encoder | {ours: tensors[theirs] for ours, theirs in norm.items()},
        left_out=tuple(name for name in contents.left_out if name not in used),
    )


LAYOUT = read_selfpatch_normed
