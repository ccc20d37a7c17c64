"""SatMAE ViT-L/16 on fMoW-RGB, in MAE's layout."""

from official import COMMON, Family

FAMILY = Family(
    "satmae_vitl16_rgb",
    {"architecture": "vit_large_patch16_224", "layout": "mae"},
    cases=("native", "lowvar"),
    size=(1024, 24),
    mistakes=COMMON,
)
