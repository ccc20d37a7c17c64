"""iBOT ViT-B/16."""

from official import COMMON, Family, Mistake, Variant

FAMILY = Family(
    "ibot_vitb16",
    {"architecture": "vit_base_patch16_224", "layout": "ibot"},
    cases=("native", "lowvar", "rect_256x320"),
    variants=(Variant("full_checkpoint", "native", ["student.module (53 tensors)", "teacher.head (10 tensors)"]),),
    mistakes={**COMMON, "positions as timm's": Mistake("rect_256x320", {"position_embedding": "timm"})},
)
