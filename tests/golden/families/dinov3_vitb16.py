"""DINOv3 ViT-B/16."""

from official import COMMON, Family, Mistake, registers_at_zero, wrong_eps

FAMILY = Family(
    "dinov3_vitb16",
    {"architecture": "vit_base_patch16_dinov3_qkvb", "layout": "dinov3"},
    cases=("native", "lowvar", "rect_256x320"),
    digests=("full_digest", "full_digest_rect"),
    mistakes={
        **COMMON,
        "eps": Mistake("lowvar", module=wrong_eps(1e-6)),
        "no registers": Mistake(module=registers_at_zero),
    },
)
