"""MoCo v3 ViT-B/16."""

from official import COMMON, Family

FAMILY = Family(
    "mocov3_vitb16",
    {"architecture": "vit_base_patch16_224", "layout": "moco-v3"},
    cases=("native", "lowvar"),
    mistakes=COMMON,
)
