"""Strict loading of weight files, and every way in which one can be wrong."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from patchprobe.errors import ModelError
from patchprobe.models import load_model


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return timm.create_model("test_vit").state_dict()


def load(folder, file, input_size=160, **entry):
    entry = {"source": "timm", "architecture": "test_vit", "checkpoint": file} | entry
    return load_model("m", entry, checkpoint_root=folder, input_size=input_size, device="cpu")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_full_checkpoint_loads_and_its_classifier_is_left_out(tmp_path, weights, suffix):
    file = tmp_path / f"w.{suffix}"
    save_file(weights, file) if suffix == "safetensors" else torch.save(weights, file)
    model = load(tmp_path, file.name)
    loaded = model.module.state_dict()
    assert weights.keys() - loaded.keys() == {"head.weight", "head.bias"}
    assert all(torch.equal(value, weights[name]) for name, value in loaded.items())
    assert model.provenance["checkpoint"] == file.name
    assert len(model.provenance["checkpoint_sha256"]) == 64
    assert model.provenance["position_embedding"] == {
        "method": "timm",
        "applied": False,
        "checkpoint_grid": [10, 10],
        "grid": [10, 10],
    }


def test_missing_surplus_and_reshaped_names_are_listed(tmp_path, weights):
    del weights["blocks.0.norm1.weight"]
    weights["mask_token"] = torch.zeros(1, 64)
    weights["norm.bias"] = torch.zeros(65)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError) as error:
        load(tmp_path, "w.safetensors")
    message = str(error.value)
    assert message.startswith("models.m.checkpoint: the weights do not fit VisionTransformer: ")
    assert "1 missing: blocks.0.norm1.weight;" in message
    assert "1 surplus: mask_token;" in message
    assert "1 reshaped: norm.bias (65,) instead of (64,)." in message


def test_many_wrong_names_are_counted(tmp_path, weights):
    save_file({name.replace("blocks", "layers"): value for name, value in weights.items()}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"missing: .* and \d+ more; \d+ surplus: layers\."):
        load(tmp_path, "w.safetensors")


def test_a_position_embedding_that_is_no_square_is_an_error(tmp_path, weights):
    weights["pos_embed"] = weights["pos_embed"][:, :-1].contiguous()
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="pos_embed has 100 positions"):
        load(tmp_path, "w.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=rf"models\.m\.checkpoint: there is no file {tmp_path}/none\.pth"):
        load(tmp_path, "none.pth")


def test_another_format_is_refused(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"w\.onnx is none of \.safetensors, \.pth, "):
        load(tmp_path, "w.onnx")


@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!DOCTYPE html><html>sign in</html>", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git LFS pointer"),
        (b"", "is empty"),
        (bytes(2000), "damaged"),
    ],
)
def test_files_that_are_no_weights_are_called_what_they_are(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, file)


@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_truncated_files_are_called_damaged(tmp_path, weights, file, share):
    path = tmp_path / file
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path, file)


def test_half_precision_weights_are_used_in_float32(tmp_path, weights):
    save_file({name: value.half() for name, value in weights.items()}, tmp_path / "w.safetensors")
    model = load(tmp_path, "w.safetensors", input_size=96)
    assert {value.dtype for value in model.module.state_dict().values()} == {torch.float32}


def test_without_network_the_remedy_is_named(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as error:
        load(tmp_path, None)
    assert "models.m.checkpoint is null" in str(error.value)
    assert f"download timm/test_vit.r160_in1k/model.safetensors elsewhere, put it into {tmp_path}" in str(error.value)


def test_hub_weights_go_the_same_strict_way(tmp_path, weights, monkeypatch):
    create = timm.create_model

    def published(architecture, pretrained=False, **kwargs):
        model = create(architecture, **kwargs)
        if pretrained:
            model.load_state_dict(weights)
        return model

    monkeypatch.setattr(timm, "create_model", published)
    model = load(tmp_path, None)
    assert torch.equal(model.module.state_dict()["norm.weight"], weights["norm.weight"])
    assert torch.equal(model.module.state_dict()["pos_embed"], weights["pos_embed"])
    assert model.provenance["checkpoint"] == "hub: timm/test_vit.r160_in1k/model.safetensors"
