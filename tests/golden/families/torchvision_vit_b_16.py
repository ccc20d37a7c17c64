"""torchvision's supervised ViT-B/16."""

from official import COMMON, Family, Variant

FAMILY = Family(
    "torchvision_vit_b_16",
    {"architecture": "vit_base_patch16_224", "layout": "torchvision"},
    cases=("native", "lowvar"),
    variants=(Variant("new_names", "native", ["heads.head (2 tensors)"]),),
    mistakes=COMMON,
)
