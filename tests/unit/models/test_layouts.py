"""Released files in the wrong place: every one is recognised and named."""

import numpy as np
import pytest
import timm
import torch

from patchprobe.errors import ConfigError, ModelError
from patchprobe.models.backbone import describe_model, load_model
from patchprobe.models.checkpoints.files import layout_names
from patchprobe.models.layout import open_layout

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
ARCHITECTURES = {
    "torchvision": "vit_base_patch16_224",
    "dino": "vit_base_patch16_224",
    "ibot": "vit_base_patch16_224",
    "moco-v3": "vit_base_patch16_224",
    "dinov2": "vit_base_patch14_dinov2",
    "dinov3": "vit_base_patch16_dinov3_qkvb",
}
SIZES = {"dinov2": 70, "dinov3": 64}


def state(architecture="vit_base_patch16_224", **arguments):
    """Names and shapes of a model's weights, filled with zeros that take no space in a file."""
    with torch.device("meta"):
        built = timm.create_model(architecture, num_classes=0, **arguments)
    return {name: torch.zeros(1).expand(value.shape) for name, value in built.state_dict().items()}


def vit():
    return state(img_size=64, **SMALL)


def dinov2():
    return state("vit_base_patch14_dinov2", img_size=70, **SMALL) | {"mask_token": torch.zeros(1, 48)}


def dinov3():
    official = {}
    for name, value in state("vit_base_patch16_dinov3_qkvb", img_size=64, **SMALL).items():
        if name.endswith("q_bias"):
            official[name.replace("q_bias", "qkv.bias")] = torch.zeros(144)
            official[name.replace("q_bias", "qkv.bias_mask")] = torch.ones(144).index_fill(0, torch.arange(48, 96), 0)
        elif not name.endswith("v_bias"):
            name = name.replace("reg_token", "storage_tokens")
            official[name.replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")] = value
    return official | {"mask_token": torch.zeros(1, 48), "rope_embed.periods": torch.ones(4)}


def torchvision():
    names = {
        "cls_token": "class_token",
        "pos_embed": "encoder.pos_embedding",
        "patch_embed.proj": "conv_proj",
        "blocks.": "encoder.layers.encoder_layer_",
        "norm1": "ln_1",
        "norm2": "ln_2",
        "attn.qkv.": "self_attention.in_proj_",
        "attn.proj": "self_attention.out_proj",
        "fc1": "linear_1",
        "fc2": "linear_2",
    }
    official = {"heads.head.weight": torch.zeros(10, 48), "heads.head.bias": torch.zeros(10)}
    for name, value in vit().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        official["encoder.ln." + name.removeprefix("norm.") if name.startswith("norm.") else name] = value
    return official


def prefixed(weights, prefix):
    return {f"{prefix}{name}": value for name, value in weights.items()}


HEAD = {"head.mlp.0.weight": torch.zeros(4, 48)}
FILES = {
    "torchvision": torchvision,
    "dino": vit,
    "ibot": lambda: {"state_dict": vit()},
    "moco-v3": lambda: {"state_dict": prefixed(vit(), "module.base_encoder."), "epoch": 300},
    "dinov2": dinov2,
    "dinov3": dinov3,
}


def load(folder, file, layout, **more):
    torch.save(file, folder / "w.pth")
    entry = {"source": "timm", "architecture": ARCHITECTURES.get(layout, "vit_base_patch16_224"), "layout": layout}
    entry |= {"checkpoint": "w.pth", "arguments": SMALL, "input_size": SIZES.get(layout, 64)}
    return load_model("m", entry | more, checkpoint_root=folder, input_size=64, device="cpu")


@pytest.mark.parametrize("layout", FILES)
def test_each_file_loads_under_its_own_layout(tmp_path, layout):
    model = load(tmp_path, FILES[layout](), layout)
    assert (model.features, model.blocks) == (48, 2)
    assert model.provenance["layout"] == layout


@pytest.mark.parametrize(
    ("held", "named"),
    # the released file of DINO has timm's names
    [(h, n) for h in FILES for n in [*FILES, "timm"] if h != n and (h, n) != ("dino", "timm")],
)
def test_another_layout_than_the_named_one_is_recognised(tmp_path, held, named):
    with pytest.raises(ModelError, match=rf"laid out like .*{held}.*: set models\.m\.layout") as error:
        load(tmp_path, FILES[held](), named)
    assert str(error.value).startswith("models.m.checkpoint: ")


def test_an_unknown_layout_is_an_error_that_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"models\.m\.layout: unknown layout 'moco'; did you mean moco-v3\? Known: "):
        load(tmp_path, vit(), "moco")


