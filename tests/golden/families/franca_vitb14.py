"""Franca ViT-B/14: DINOv2's layout with gated MLPs at every size."""

from official import COMMON, REDUCED, Family, Mistake, Variant
from torch import nn


def gelu_in_gated_mlps(module):
    for block in module.blocks:
        assert isinstance(block.mlp.act, nn.SiLU)
        block.mlp.act = nn.GELU()


FAMILY = Family(
    "franca_vitb14",
    {
        "architecture": "vit_giant_patch14_dinov2",
        "arguments": {"embed_dim": 768, "depth": 12, "num_heads": 12},
        "layout": "dinov2",
    },
    cases=("native", "img_224", "rect_98x154", "lowvar"),
    digests=("full_digest", "full_digest_518"),
    reduced=REDUCED,
    variants=(Variant("v1_1_0", "img_224", ["teacher.mask_token"]),),
    mistakes={
        **{name: mistake for name, mistake in COMMON.items() if name != "gelu"},
        "GELU for SiLU": Mistake("lowvar", module=gelu_in_gated_mlps),
        "positions as timm's": Mistake("img_224", {"position_embedding": "timm"}),
        "positions as MAE's": Mistake("img_224", {"position_embedding": "vitmae"}),
    },
)
