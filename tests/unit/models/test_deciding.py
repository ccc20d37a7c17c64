"""What no tensor tells: grids of positions, heads, normalisation, and which of several sets of weights is meant."""

import pytest
import timm
import torch
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model

IMAGENET = (0.485, 0.456, 0.406)
SMALL = {"depth": 2}


def built(architecture="vit_tiny_patch16_224", **more):
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=0, **SMALL, **more).eval()
    if getattr(model, "pos_embed", None) is not None:
        torch.nn.init.normal_(model.pos_embed)
    return model


def load(folder, file, size=224, architecture="vit_tiny_patch16_224", **entry):
    torch.save(file, folder / "w.pth")
    entry = {"source": "timm", "architecture": architecture, "arguments": SMALL, "checkpoint": "w.pth"} | entry
    return load_model("m", entry, checkpoint_root=folder, input_size=size, device="cpu")


def prefixed(weights, prefix):
    return {f"{prefix}{name}": value for name, value in weights.items()}


def same_tokens(loaded, official, rows, columns):
    images = torch.randn(2, 3, rows, columns)
    with torch.no_grad():
        expected = official.forward_features(images)[:, official.num_prefix_tokens :]
        torch.testing.assert_close(loaded.tokens(images, [loaded.blocks]).patch[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(128, 288), (64, 400), (160, 96)])  # 8 x 18, 4 x 25, 10 x 6
def test_a_network_of_rectangles_is_itself_at_its_own_size(tmp_path, size):
    official = built(img_size=size)
    loaded = load(tmp_path, official.state_dict(), size)
    assert not loaded.provenance["position_embedding"]["applied"]
    same_tokens(loaded, official, *size)


def test_a_square_number_taken_for_a_rectangle_is_named(tmp_path, capsys):
    load(tmp_path, built(img_size=(128, 288)).state_dict(), (128, 288))
    assert (
        "taken for the 8 x 18 patches of the input; if the network was trained on 12 x 12, set"
        in capsys.readouterr().err
    )


def test_the_grid_of_the_key_is_interpolated_from(tmp_path):
    weights = built(img_size=(128, 288)).state_dict()
    loaded = load(tmp_path, weights, 192, position_grid=[8, 18], position_embedding="vitmae")
    planes = weights["pos_embed"][:, 1:].reshape(1, 8, 18, 192).permute(0, 3, 1, 2)
    resized = F.interpolate(planes, size=(12, 12), mode="bicubic").flatten(2).transpose(1, 2)
    torch.testing.assert_close(loaded.module.pos_embed[:, 1:], resized, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("trained", "asked", "entry", "message"),
    [
        ((128, 288), 224, {}, r"models\.m\.position_grid is missing: .* 12 x 12 or a rectangle such as 9 x 16"),
        ((112, 448), (112, 448), {}, r"models\.m\.position_grid is missing: .* \[14, 14\] or \[7, 28\]"),
        ((128, 288), (128, 288), {"layout": "dino"}, r"models\.m\.position_grid is missing: .* \[8, 18\]"),
        ((64, 400), 224, {"position_grid": [4, 24]}, r"models\.m\.position_grid: 4 x 24 are 96 positions, but .* 101"),
        ((160, 96), 224, {}, r"pos_embed has 61 positions, .* set models\.m\.position_grid .* such as \[6, 10\]"),
    ],
)
def test_a_grid_that_cannot_be_known_is_asked_for(tmp_path, trained, asked, entry, message):
    with pytest.raises(ModelError, match=message):
        load(tmp_path, built(img_size=trained).state_dict(), asked, **entry)


def test_squares_that_nothing_else_can_be_need_no_key(tmp_path):
    for side, layout in ((176, "timm"), (192, "dino"), (224, "timm")):  # 11 x 11; known by DINO's code; timm's own
        assert load(tmp_path, built(img_size=side).state_dict(), 256, layout=layout).grid == (16, 16)


@pytest.mark.parametrize(
    ("layout", "wrap"),
    [
        ("dino", lambda weights: weights),
        ("ibot", lambda weights: {"state_dict": weights}),
        ("mae", lambda weights: {"model": prefixed(weights, "module.")}),
    ],
)
def test_a_layout_decides_the_normalisation(tmp_path, layout, wrap):
    weights = built().state_dict()
    assert load(tmp_path, wrap(weights), layout=layout).mean == IMAGENET
    assert load(tmp_path, wrap(weights), layout=layout, mean=[0.5, 0.4, 0.3]).mean == (0.5, 0.4, 0.3)
    assert load(tmp_path, weights).mean == (0.5, 0.5, 0.5)


