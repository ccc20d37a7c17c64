"""DINOv2 ViT-B/14 without registers."""

from official import COMMON, Family, Mistake, Variant

FAMILY = Family(
    "dinov2_vitb14",
    {"architecture": "vit_base_patch14_dinov2.lvd142m", "layout": "dinov2"},
    cases=("img_224", "lowvar", "rect_196x266", "native_518"),
    digests=("full_digest", "full_digest_518"),
    variants=(Variant("training_teacher_chunked", "img_224", ["teacher.backbone.mask_token"]),),
    mistakes={**COMMON, "positions as timm's": Mistake("img_224", {"position_embedding": "timm"})},
)
