"""SelfPatch ViT-S/16: patch tokens without a final norm, and with that of its aggregation head."""

from official import COMMON, Family, Mistake, Run, Variant, other_final_norm, tokens_of

ARGUMENTS = {"class_token": False, "global_pool": "avg", "final_norm": False, "fc_norm": False}


def normed_by_its_head(run: Run):
    normed = run.load(layout="selfpatch-normed", arguments={"final_norm": True})
    return tokens_of(normed, run.images).patch[-1]


FAMILY = Family(
    "selfpatch_vits16",
    {"architecture": "vit_small_patch16_224", "arguments": ARGUMENTS, "layout": "selfpatch"},
    cases=("native", "rect_128x192", "lowvar"),
    size=(384, 12),
    variants=(Variant("flat", "rect_128x192", []),),
    outputs={
        "patch_ca_norm_last": normed_by_its_head,
        "patch_ca_norm_first8": lambda run: normed_by_its_head(run)[:, :8],
    },
    not_given={"cls_last": "the class token of its aggregation head, two blocks of class attention that are not built"},
    mistakes={
        **{name: COMMON[name] for name in ("eps", "gelu")},
        "a final norm": Mistake(module=other_final_norm),
        "positions as timm's": Mistake("rect_128x192", {"position_embedding": "timm"}),
        "positions as MAE's": Mistake("rect_128x192", {"position_embedding": "vitmae"}),
    },
)
