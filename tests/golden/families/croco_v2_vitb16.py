"""CroCo v2 ViT-B/16: no [CLS], rotary positions that count rows and columns."""

import torch
from official import COMMON, Family, Mistake


def no_positions(module):
    module.rope.cosines, module.rope.sines = torch.ones(()), torch.zeros(())


def another_base(module):
    rows, columns = module.patch_embed.grid_size
    frequencies = 10000.0 ** (-torch.arange(0, 8, 2) / 8)
    places = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
    angles = torch.cat([(place[:, None] * frequencies).repeat(1, 2) for place in places.T], dim=1)
    module.rope.cosines, module.rope.sines = angles.cos(), angles.sin()


def columns_first(module):
    for table in (module.rope.cosines, module.rope.sines):
        table.copy_(table.roll(table.shape[-1] // 2, dims=-1))


FAMILY = Family(
    "croco_v2_vitb16",
    {"architecture": "croco_v2_vit", "layout": "croco"},
    cases=("native", "lowvar", "rect_128x192"),
    mistakes={
        **{name: COMMON[name] for name in ("eps", "gelu", "no final norm")},
        "no positions": Mistake(module=no_positions),
        "another base": Mistake(module=another_base),
        "columns first": Mistake("rect_128x192", module=columns_first),
    },
)
