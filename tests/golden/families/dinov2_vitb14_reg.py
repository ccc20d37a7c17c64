"""DINOv2 ViT-B/14 with registers."""

from official import COMMON, Family, Mistake, Variant, registers_at_zero

FAMILY = Family(
    "dinov2_vitb14_reg",
    {"architecture": "vit_base_patch14_reg4_dinov2.lvd142m", "layout": "dinov2"},
    cases=("img_224", "lowvar", "rect_196x266", "native_518"),
    digests=("full_digest", "full_digest_518"),
    variants=(Variant("training_teacher_chunked", "img_224", ["teacher.backbone.mask_token"]),),
    mistakes={
        **COMMON,
        "no registers": Mistake("img_224", module=registers_at_zero),
        "positions as without registers": Mistake("img_224", {"position_embedding": "dino"}),
    },
)
