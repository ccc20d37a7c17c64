"""Strict loading of weight files, and every way in which one can be wrong."""

import hashlib
import json
import time
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import patchprobe
from patchprobe.errors import DownloadError, ModelError
from patchprobe.models.backbone import check_card, describe_model, load_model
from patchprobe.models.checkpoints.files import checkpoint_path
from patchprobe.models.sources import timm as timm_source


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
        (bytes(2000), r"damaged; delete it and download it again"),
        ("<!DOCTYPE html>".encode("utf-16"), "is a web page, not weights"),
        (b'{"error": "denied"}', r"is JSON \(.*denied.*\), not weights: delete it and download the file itself"),
        (b"404: Not Found", "is text .*404: Not Found"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "is packed with gzip.* unpack it and name the file"),
    ],
)
def test_files_that_are_no_weights_are_called_what_they_are(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path, file)


@pytest.mark.parametrize(
    ("content", "name"), [("safetensors", "w.pth"), ("zip", "w.safetensors"), ("old", "w.safetensors")]
)
def test_a_file_is_read_by_what_it_holds(tmp_path, weights, content, name):
    if content == "safetensors":
        save_file(weights, tmp_path / name)
    else:
        torch.save(weights, tmp_path / name, _use_new_zipfile_serialization=content == "zip")
    assert torch.equal(load(tmp_path, name).module.state_dict()["norm.weight"], weights["norm.weight"])


def test_a_directory_is_called_one(tmp_path):
    (tmp_path / "w.pth").mkdir()
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .*w\.pth is a directory; name the file"):
        load(tmp_path, "w.pth")


