"""DINO ViT-B/16."""

from official import COMMON, Family, Mistake, Variant

FAMILY = Family(
    "dino_vitb16",
    {"architecture": "vit_base_patch16_224.dino", "layout": "dino"},
    cases=("native", "lowvar", "rect_256x320", "small_112"),
    digests=("full_digest", "full_digest_480"),
    variants=(Variant("full_checkpoint", "native", ["student.module (50 tensors)", "teacher.head (8 tensors)"]),),
    mistakes={
        **COMMON,
        "positions as timm's": Mistake("rect_256x320", {"position_embedding": "timm"}),
        "positions as MAE's": Mistake("small_112", {"position_embedding": "vitmae"}),
    },
)
