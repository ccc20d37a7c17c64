"""DINOv3 ViT-L/16 of satellite images: a norm of [CLS] that only its training uses."""

from official import COMMON, Family, Mistake, registers_at_zero, wrong_eps


def norm_of_local_crops(content):
    return {**content, "norm.weight": content["local_cls_norm.weight"], "norm.bias": content["local_cls_norm.bias"]}


FAMILY = Family(
    "dinov3_vitl16_sat",
    {"architecture": "vit_large_patch16_dinov3_qkvb", "layout": "dinov3"},
    cases=("native", "rect_128x192", "lowvar"),
    size=(1024, 24),
    mistakes={
        **COMMON,
        "eps": Mistake("lowvar", module=wrong_eps(1e-6)),
        "no registers": Mistake(module=registers_at_zero),
        "the norm of local crops": Mistake(file=norm_of_local_crops),
    },
)