def test_a_link_to_nothing_is_called_one(tmp_path):
    (tmp_path / "w.pth").symlink_to(tmp_path / "gone.pth")
    with pytest.raises(ModelError, match=r"w\.pth is a link to .*gone\.pth, which is not there"):
        load(tmp_path, "w.pth")


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_types_that_are_no_weights_are_named(tmp_path, weights, dtype):
    torch.save({name: value.to(dtype) for name, value in weights.items()}, tmp_path / "w.pth")
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(
        ModelError, match=rf"w\.pth holds {name} in cls_token, .* weights are float16, bfloat16, float32"
    ):
        load(tmp_path, "w.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_of_weights_are_read(tmp_path, weights, dtype):
    torch.save({name: value.to(dtype) for name, value in weights.items()}, tmp_path / "w.pth")
    loaded = load(tmp_path, "w.pth").module.state_dict()
    assert torch.equal(loaded["norm.weight"], weights["norm.weight"].to(dtype).float())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sparse", "meta", "quantised"])
def test_tensors_that_do_not_hold_their_values_are_named(tmp_path, weights, kind):
    weights["norm.bias"] = {
        "sparse": lambda: torch.ones(64).to_sparse(),
        "meta": lambda: torch.ones(64, device="meta"),
        "quantised": lambda: torch.quantize_per_tensor(torch.ones(64), 0.1, 0, torch.qint8),
    }[kind]()
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: sparse, quantised or empty .*: norm\.bias;"):
        load(tmp_path, "w.pth")


def test_a_name_that_is_no_text_is_an_error(tmp_path, weights):
    torch.save(weights | {3: torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .* holds tensors under 3"):
        load(tmp_path, "w.pth")


@pytest.mark.parametrize("shape", [(), (101,), (2, 101, 64), (1, 101, 8, 8)])
def test_a_position_embedding_of_another_shape_is_an_error(tmp_path, weights, shape):
    save_file(weights | {"pos_embed": torch.zeros(shape)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"pos_embed is \(.*\), not \(1, positions, features\)"):
        load(tmp_path, "w.safetensors")


def test_an_unknown_way_of_positions_is_an_error(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(
        ModelError,
        match=r"models\.m\.position_embedding: 'dinoo' is unknown: take one of timm, dino, vitmae, bilinear, bilinear-antialiased, radio, radio-aligned, gsd",
    ):
        load(tmp_path, "w.safetensors", position_embedding="dinoo", input_size=96)


@pytest.mark.parametrize("distance", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_an_error(tmp_path, weights, distance):
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"models\.m\.ground_sample_distance is .*positive number of metres"):
        load(tmp_path, "w.safetensors", position_embedding="gsd", ground_sample_distance=distance)


def test_computed_positions_are_those_of_a_square(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    entry = {"position_embedding": "gsd", "ground_sample_distance": 1.0}
    assert load(tmp_path, "w.safetensors", input_size=96, **entry).grid == (6, 6)
    with pytest.raises(ModelError, match=r"models\.m\.input_size: .* square images, not 96 x 160 px"):
        load(tmp_path, "w.safetensors", input_size=(96, 160), **entry)


def test_a_file_that_was_replaced_since_its_card_was_written_is_an_error(tmp_path, weights):
    entry = {"source": "timm", "architecture": "test_vit", "checkpoint": "w.safetensors"}
    save_file(weights, tmp_path / "w.safetensors")
    (tmp_path / "card.json").write_text(describe_model("m", entry, checkpoint_root=tmp_path, input_size=160))
    check_card(load(tmp_path, "w.safetensors"), tmp_path / "card.json")
    save_file(weights | {"norm.bias": weights["norm.bias"] + 1}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: w\.safetensors was replaced since it was inspected"):
        check_card(load(tmp_path, "w.safetensors"), tmp_path / "card.json")


@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_truncated_files_are_called_damaged(tmp_path, weights, file, share):
    path = tmp_path / file
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path, file)


@pytest.mark.parametrize("digits", [8, 16, 64])
def test_a_right_sha256_is_noted(tmp_path, weights, digits, capsys):
    save_file(weights, tmp_path / "w.safetensors")
    digest = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    model = load(tmp_path, "w.safetensors", sha256=digest[:digits].upper())
    assert model.provenance["checkpoint_sha256"] == digest
    assert model.provenance["checkpoint_verified"] is True
    assert capsys.readouterr().err == ""


def test_an_unknown_sha256_is_printed_and_noted(tmp_path, weights, capsys):
    save_file(weights, tmp_path / "w.safetensors")
    digest = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    model = load(tmp_path, "w.safetensors")
    assert model.provenance["checkpoint_verified"] is False
    assert capsys.readouterr().err == f"models.m: w.safetensors has sha256 {digest}; models.m.sha256 is not set\n"


@pytest.mark.parametrize("digits", [6, 32])
def test_a_right_md5_is_noted_and_the_sha256_of_the_first_time_counts_too(tmp_path, weights, digits, capsys):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    md5, sha256 = (hashlib.new(kind, path.read_bytes()).hexdigest() for kind in ("md5", "sha256"))
    model = load(tmp_path, path.name, md5=md5[:digits].upper())
    assert model.provenance["checkpoint_verified"] is True and sha256 in capsys.readouterr().err
    (tmp_path / "w.safetensors.fetched.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(ModelError, match=r"and had 0{64} when it was fetched"):
        load(tmp_path, path.name, md5=md5[:digits])
    assert load(tmp_path, path.name, md5=md5, sha256=sha256).provenance["checkpoint_verified"]


@pytest.mark.parametrize("sha256", [None, "right"])
def test_a_wrong_md5_is_an_error_with_both(tmp_path, weights, sha256):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    md5, right = (hashlib.new(kind, path.read_bytes()).hexdigest() for kind in ("md5", "sha256"))
    with pytest.raises(ModelError, match=rf"models\.m\.md5 is 000000, but .*w\.safetensors .* has {md5}"):
        load(tmp_path, path.name, md5="000000", sha256=sha256 and right)


def test_a_file_that_is_no_longer_what_was_fetched_is_an_error(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    record = tmp_path / "w.safetensors.fetched.json"
    record.write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(
        ModelError, match=r"w.safetensors has sha256 .*, and had 0{64} when it was fetched .*remove w.safe"
    ):
        load(tmp_path, "w.safetensors")
    digest = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    assert load(tmp_path, "w.safetensors", sha256=digest[:8]).provenance["checkpoint_verified"]
    record.write_text(json.dumps({"sha256": digest}))
    load(tmp_path, "w.safetensors")
    for damaged in ("", "no record", "[]", "{}", json.dumps({"sha256": digest[:8]})):
        record.write_text(damaged)
        with pytest.raises(
            DownloadError, match=r"w\.safetensors\.fetched\.json .* it is damaged: restore it or,.* remove it"
        ):
            load(tmp_path, "w.safetensors")
    record.unlink()
    load(tmp_path, "w.safetensors")


def test_a_wrong_sha256_is_an_error_with_both(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    digest = hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    wrong = "0" * 64
    with pytest.raises(ModelError, match=rf"models\.m\.sha256 is {wrong}, but .*w\.safetensors .* has {digest}"):
        load(tmp_path, "w.safetensors", sha256=wrong)


def test_another_file_is_not_even_read_if_its_sha256_is_wrong(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ModelError, match=r"models\.m\.sha256 is 0{8}"):
        load(tmp_path, "w.pth", sha256="0" * 8)


@pytest.mark.parametrize("sha256", ["1234567", "g" * 64, "0" * 65])
def test_what_is_no_sha256_is_an_error(tmp_path, weights, sha256):
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"models\.m\.sha256: .* is no SHA-256, nor its first 8 or more digits"):
        load(tmp_path, "w.safetensors", sha256=sha256)


@pytest.mark.parametrize("md5", ["12345", "g" * 32, "0" * 33])
def test_what_is_no_md5_is_an_error(tmp_path, weights, md5):
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"models\.m\.md5: .* is no MD5, nor its first 6 or more digits"):
        load(tmp_path, "w.safetensors", md5=md5)


@pytest.mark.parametrize("file", ["../w.pth", "inner/../../w.pth", "/w.pth", "package:../w.pth", "package:/etc/w.pth"])
def test_a_path_out_of_its_folder_is_an_error(tmp_path, file):
    (tmp_path / "w.pth").write_bytes(b"x")
    folder = tmp_path / "inner"
    folder.mkdir()
    with pytest.raises(ModelError, match=rf"models\.m\.checkpoint: {file} lies outside "):
        load(folder, file)


def test_links_and_folders_below_the_root_may_be_named(tmp_path, weights):
    (tmp_path / "store").mkdir()
    (tmp_path / "root" / "vits").mkdir(parents=True)
    save_file(weights, tmp_path / "store" / "w.safetensors")
    (tmp_path / "root" / "vits" / "w.safetensors").symlink_to(tmp_path / "store" / "w.safetensors")
    assert load(tmp_path / "root", "absent/../vits/w.safetensors").provenance["checkpoint"] == "w.safetensors"


def test_weights_of_the_package_are_found_in_the_package():
    path = checkpoint_path("m", {"checkpoint": "package:small.safetensors"}, Path("elsewhere"))
    assert path == Path(patchprobe.__file__).parent / "weights" / "small.safetensors"


@pytest.mark.parametrize("method", ["timm", "dino", "vitmae"])
@pytest.mark.parametrize("size", [(96, 224), (160, 160)])
def test_the_provenance_says_what_became_of_the_position_embedding(tmp_path, weights, method, size):
    save_file(weights, tmp_path / "w.safetensors")
    model = load(tmp_path, "w.safetensors", input_size=size, position_embedding=method)
    grid = [size[0] // 16, size[1] // 16]
    position = model.provenance["position_embedding"]
    assert position == {"method": method, "applied": grid != [10, 10], "checkpoint_grid": [10, 10], "grid": grid}
    assert (model.input_size, model.provenance["input_size"]) == (size, list(size))
    stored, used = weights["pos_embed"], model.module.pos_embed
    if grid == [10, 10]:
        assert torch.equal(used, stored)
        return
    planes = stored[:, 1:].reshape(1, 10, 10, 64).permute(0, 3, 1, 2)
    options = {
        "timm": {"size": grid, "antialias": True},
        "dino": {"scale_factor": ((grid[0] + 0.1) / 10, (grid[1] + 0.1) / 10)},
        "vitmae": {"size": grid},
    }
    resized = F.interpolate(planes, mode="bicubic", align_corners=False, **options[method])
    torch.testing.assert_close(used[:, 1:], resized.flatten(2).transpose(1, 2), atol=1e-6, rtol=0)
    assert torch.equal(used[:, :1], stored[:, :1])


@pytest.fixture
def flexible(tmp_path, monkeypatch):
    """A file of a FlexiViT, and timm's hub serving it."""
    torch.manual_seed(0)
    weights = timm.create_model("flexivit_small", depth=1).state_dict()
    torch.save(weights, tmp_path / "w.pth")
    create = timm.create_model

    def published(architecture, pretrained=False, **kwargs):
        overlay = {"file": str(tmp_path / "w.pth")} if pretrained else None
        return create(architecture, pretrained=pretrained, pretrained_cfg_overlay=overlay, **kwargs)

    monkeypatch.setattr(timm, "create_model", published)
    return weights["pos_embed"]


def test_a_family_that_timm_resizes_as_it_loads_is_resized_so_from_the_hub(tmp_path, flexible):
    arguments = {"depth": 1}
    model = load(tmp_path, None, architecture="flexivit_small", input_size=(96, 128), arguments=arguments)
    planes = flexible.reshape(1, 15, 15, 384).permute(0, 3, 1, 2)
    resized = F.interpolate(planes, size=(6, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.module.pos_embed, resized.flatten(2).transpose(1, 2), atol=1e-6, rtol=0)
    assert model.provenance["position_embedding"]["applied"]


def test_a_file_of_such_a_family_keeps_its_size(tmp_path, flexible):
    entry = {"architecture": "flexivit_small", "arguments": {"depth": 1}}
    assert torch.equal(load(tmp_path, "w.pth", input_size=240, **entry).module.pos_embed, flexible)
    with pytest.raises(
        ModelError, match=r"models\.m\.input_size: a file of flexivit_small is only used at its own 240"
    ):
        load(tmp_path, "w.pth", input_size=224, **entry)


def test_a_computed_position_embedding_has_the_recipes_distance_or_needs_the_sensors(tmp_path, weights):
    save_file(weights, tmp_path / "w.safetensors")
    told = load(tmp_path, "w.safetensors", position_embedding="gsd").provenance["position_embedding"]
    assert told["ground_sample_distance"] == 1.0
    with pytest.raises(ModelError, match=r"models\.m\.ground_sample_distance is sensor, .* set datasets\.<name>"):
        load(tmp_path, "w.safetensors", position_embedding="gsd", ground_sample_distance="sensor")


def test_half_precision_weights_are_used_in_float32(tmp_path, weights):
    save_file({name: value.half() for name, value in weights.items()}, tmp_path / "w.safetensors")
    model = load(tmp_path, "w.safetensors", input_size=96)
    assert {value.dtype for value in model.module.state_dict().values()} == {torch.float32}


def test_a_hub_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    asked, slept = [], []

    class NoNetwork:
        def head(self, url, **options):
            asked.append(options)
            raise OSError("no network")

    monkeypatch.setattr(timm_source, "get_session", NoNetwork)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint is null and .* cannot be had from the hub"):
        load(tmp_path, None)
    assert asked == [{"timeout": 5}] and slept == []
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_without_network_the_remedy_is_named(tmp_path, monkeypatch):
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
