"""DOFA ViT-B/16 for red, green and blue: a generated kernel with a padding of one pixel."""

import torch
from official import COMMON, Family, Mistake


def no_padding(module):
    module.patch_embed.proj.padding = (0, 0)


def blue_first(module):
    with torch.no_grad():
        module.patch_embed.proj.weight.copy_(module.patch_embed.proj.weight.flip(1))


FAMILY = Family(
    "dofa_vitb16",
    {"architecture": "dofa_vit", "layout": "dofa"},
    cases=("native", "lowvar", "old_view"),
    of_case={"old_view": {"layout": "dofa-first"}},
    not_given={"patch_before_blocks_first8": "what goes into the first block; no block's output"},
    mistakes={
        **COMMON,
        "no padding": Mistake(module=no_padding),
        "channels in the other order": Mistake(module=blue_first),
        "kernel in the order of the first version": Mistake(entry={"layout": "dofa-first"}),
        "kernel in the order of the later version": Mistake("old_view", {"layout": "dofa"}),
    },
)
