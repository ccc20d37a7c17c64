"""EVA-02 ViT-B/14: absolute and rotary positions, a norm inside of the gated MLP."""

import torch
from official import COMMON, Family, Mistake


def no_inner_norm(module):
    for block in module.blocks:
        block.mlp.norm = torch.nn.Identity()


def positions_counted(module):
    module.rope.ref_feat_shape = None
    module.rope.init_non_persistent_buffers()


FAMILY = Family(
    "eva02_vitb14",
    {
        "architecture": "eva02_base_patch14_224",
        "layout": "eva02",
        "arguments": {"use_fc_norm": False, "global_pool": ""},
    },
    cases=("native", "lowvar", "sq_112"),
    mistakes={
        **{name: COMMON[name] for name in ("eps", "no final norm", "no class token")},
        "no norm inside of the MLP": Mistake(module=no_inner_norm),
        "rotary positions not scaled": Mistake("sq_112", module=positions_counted),
        "positions as timm": Mistake("sq_112", {"position_embedding": "timm"}),
    },
)
