"""data2vec 2.0 ViT-B/16: norms behind the sums, no final norm; student and teacher."""

import torch
from official import COMMON, Family, Mistake, Variant, other_final_norm
from timm.models.vision_transformer import Block


def norms_before(module):
    for block in module.blocks:
        block.__class__ = Block


def no_bias_of_patches(module):
    with torch.no_grad():
        module.patch_embed.proj.bias.zero_()


def no_positions(module):
    with torch.no_grad():
        module.pos_embed.zero_()


def no_first_norm(module):
    module.norm_pre = torch.nn.Identity()


FAMILY = Family(
    "data2vec2_vitb16",
    {"architecture": "data2vec2_vit", "layout": "data2vec2"},
    cases=("native", "lowvar", "ema_native"),
    of_case={"ema_native": {"layout": "data2vec2-ema"}},
    variants=(Variant("prenet2", "native", ["model.modality_encoders (14 tensors)"]),),
    mistakes={
        **{name: COMMON[name] for name in ("eps", "gelu", "no class token")},
        "a final norm": Mistake(module=other_final_norm),
        "norms before the sums": Mistake(module=norms_before),
        "no norm before the blocks": Mistake(module=no_first_norm),
        "no bias of patches": Mistake(module=no_bias_of_patches),
        "no positions": Mistake(module=no_positions),
        "teacher for student": Mistake(entry={"layout": "data2vec2-ema"}),
    },
)
