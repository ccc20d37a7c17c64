"""BEiT v2 ViT-B/16, self-supervised."""

import torch
from official import COMMON, Family, Mistake

ARGUMENTS = {
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": False,
    "use_shared_rel_pos_bias": True,
    "init_values": 0.1,
    "use_fc_norm": False,
    "global_pool": "",
}


def with_its_other_blocks(content):
    """The last blocks replaced by those of the training alone, as an expression for block numbers would."""
    other = {
        name.replace("cls_pt_layers.", "blocks."): value for name, value in content["model"].items() if "cls_pt" in name
    }
    return {"model": {**content["model"], **other}}


def without_biases_of_positions(module):
    with torch.no_grad():
        module.rel_pos_bias.relative_position_bias_table.zero_()


def without_layer_scale(module):
    with torch.no_grad():
        for block in module.blocks:
            block.gamma_1.fill_(1.0)
            block.gamma_2.fill_(1.0)


FAMILY = Family(
    "beitv2_vitb16",
    {"architecture": "beitv2_base_patch16_224", "arguments": ARGUMENTS, "layout": "beit-v2"},
    cases=("native", "lowvar"),
    mistakes={
        **COMMON,
        "blocks of the training alone": Mistake(file=with_its_other_blocks),
        "no position biases": Mistake(module=without_biases_of_positions),
        "no layer scale": Mistake(module=without_layer_scale),
    },
)
