"""What the layouts of single families take, leave out and refuse, with small files that have their names."""

import pytest
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.layout import open_layout

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
NO_CLASS = {"class_token": False, "global_pool": "avg", "fc_norm": False}
BEIT = {
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": False,
    "use_shared_rel_pos_bias": True,
    "init_values": 0.1,
    "use_fc_norm": False,
    "global_pool": "",
}


def weights(seed=0, architecture="vit_base_patch16_224", **arguments):
    torch.manual_seed(seed)
    module = timm.create_model(architecture, num_classes=0, img_size=64, **SMALL, **arguments)
    return {name: torch.randn_like(value) for name, value in module.state_dict().items()}


def prefixed(tensors, prefix):
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def load(tmp_path, content, layout, architecture="vit_base_patch16_224", *, side=64, keys=None, **arguments):
    torch.save(content, tmp_path / "w.pth")
    entry = {"source": "timm", "architecture": architecture, "arguments": {**SMALL, **arguments}, "layout": layout}
    entry |= {"checkpoint": "w.pth", **(keys or {})}
    return load_model("m", entry, checkpoint_root=tmp_path, input_size=side, device="cpu")


def held(backbone, name):
    return backbone.module.state_dict()[name]


def pixio():
    official = weights(reg_tokens=7)
    official["cls_token"] = torch.cat([official["cls_token"], official.pop("reg_token")], dim=1)
    return official


def test_the_first_class_token_of_pixio_is_cls_and_seven_are_registers(tmp_path):
    content = pixio()
    backbone = load(tmp_path, content, "pixio", reg_tokens=7)
    assert backbone.has_cls and backbone.registers == 7
    assert torch.equal(held(backbone, "cls_token"), content["cls_token"][:, :1])
    assert torch.equal(held(backbone, "reg_token"), content["cls_token"][:, 1:])
    assert backbone.provenance["left_out"] == []


def test_pixio_is_not_taken_for_dino_nor_dino_for_pixio(tmp_path):
    with pytest.raises(ModelError, match=r"cls_token is \(1, 8, 48\).*laid out like pixio: set models.m.layout"):
        load(tmp_path, pixio(), "dino")
    with pytest.raises(ModelError, match=r"cls_token is \(1, 1, 48\).*laid out like dino: set models.m.layout"):
        load(tmp_path, weights(), "pixio")
    with pytest.raises(ModelError, match=r"laid out like pixio: set models.m.layout"):
        load(tmp_path, pixio(), "timm")


def test_pixio_without_arguments_has_no_place_for_its_tokens(tmp_path):
    with pytest.raises(ModelError, match=r"holds 7 tokens .* no places; .*arguments.reg_tokens: 7"):
        load(tmp_path, pixio(), "pixio")


@pytest.mark.parametrize(("layout", "arguments"), [("msn", {}), ("ijepa", NO_CLASS)], ids=["msn", "ijepa"])
@pytest.mark.parametrize("wrapper", ["module.", ""])
def test_the_target_encoder_is_taken_and_the_rest_named(tmp_path, layout, arguments, wrapper):
    target, context = weights(1, **arguments), weights(2, **arguments)
    content = {
        "encoder": prefixed(context, wrapper),
        "target_encoder": prefixed(target, wrapper),
        "epoch": 3,
        "opt": {"state": {}, "param_groups": []},
    }
    if layout == "msn":
        content["target_encoder"][f"{wrapper}fc.bn1.num_batches_tracked"] = torch.tensor(7)
    backbone = load(tmp_path, content, layout, **arguments)
    assert torch.equal(held(backbone, "blocks.1.attn.qkv.weight"), target["blocks.1.attn.qkv.weight"])
    facts = backbone.provenance
    assert facts["weights_taken"].startswith("target_encoder")
    assert any(name.startswith("encoder") for name in facts["left_out"])
    assert ("epoch" in facts["left_out"]) and (layout == "ijepa" or any("fc." in name for name in facts["left_out"]))


@pytest.mark.parametrize(("layout", "arguments"), [("msn", {}), ("ijepa", NO_CLASS)], ids=["msn", "ijepa"])
def test_a_file_without_the_target_encoder_is_refused(tmp_path, layout, arguments):
    with pytest.raises(ModelError, match="the file has no entry 'target_encoder'"):
        load(tmp_path, {"encoder": prefixed(weights(**arguments), "module.")}, layout, **arguments)


