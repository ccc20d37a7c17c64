"""Layout ``eva02``: a file of EVA-02's masked image modelling; timm's architectures with ``use_fc_norm: false``.

Source: ``EVA-02/asuka/modeling_pretrain.py`` and ``rope.py`` of baaivision/EVA (5623d08b). The tables of rotary positions,
one a block, are left out: timm computes the same. Pixels are normalised as for CLIP, whose features were the targets.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import CLIP, Contents, entry, names_of, renamed, require, width

_PLACES = ("model", "module")
_HEAD = ("lm_head.", "mask_token")
_RENAMED = {
    ".attn.q_bias": ".attn.q_proj.bias",
    ".attn.v_bias": ".attn.v_proj.bias",
    ".attn.inner_attn_ln.": ".attn.norm.",
    ".mlp.ffn_ln.": ".mlp.norm.",
    ".mlp.w1.": ".mlp.fc1_g.",
    ".mlp.w2.": ".mlp.fc1_x.",
    ".mlp.w3.": ".mlp.fc2.",
}
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16}


def read_eva02(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the head and the mask token are left out."""
    place = next((name for name in _PLACES if name in file), _PLACES[0])
    tensors = entry(file, place, "eva02", key)
    require(
        tensors,
        "eva02",
        key,
        present=[
            "cls_token",
            "pos_embed",
            "mask_token",
            "blocks.0.attn.q_proj.weight",
            "blocks.0.mlp.w3.weight",
            "norm.weight",
        ],
    )
    used = {name: value for name, value in tensors.items() if not name.startswith(_HEAD) and "rope." not in name}
    encoder = renamed(used, _timm_name, "eva02", key)
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if name.removeprefix(f"{place}.") not in used),
        norm_eps=1e-6,
        position_embedding="vitmae",
        square=True,
        normalisation=CLIP,
        heads=_HEADS.get(width(encoder)),
    )


LAYOUT = read_eva02


def _timm_name(name: str) -> str:
    for official, timm in _RENAMED.items():
        name = name.replace(official, timm)
    return name