def test_every_layout_is_found_by_name():
    assert {*FILES, "timm"} <= set(layout_names())
    assert all(callable(open_layout(name)) for name in layout_names())


@pytest.mark.parametrize("layout", ["dino", "ibot"])
@pytest.mark.parametrize("wrapped", ["backbone.", "module.backbone."])
def test_the_teacher_of_a_full_checkpoint_is_taken(tmp_path, layout, wrapped):
    teacher = vit() | {"norm.weight": torch.full((48,), 2.0)}
    file = {
        "student": prefixed(vit() | HEAD, "module.backbone."),
        "teacher": prefixed(teacher, wrapped) | HEAD,
        "epoch": 3,
        "optimizer": {"state": {}},
    }
    model = load(tmp_path, file, layout)
    assert (model.module.norm.weight == 2).all()
    left_out = model.provenance["left_out"]
    assert {"epoch", "optimizer", "teacher.head.mlp.0.weight"} <= set(left_out)
    assert any(name.startswith("student.module (") for name in left_out)


@pytest.mark.parametrize("layout", ["dino", "ibot", "dinov2"])
def test_a_student_without_teacher_is_refused(tmp_path, layout):
    with pytest.raises(ModelError, match=r"no entry 'teacher' \(it holds: student\)"):
        load(tmp_path, {"student": prefixed(vit(), "module.backbone.")}, layout)


def test_a_momentum_encoder_alone_is_refused(tmp_path):
    file = {"state_dict": prefixed(vit(), "module.momentum_encoder.")}
    with pytest.raises(ModelError, match=r"there is no module\.base_encoder\.cls_token \(but module\.momentum_encoder"):
        load(tmp_path, file, "moco-v3")


def test_the_base_encoder_of_moco_is_taken_and_the_rest_named(tmp_path):
    base = vit() | {"norm.weight": torch.full((48,), 2.0), "head.0.weight": torch.zeros(4, 48)}
    file = {
        "state_dict": prefixed(base, "module.base_encoder.") | prefixed(vit(), "module.momentum_encoder."),
        "optimizer": {},
    }
    model = load(tmp_path, file, "moco-v3")
    assert (model.module.norm.weight == 2).all()
    assert model.provenance["left_out"] == [
        "optimizer",
        "state_dict.module (31 tensors)",
    ]


def test_an_ibot_student_loses_its_mask_token(tmp_path):
    model = load(tmp_path, {"state_dict": vit() | {"masked_embed": torch.zeros(1, 48)}}, "ibot")
    assert model.provenance["left_out"] == ["state_dict.masked_embed"]


def test_a_small_file_for_a_base_model_is_called_what_it_is(tmp_path):
    with pytest.raises(ModelError) as error:
        load(tmp_path, state("vit_small_patch16_224"), "timm", arguments={}, input_size=224)
    assert str(error.value) == (
        "models.m.checkpoint: the file holds a ViT-S/16 (384 features, 12 blocks), but models.m.architecture is "
        "vit_base_patch16_224, a ViT-B/16 (768 features, 12 blocks); name the architecture of the file, or another file; "
        f"the file is {tmp_path / 'w.pth'}"
    )


def test_a_fine_tuned_classifier_is_called_one(tmp_path):
    file = vit() | {
        "fc_norm.weight": torch.ones(48),
        "fc_norm.bias": torch.zeros(48),
        "head.weight": torch.zeros(3, 48),
    }
    del file["norm.weight"], file["norm.bias"]
    with pytest.raises(ModelError, match=r"fc_norm\.weight\. They were fine-tuned as a classifier"):
        load(tmp_path, file, "timm")


