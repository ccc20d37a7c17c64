"""C-RADIOv3-B: eight tokens beside the patches, no final norm, positions cut from a square, in two ways."""

from official import COMMON, Family, Mistake, Variant, other_final_norm, registers_at_zero


def tokens_in_reverse(content):
    tensors = content["state_dict"]
    name = next(name for name in tensors if name.endswith("cls_token.token"))
    return {**content, "state_dict": tensors | {name: tensors[name].flip(0)}}


ALIGNED = {"position_embedding": "radio-aligned"}
FAMILY = Family(
    "cradio_v3_vitb16",
    {"architecture": "vit_base_patch16_radio_v3", "layout": "radio"},
    cases=("native", "native_ac_true", "lowvar", "rect_128x192", "rect_ac_true"),
    # the layout takes the way of the release for the sizes of the releases
    digests=("full_digest_ac_true", "full_digest"),
    of_case={"native_ac_true": ALIGNED, "rect_ac_true": ALIGNED, "full_digest": {"position_embedding": "radio"}},
    variants=(
        Variant("hf", "native", ["radio_model.input_conditioner (2 tensors)", "radio_model.summary_idxs"]),
        Variant("hf", "rect_ac_true", entry=ALIGNED),
    ),
    mistakes={
        **{name: COMMON[name] for name in ("eps", "gelu", "no class token")},
        "a final norm": Mistake("lowvar", module=other_final_norm),
        "no other tokens": Mistake("lowvar", module=registers_at_zero),
        "tokens in the other order": Mistake("lowvar", file=tokens_in_reverse),
        "positions aligned": Mistake("rect_128x192", ALIGNED),
        "positions not aligned": Mistake("rect_ac_true", {"position_embedding": "radio"}),
        "positions without the crop": Mistake("rect_128x192", {"position_embedding": "bilinear"}),
    },
)