def test_mocos_small_vit_has_its_twelve_heads(tmp_path):
    official = built("vit_small_patch16_224", num_heads=12)
    file = {"state_dict": prefixed(official.state_dict(), "module.base_encoder.")}
    loaded = load(tmp_path, file, architecture="vit_small_patch16_224", layout="moco-v3")
    assert loaded.provenance["arguments"]["num_heads"] == 12
    same_tokens(loaded, official, 224, 224)


def test_a_number_of_heads_that_nothing_tells_is_asked_for(tmp_path):
    weights = built(embed_dim=384, num_heads=6).state_dict()
    wide = {"arguments": SMALL | {"embed_dim": 384}}
    with pytest.raises(ModelError, match=r"models\.m\.arguments\.num_heads is missing: with embed_dim 384"):
        load(tmp_path, weights, **wide)
    assert load(tmp_path, weights, layout="dino", **wide).module.blocks[0].attn.num_heads == 6
    file = {"state_dict": prefixed(built().state_dict(), "module.base_encoder.")}
    with pytest.raises(ModelError, match=r"models\.m\.arguments\.num_heads is missing: the code of MoCo v3 has no"):
        load(tmp_path, file, layout="moco-v3")


@pytest.mark.parametrize("wrapper", ["", "module."])
def test_the_average_of_timms_training_is_taken_and_said(tmp_path, capsys, wrapper):
    raw = built().state_dict()
    average = {name: value + 1 for name, value in raw.items()}
    file = {"arch": "vit", "state_dict": prefixed(raw, wrapper), "state_dict_ema": prefixed(average, wrapper)}
    loaded = load(tmp_path, file)
    assert torch.equal(loaded.module.norm.bias, average["norm.bias"])
    assert loaded.provenance["weights_taken"] == "state_dict_ema."
    assert "state_dict_ema. is taken, not state_dict." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layout", "names"),
    [("mae", ["model", "model_ema"]), ("ibot", ["state_dict", "ema"]), ("timm", ["encoder", "target"])],
)
def test_several_sets_of_weights_are_named_and_refused(tmp_path, layout, names):
    weights = built().state_dict()
    with pytest.raises(ModelError) as error:
        load(tmp_path, dict.fromkeys(names, weights), layout=layout)
    assert "laid out like" not in str(error.value)
    assert f"several sets of weights ({names[0]}., {names[1]}.): save the one that you mean" in str(error.value)
    assert "w.pth" in str(error.value)


@pytest.mark.parametrize("wrapper", ["module._orig_mod.", "net.", "model.backbone.", "image_encoder.trunk."])
def test_wrappers_are_taken_away_and_what_is_beside_is_named(tmp_path, wrapper):
    official = built()
    loaded = load(tmp_path, prefixed(official.state_dict(), wrapper) | {"head.weight": torch.zeros(3, 192)})
    assert loaded.provenance["left_out"] == ["head.weight"]
    same_tokens(loaded, official, 224, 224)


def test_wrappers_of_single_blocks_are_taken_away(tmp_path):
    weights = built().state_dict()
    file = {name.replace("blocks.1.", "blocks.1._checkpoint_wrapped_module."): value for name, value in weights.items()}
    assert torch.equal(load(tmp_path, file).module.blocks[1].norm1.weight, weights["blocks.1.norm1.weight"])


def test_a_name_that_tells_weights_apart_is_no_wrapper(tmp_path):
    with pytest.raises(ModelError, match=r"Its weights lie under student\.: save them alone, without this prefix"):
        load(tmp_path, prefixed(built().state_dict(), "student."))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"init_values": "1e-4"},
            r"init_values: '1e-4' is text, but it takes a number or null; write it without quotes: 0\.0001",
        ),
        ({"depth": "2"}, r"depth: '2' is text, but it takes a whole number; write it without quotes: 2"),
        ({"qkv_bias": "no"}, r"qkv_bias: 'no' is text, but it takes true or false; write it without quotes"),
        ({"depth": 2, "num_heads": 7}, r"num_heads: timm cannot build .* with num_heads: 7 \(dim should be divisible"),
        ({"global_pool": "mean"}, r"global_pool: 'mean' is text, but it takes one of '', 'avg'"),
        ({"act_layer": "gellu"}, r"act_layer: timm cannot build .* with act_layer: 'gellu'"),
        ({"depth": 0}, r"depth: 0 is not positive"),
    ],
)
def test_a_wrong_argument_is_named_and_not_the_architecture(tmp_path, arguments, message):
    with pytest.raises(ModelError, match=rf"^models\.m\.arguments\.{message}"):
        load(tmp_path, built().state_dict(), arguments=arguments)


def test_arguments_that_make_another_size_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"but models\.m\.arguments \(depth: 3\) make .* correct the arguments"):
        load(tmp_path, built().state_dict(), arguments={"depth": 3})
