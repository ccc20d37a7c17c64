"""TIPS v2 ViT-B/14: two class tokens, from an archive of NumPy arrays."""

from official import COMMON, Family, Mistake, registers_at_zero

FAMILY = Family(
    "tips_v2_vitb14",
    {"architecture": "vit_base_patch14_reg1_tipsv2", "layout": "tips-v2"},
    cases=("native", "lowvar", "img_224", "rect_98x154"),
    file="file.npz",
    mistakes={
        **COMMON,
        "no second class token": Mistake("img_224", module=registers_at_zero),
        "positions as timm": Mistake("img_224", {"position_embedding": "timm"}),
        "positions not antialiased": Mistake("img_224", {"position_embedding": "bilinear"}),
    },
)
