"""Layout ``beit-v2``: a pre-training checkpoint of BEiT v2, whose blocks share one relative position bias.

Source: ``beit2/modeling_pretrain.py`` and ``run_beitv2_pretraining.py`` of microsoft/unilm (768a3c87). Its encoder has the names
of timm's BEiT, which computes ``relative_position_index`` itself. ``cls_pt_layers`` are two more blocks of the training alone;
the first BEiT has the same names without them.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require, width

# features: heads, of beit_base and beit_large
_HEADS = {768: 12, 1024: 16}
_TABLE = "rel_pos_bias.relative_position_bias_table"
_OWN_BLOCKS = "cls_pt_layers."
_UNUSED = (_OWN_BLOCKS, "lm_head.", "cls_pt_lm_head.", "mask_token", "rel_pos_bias.relative_position_index")
_UNDECIDED = (
    f"without {_OWN_BLOCKS}* the file is of BEiT, whose pixels have mean and standard deviation 0.5, or of a BEiT v2, "
    "normalised as ImageNet"
)


def read_beit_v2(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the fine-tuned model is refused."""
    tensors = entry(file, "model", "beit-v2", key)
    if "blocks.0.attn.relative_position_bias_table" in tensors:
        raise ModelError(
            f"{key}: a fine-tuned BEiT v2 (each block has its own relative position bias), whose encoder is no longer that of "
            "the pre-training; take beitv2_base_patch16_224_pt1k.pth"
        )
    require(
        tensors,
        "beit-v2",
        key,
        present=["cls_token", "patch_embed.proj.weight", "norm.weight", "blocks.0.gamma_1", _TABLE],
        absent=["pos_embed"],
    )
    second = any(name.startswith(_OWN_BLOCKS) for name in tensors)
    encoder = {name: value for name, value in tensors.items() if not name.startswith(_UNUSED)}
    used = {f"model.{name}" for name in encoder}
    return Contents(
        encoder,
        left_out=tuple(name for name in names_of(file) if name not in used),
        norm_eps=1e-6,
        normalisation=IMAGENET if second else None,
        heads=_HEADS.get(width(encoder)),
        asked={} if second else {"mean": _UNDECIDED, "std": _UNDECIDED},
    )


LAYOUT = read_beit_v2