def test_a_surplus_tensor_is_an_error_in_every_layout(tmp_path):
    with pytest.raises(ModelError, match=r"1 surplus: blocks\.0\.extra"):
        load(tmp_path, vit() | {"blocks.0.extra": torch.zeros(1)}, "dino")
    with pytest.raises(ModelError, match=r"1 surplus: encoder\.extra"):
        load(tmp_path, torchvision() | {"encoder.extra": torch.zeros(1)}, "torchvision")
    with pytest.raises(ModelError, match="1 surplus: extra"):
        load(tmp_path, dinov3() | {"extra": torch.zeros(1)}, "dinov3")


def test_two_names_of_one_tensor_are_refused(tmp_path):
    file = torchvision() | {"encoder.layers.encoder_layer_0.mlp.0.bias": torch.zeros(192)}
    with pytest.raises(ModelError, match=r"encoder_layer_0\.mlp\.0\.bias is there a second time under another name"):
        load(tmp_path, file, "torchvision")


def test_query_and_value_biases_need_an_architecture_that_has_them(tmp_path):
    with pytest.raises(ModelError, match=r"2 surplus: blocks\.0\.attn\.q_bias, blocks\.0\.attn\.v_bias"):
        file = dinov3() | {"blocks.0.attn.qkv.bias": torch.ones(144)}
        load(tmp_path, file, "dinov3", architecture="vit_base_patch16_dinov3")


def test_biases_of_zero_need_no_place_and_are_named(tmp_path):
    model = load(tmp_path, dinov3(), "dinov3", architecture="vit_base_patch16_dinov3")
    assert "blocks.1 (3 tensors)" in model.provenance["left_out"]  # with the mask of the bias


def test_a_bias_of_keys_is_masked_out_and_refused_without_a_mask(tmp_path):
    file = dinov3() | {"blocks.1.attn.qkv.bias": torch.arange(144.0)}
    module = load(tmp_path, file, "dinov3").module
    assert torch.equal(module.blocks[1].attn.q_bias, torch.arange(48.0))
    assert torch.equal(module.blocks[1].attn.v_bias, torch.arange(96.0, 144.0))
    assert not module.blocks[1].attn.k_bias.any()
    del file["blocks.1.attn.qkv.bias_mask"]
    with pytest.raises(ModelError, match=r"blocks\.1\.attn\.qkv\.bias_mask does not leave"):
        load(tmp_path, file, "dinov3")


def test_rounded_rope_periods_are_used_as_the_file_has_them(tmp_path):
    periods = (100 ** (torch.arange(4) / 4)).bfloat16()
    model = load(tmp_path, dinov3() | {"rope_embed.periods": periods}, "dinov3", input_size=[48, 64])
    rows, columns = ((np.arange(n) + 0.5) / n * 2 - 1 for n in (3, 4))
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(12, 2, 1)
    angles = np.tile((2 * np.pi * grid / periods.double().numpy()).reshape(12, 8), 2)
    embedding = model.module.rope.get_embed(shape=[3, 4])
    np.testing.assert_allclose(embedding.numpy(), np.concatenate([np.sin(angles), np.cos(angles)], axis=1), atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_found_at_loading(tmp_path, value):
    weights = vit() | {"norm.bias": torch.zeros(48).index_fill(0, torch.tensor([7]), value)}
    torch.save(weights, tmp_path / "w.pth")
    entry = {"source": "timm", "architecture": "vit_base_patch16_224", "arguments": SMALL, "checkpoint": "w.pth"}
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .*w\.pth holds NaN or infinity in norm\.bias"):
        describe_model("m", entry, checkpoint_root=tmp_path, input_size=64)


def test_the_hub_is_refused_for_a_layout_of_a_file(tmp_path):
    entry = {"source": "timm", "architecture": "vit_base_patch16_224", "layout": "torchvision", "checkpoint": None}
    with pytest.raises(
        ModelError, match=r"models\.m\.checkpoint is null, but models\.m\.layout torchvision is that of"
    ):
        load_model("m", entry, checkpoint_root=tmp_path, input_size=224, device="cpu")