def test_msn_and_ijepa_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match=r"laid out like msn: set models.m.layout"):
        load(tmp_path, {"target_encoder": weights()}, "ijepa", **NO_CLASS)
    with pytest.raises(ModelError, match=r"laid out like ijepa: set models.m.layout"):
        load(tmp_path, {"target_encoder": weights(**NO_CLASS)}, "msn")


def beit():
    tensors = weights(architecture="beitv2_base_patch16_224", **BEIT)
    own = {f"cls_pt_layers.0.{name[9:]}": value + 1 for name, value in tensors.items() if name.startswith("blocks.0.")}
    extra = {"mask_token": torch.zeros(1, 1, 48), "lm_head.weight": torch.zeros(9, 48)}
    return tensors | own | extra | {"rel_pos_bias.relative_position_index": torch.zeros(17, 17, dtype=torch.int64)}


def test_blocks_that_only_the_training_of_beit_v2_has_are_left_out(tmp_path):
    content = beit()
    backbone = load(tmp_path, {"model": content}, "beit-v2", "beitv2_base_patch16_224", **BEIT)
    assert torch.equal(held(backbone, "blocks.0.norm1.weight"), content["blocks.0.norm1.weight"])
    assert any("cls_pt_layers" in name for name in backbone.provenance["left_out"])
    assert backbone.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("side", [48, 80])
def test_relative_positions_of_another_size_name_the_one_they_are_of(tmp_path, side):
    message = r"models\.m\.input_size: .* positions of 4 x 4 patches.* set it to 64 px.*w\.pth"
    with pytest.raises(ModelError, match=message):
        load(tmp_path, {"model": beit()}, "beit-v2", "beitv2_base_patch16_224", side=side, **BEIT)


def test_a_way_to_resize_positions_that_are_not_there_is_refused(tmp_path):
    keys = {"position_embedding": "dino"}
    message = r"models\.m\.position_embedding is dino, but .* has no absolute position embedding"
    with pytest.raises(ModelError, match=message):
        load(tmp_path, {"model": beit()}, "beit-v2", "beitv2_base_patch16_224", keys=keys, **BEIT)


def test_the_normalisation_of_a_first_beit_is_asked_for(tmp_path):
    content = {name: value for name, value in beit().items() if "cls_pt" not in name}
    with pytest.raises(ModelError, match=r"models.m.mean is missing: without cls_pt_layers"):
        load(tmp_path, {"model": content}, "beit-v2", "beitv2_base_patch16_224", **BEIT)


def test_a_fine_tuned_beit_v2_is_refused_by_name(tmp_path):
    content = beit() | {"blocks.0.attn.relative_position_bias_table": torch.zeros(9, 3)}
    with pytest.raises(ModelError, match="a fine-tuned BEiT v2"):
        load(tmp_path, {"model": content}, "beit-v2", "beitv2_base_patch16_224", **BEIT)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_selfpatch_has_no_final_norm_or_that_of_its_head(tmp_path, prefix):
    arguments = {**NO_CLASS, "final_norm": False}
    backbone = weights(**arguments)
    head = {"ca_head.norm.weight": torch.full((48,), 3.0), "ca_head.norm.bias": torch.full((48,), 5.0)}
    teacher = prefixed(prefixed(backbone, "backbone.") | head | {"c_head.last_layer.weight_g": torch.zeros(1)}, prefix)
    content = {"teacher": teacher, "epoch": 1}
    norm = {f"teacher.{prefix}ca_head.norm.{part}" for part in ("weight", "bias")}
    assert norm <= set(open_layout("selfpatch")(content, "key").left_out)
    others = set(open_layout("selfpatch-normed")(content, "key").left_out)
    assert "epoch" in others and not others & norm
    plain = load(tmp_path, content, "selfpatch", **arguments)
    assert isinstance(plain.module.norm, torch.nn.Identity) and not plain.has_cls
    arguments["final_norm"] = True
    normed = load(tmp_path, content, "selfpatch-normed", **arguments)
    assert (held(normed, "norm.weight") == 3).all() and (held(normed, "norm.bias") == 5).all()
    for without in ({"teacher": prefixed(backbone, "backbone.")}, backbone):
        with pytest.raises(ModelError, match=r"the teacher has no ca_head.norm|has no entry 'teacher'"):
            load(tmp_path, without, "selfpatch-normed", **arguments)
