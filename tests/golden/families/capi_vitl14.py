"""CAPI ViT-L/14: no [CLS], registers with positions, RMSNorm, rotary positions of its own."""

import math

import torch
from official import COMMON, Family, Mistake, registers_at_zero


def smaller_eps(module):
    for part in module.modules():
        if isinstance(part, torch.nn.RMSNorm):
            part.eps = 1e-6


def rows_for_columns(module):
    module.rope.coordinates = module.rope.coordinates.flip(-1)


def as_released(content):
    """Frequencies computed as those of a new model, which the file's are not here."""
    quarter = 2 * math.pi * 7 * 1e4 ** -torch.linspace(0, 1, 4)
    rows = torch.cat([quarter, quarter, torch.zeros(8)])
    new = torch.stack([rows, rows.roll(8)])
    return {name: new if name.endswith("rope.freqs") else value for name, value in content.items()}


FAMILY = Family(
    "capi_vitl14",
    {"architecture": "capi_vit", "layout": "capi"},
    cases=("native", "lowvar", "rect_140x196"),
    size=(1024, 24),
    not_given={"global": "the mean of the predictor's first block; no token of the encoder"},
    mistakes={
        "eps": Mistake("lowvar", module=smaller_eps),
        "gelu": COMMON["gelu"],
        "no final norm": COMMON["no final norm"],
        "no registers": Mistake(module=registers_at_zero),
        "rows for columns": Mistake("rect_140x196", module=rows_for_columns),
        "frequencies not read": Mistake(file=as_released),
    },
)
