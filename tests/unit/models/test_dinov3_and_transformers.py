"""Files of DINOv3 of all sizes, and of DINOv2 and DINOv3 of Hugging Face transformers, against timm's own forward pass.

Names of transformers are those of its modules in 4.57.6; they were compared with its models in 4.57.6 and 5.24.0.
"""

import pytest
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model

ONE = {"depth": 1}
OFFICIAL = {"reg_token": "storage_tokens", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}
SWIGLU = {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc2": "mlp.w3"}
TRANSFORMERS = {
    "attn.proj.": "attention.o_proj.",
    "gamma_1": "layer_scale1.lambda1",
    "gamma_2": "layer_scale2.lambda1",
    "reg_token": "embeddings.register_tokens",
    "cls_token": "embeddings.cls_token",
    "patch_embed.proj.": "embeddings.patch_embeddings.",
    "attn.q_bias": "attention.q_proj.bias",
    "attn.v_bias": "attention.v_proj.bias",
}
PLAIN = {"mlp.fc1.": "mlp.up_proj.", "mlp.fc2.": "mlp.down_proj."}
GATED = {"mlp.fc1_g.": "mlp.gate_proj.", "mlp.fc1_x.": "mlp.up_proj.", "mlp.fc2.": "mlp.down_proj."}
DINOV2 = {
    "attn.proj.": "attention.output.dense.",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
    "blocks.": "encoder.layer.",
}


def built(architecture):
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=0, **ONE).eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return model


def renamed(model, names, split=None):
    """Names of another code for timm's; ``split`` are those of query, key and value."""
    result = {}
    for name, value in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        name = (
            "layernorm." + name.removeprefix("norm.")
            if split and name.startswith("norm.") and names is DINOV2
            else name
        )
        if split and "attn.qkv." in name:
            parts = value.chunk(3)
            result |= {name.replace("attn.qkv", part): one for part, one in zip(split, parts, strict=True)}
        else:
            result[name] = value
    return result


def official(model, swiglu=False):
    file = renamed(model, OFFICIAL | (SWIGLU if swiglu else {}))
    return file | {"rope_embed.periods": model.rope.periods.clone(), "mask_token": torch.zeros(1, 384)}


def transformers(model, names):
    split = [f"attention.{part}_proj" for part in "qkv"]
    return renamed(model, TRANSFORMERS | names | {"blocks.": "layer."}, split) | {
        "embeddings.mask_token": torch.zeros(1)
    }


def check(folder, file, model, architecture, layout, size=224, **more):
    torch.save(file, folder / "w.pth")
    entry = {"source": "timm", "architecture": architecture, "arguments": ONE, "checkpoint": "w.pth", "layout": layout}
    loaded = load_model("m", entry | more, checkpoint_root=folder, input_size=size, device="cpu")
    if model is not None:
        images = torch.randn(1, 3, size, size)
        with torch.no_grad():
            expected = model.forward_features(images)[:, model.num_prefix_tokens :]
            torch.testing.assert_close(loaded.tokens(images, [1]).patch[0], expected, atol=1e-5, rtol=0)
    return loaded


def test_the_norm_of_local_crops_is_left_out_and_tells_satellite_images(tmp_path):
    model = built("vit_small_patch16_dinov3")
    file = official(model) | {"local_cls_norm.weight": torch.ones(384), "local_cls_norm.bias": torch.ones(384)}
    loaded = check(tmp_path, file, model, "vit_small_patch16_dinov3", "dinov3")
    assert (loaded.mean, loaded.std) == ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143))
    assert {"local_cls_norm.weight", "local_cls_norm.bias"} <= set(loaded.provenance["left_out"])


def test_swiglu_of_dinov3_gives_timms_tokens(tmp_path):
    model = built("vit_small_plus_patch16_dinov3")
    assert check(tmp_path, official(model, True), model, "vit_small_plus_patch16_dinov3", "dinov3").mean[0] == 0.485


def test_a_teacher_of_dinov3_is_taken(tmp_path):
    model = built("vit_small_patch16_dinov3")
    teacher = {f"backbone.{name}": value for name, value in official(model).items()}
    student = {name: value + 1 for name, value in teacher.items()}
    loaded = check(tmp_path, {"teacher": teacher, "student": student}, model, "vit_small_patch16_dinov3", "dinov3")
    assert loaded.provenance["weights_beside"] == ["student.backbone."]


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("vit_small_patch16_dinov3", PLAIN),
        ("vit_small_patch16_dinov3_qkvb", PLAIN),
        ("vit_small_plus_patch16_dinov3_qkvb", GATED),
    ],
)
@pytest.mark.parametrize("block", ["layer.", "model.layer."])
def test_dinov3_of_transformers_gives_timms_tokens(tmp_path, architecture, names, block):
    model = built(architecture)
    file = {
        block + name.removeprefix("layer.") if name.startswith("layer.") else name: value
        for name, value in transformers(model, names).items()
    }
    check(tmp_path, file, model, architecture, "hf-dinov3")


def test_files_of_two_kinds_of_images_are_asked_about(tmp_path):
    architecture = "vit_large_patch16_dinov3"
    file = transformers(built(architecture), PLAIN)
    with pytest.raises(ModelError, match=r"models\.m\.mean is missing: .*SAT-493M.*\.lvd1689m, .*\.sat493m"):
        check(tmp_path, file, None, architecture, "hf-dinov3")
    assert check(tmp_path, file, None, f"{architecture}.sat493m", "hf-dinov3").mean == (0.430, 0.411, 0.296)
    own = {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}
    assert check(tmp_path, file, None, architecture, "hf-dinov3", **own).mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("layout", ["timm", "dinov3"])
def test_files_of_transformers_are_recognised(tmp_path, layout):
    architecture = "vit_small_patch16_dinov3"
    with pytest.raises(ModelError, match=r"laid out like hf-dinov3: set models\.m\.layout"):
        check(tmp_path, transformers(built(architecture), PLAIN), None, architecture, layout)


@pytest.mark.parametrize("wrapper", ["", "dinov2."])
def test_dinov2_of_transformers_gives_timms_tokens(tmp_path, wrapper):
    model = built("vit_small_patch14_dinov2")
    file = renamed(model, DINOV2, [f"attention.attention.{part}" for part in ("query", "key", "value")])
    file = {wrapper + name: value for name, value in file.items()} | (
        {"classifier.bias": torch.zeros(3)} if wrapper else {}
    )
    loaded = check(tmp_path, file, model, "vit_small_patch14_dinov2", "hf-dinov2", size=518)
    assert loaded.provenance["left_out"] == (["classifier.bias"] if wrapper else [])
    small = check(tmp_path, file, None, "vit_small_patch14_dinov2", "hf-dinov2", size=224)
    assert small.provenance["position_embedding"]["method"] == "vitmae"


def test_registers_of_dinov2_of_transformers_stand_behind_cls(tmp_path):
    model = built("vit_small_patch14_reg4_dinov2")
    file = renamed(model, DINOV2, [f"attention.attention.{part}" for part in ("query", "key", "value")])
    registers, position = file.pop("reg_token"), torch.randn(1, 1, 384)
    file["embeddings.register_tokens"] = registers
    file["embeddings.cls_token"] = file["embeddings.cls_token"] - position  # where [CLS] has a position of its own
    file["embeddings.position_embeddings"] = torch.cat([position, file["embeddings.position_embeddings"]], dim=1)
    loaded = check(tmp_path, file, model, "vit_small_patch14_reg4_dinov2", "hf-dinov2", size=518)
    assert loaded.registers == 4
