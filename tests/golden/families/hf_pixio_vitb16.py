"""Pixio ViT-B/16 in the layout of transformers."""

from official import COMMON, Family, Mistake, registers_at_zero


def values_before_keys(content):
    names = [name for name in content if ".attention.key." in name]
    swapped = dict(content)
    for name in names:
        value = name.replace(".key.", ".value.")
        swapped[name], swapped[value] = content[value], content[name]
    return swapped


FAMILY = Family(
    "hf_pixio_vitb16",
    {"architecture": "vit_base_patch16_224", "arguments": {"reg_tokens": 7}, "layout": "hf-pixio"},
    cases=("native", "rect_128x192", "lowvar"),
    mistakes={
        **COMMON,
        "seven class tokens at zero": Mistake(module=registers_at_zero),
        "values joined before keys": Mistake(file=values_before_keys),
        "positions as DINO's": Mistake("rect_128x192", {"position_embedding": "dino"}),
    },
    file="model.safetensors",
)
