"""I-JEPA ViT-H/14: the target encoder, without a class token."""

from official import COMMON, Family, Mistake

FAMILY = Family(
    "ijepa_vith14",
    {"architecture": "vit_huge_patch14_gap_224", "layout": "ijepa"},
    cases=("native", "lowvar"),
    size=(1280, 32),
    mistakes={
        **{name: mistake for name, mistake in COMMON.items() if name != "no class token"},
        "the context encoder": Mistake(file=lambda content: {**content, "target_encoder": content["encoder"]}),
    },
)
