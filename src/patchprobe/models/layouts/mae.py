"""Layout ``mae``: a checkpoint of MAE, the encoder alone or with its decoder.

Source: ``models_mae.py`` and ``util/misc.py`` of facebookresearch/mae (efb2a806). Its encoder has timm's names.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.decoders.mae_names import split_decoder
from patchprobe.models.layout import IMAGENET, Contents, entry, names_of, require

# features: heads, of ViT-B, L and H
_HEADS = {768: 12, 1024: 16, 1280: 16}
_CLASSIFIER = ("head.", "fc_norm.")


def read_mae(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; a model with a classifier, such as a fine-tuned one, is refused."""
    tensors = entry(file, "model", "mae", key)
    require(
        tensors,
        "mae",
        key,
        present=["cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.norm1.weight"],
        absent=["mask_token_decoder", "dist_token", "reg_token", "blocks.0.ls1.gamma", "blocks.0.attn.q_proj.weight"],
    )
    if any(name.startswith(_CLASSIFIER) for name in tensors):
        raise ModelError(
            f"{key}: a model trained with labels (it has a classifier), such as a fine-tuned MAE, whose encoder is no "
            "longer that of the pre-training; take mae_pretrain_vit_base.pth, or with its decoder "
            "mae_visualize_vit_base.pth"
        )
    encoder, decoder = split_decoder(tensors, "mae", key)
    used = {f"model.{name}" for name in (*encoder, *decoder)}
    return Contents(
        encoder,
        decoder,
        left_out=tuple(name for name in names_of(file) if name not in used),
        norm_eps=1e-6,
        position_embedding="vitmae",
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(encoder["cls_token"].shape[-1]),
    )


LAYOUT = read_mae
