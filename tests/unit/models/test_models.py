"""Building models from config entries: sources, ViT structure, controls."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from patchprobe.errors import ConfigError, DeviceError, ModelError
from patchprobe.models.backbone import load_model


def load(entry, tmp_path=Path(), input_size=160, **kwargs):
    return load_model("m", entry, checkpoint_root=tmp_path, input_size=input_size, device="cpu", **kwargs)


def random(architecture, seed=0, **kwargs):
    return load({"source": "random", "architecture": architecture, "seed": seed}, **kwargs)


def images(size=160, batch=2):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_an_unknown_source_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigError, match=r"models\.m\.source: unknown source 'tim'; did you mean timm\?"):
        load({"source": "tim"})


def test_cuda_without_a_usable_gpu_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    with pytest.raises(DeviceError, match="set device: cpu"):
        load_model("m", {"source": "pixels"}, checkpoint_root=Path(), input_size=32, device="cuda")


def test_an_unknown_architecture_is_an_error_that_names_the_nearest():
    with pytest.raises(ModelError, match=r"models\.m\.architecture: .*'vit_tiny_patch16_225'.*vit_tiny_patch16_224"):
        random("vit_tiny_patch16_225")


def test_an_unknown_pretrained_tag_is_an_error_that_names_the_nearest():
    with pytest.raises(ModelError, match=r"did you mean .*vit_tiny_patch16_224\.augreg_in21k"):
        random("vit_tiny_patch16_224.augreg_in21")


@pytest.mark.parametrize(
    "architecture", ["resnet18", "swin_tiny_patch4_window7_224", "tnt_s_patch16_224", "cait_xxs24_224"]
)
def test_a_network_without_a_patch_token_sequence_is_refused(architecture):
    with pytest.raises(ModelError, match=rf"{architecture} is not a plain ViT"):
        random(architecture, input_size=224)


def test_an_input_size_that_patches_do_not_divide_is_refused():
    with pytest.raises(ModelError, match=r"models\.m\.input_size: 150 px .* use 144 or 160"):
        random("test_vit", input_size=150)


def test_the_entry_input_size_goes_before_the_tile_size():
    model = load({"source": "random", "architecture": "test_vit", "seed": 0, "input_size": 96}, input_size=160)
    assert (model.input_size, model.grid) == ((96, 96), (6, 6))


def test_arguments_are_those_of_timm():
    arguments = {"embed_dim": 48, "depth": 2, "num_heads": 3}
    model = load({"source": "random", "architecture": "test_vit", "arguments": arguments})
    assert (model.features, model.blocks) == (48, 2)
    assert model.provenance["arguments"] == arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_dimm": 48}, r"embed_dimm: test_vit has no such argument; did you mean embed_dim\?"),
        ({"use_rel_pos_bias": True}, "use_rel_pos_bias: test_vit has no such argument; it takes "),
        ({"img_size": 48}, "img_size: set models.m.input_size instead"),
        ({"num_classes": 0}, "num_classes: remove it"),
        ({"norm_layer": ["LayerNorm"]}, "norm_layer: .* is neither a number, a text"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ModelError, match=rf"models\.m\.arguments\.{message}"):
        load({"source": "random", "architecture": "test_vit", "arguments": arguments})


def test_arguments_that_timm_cannot_build_are_an_error():
    with pytest.raises(
        ModelError, match=r"models\.m\.arguments\.num_heads: timm cannot build test_vit with num_heads: 5"
    ):
        load({"source": "random", "architecture": "test_vit", "arguments": {"num_heads": 5}})


def test_rectangular_inputs_have_rows_and_columns():
    model = load({"source": "random", "architecture": "test_vit", "input_size": [96, 160]})
    assert (model.input_size, model.grid) == ((96, 160), (6, 10))
    tokens = model.tokens(torch.zeros(1, 3, 96, 160), [1])
    assert tokens.patch.shape == (1, 1, 60, 64)
    pixels = load({"source": "pixels", "patch_size": 4, "input_size": [8, 12]})
    assert pixels.grid == (2, 3)


@pytest.mark.parametrize(
    ("architecture", "has_cls", "registers"),
    [
        ("test_vit", True, 0),
        ("test_vit2", False, 1),
        ("vit_small_patch14_reg4_dinov2", True, 4),
        ("deit_tiny_distilled_patch16_224", True, 1),
        ("vit_relpos_small_patch16_224", False, 0),
        ("eva02_tiny_patch14_224", True, 0),
    ],
)
def test_patch_cls_and_register_tokens_are_kept_apart(architecture, has_cls, registers):
    size = 112
    model = random(architecture, input_size=size)
    with torch.inference_mode():
        tokens = model.tokens(images(size), [1, model.blocks])
        sequence = model.module.forward_features(images(size))
    n = model.grid[0] * model.grid[1]
    assert (model.has_cls, model.registers) == (has_cls, registers)
    assert tokens.patch.shape == (2, 2, n, model.features)
    # the sequence is [CLS], the other prefix tokens, the patches in row-major order
    assert torch.equal(tokens.patch[1], sequence[:, has_cls + registers :])
    if has_cls:
        assert torch.equal(tokens.cls[1], sequence[:, 0])
    else:
        assert tokens.cls is None
    if registers:
        assert torch.equal(tokens.registers[1], sequence[:, int(has_cls) : has_cls + registers])
    else:
        assert tokens.registers is None


@pytest.mark.parametrize("norm", ["final", "parameter-free", "none"])
def test_each_block_is_read_with_the_norm_asked_for(norm):
    model = random("test_vit", norm=norm)
    raw = []
    hooks = [block.register_forward_hook(lambda _m, _i, out: raw.append(out)) for block in model.module.blocks]
    with torch.inference_mode():
        tokens = model.tokens(images(), range(1, 7))
        for hook in hooks:
            hook.remove()
        final = model.module.forward_features(images())
    assert len(raw) == 6  # each block ran once: one forward pass gives all layers
    assert torch.equal(tokens.patch[5], final[:, 1:])
    assert torch.equal(tokens.cls[5], final[:, 0])
    for block in range(5):
        x = raw[block].double()
        if norm != "none":
            eps = model.module.norm.eps
            x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
        if norm == "final":
            x = x * model.module.norm.weight + model.module.norm.bias
        torch.testing.assert_close(tokens.patch[block].double(), x[:, 1:], atol=1e-5, rtol=0)
        torch.testing.assert_close(tokens.cls[block].double(), x[:, 0], atol=1e-5, rtol=0)


def test_blocks_after_the_last_one_asked_for_are_not_run():
    model = random("test_vit")
    ran = []
    model.module.blocks[3].register_forward_hook(lambda *_: ran.append(3))
    with torch.inference_mode():
        model.tokens(images(), [2, 3])
    assert ran == []


def test_an_architecture_without_token_norm_says_so_in_its_provenance():
    assert random("test_vit2").provenance["token_norm"] == "none, the architecture norms only its pooled vector"
    assert random("test_vit").provenance["token_norm"] == "final"


def test_random_weights_depend_on_the_seed_alone_and_leave_the_generator_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = random("test_vit", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    np.random.seed(99)
    again, other = random("test_vit", seed=3), random("test_vit", seed=4)
    digest = first.provenance["weights_sha256"]
    assert again.provenance["weights_sha256"] == digest != other.provenance["weights_sha256"]
    for name, value in first.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name])


def test_normalisation_is_the_architectures_unless_the_entry_names_one():
    assert random("vit_tiny_patch16_224", input_size=32).mean == (0.5, 0.5, 0.5)
    entry = {"source": "random", "architecture": "test_vit", "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}
    model = load(entry)
    assert (model.mean, model.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert model.provenance["mean"] == [0.1, 0.2, 0.3]


def test_provenance_names_the_libraries():
    versions = random("test_vit").provenance["versions"]
    assert versions == {"timm": timm.__version__, "torch": torch.__version__}


def test_pixel_tokens_are_the_pixels_of_each_patch():
    model = load({"source": "pixels", "patch_size": 4}, input_size=12)
    assert (model.grid, model.features, model.blocks, model.has_cls) == ((3, 3), 48, 1, False)
    batch = images(12)
    tokens = model.tokens(batch, [1])
    assert tokens.cls is None and tokens.registers is None
    for row in range(3):
        for column in range(3):
            patch = batch[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.equal(tokens.patch[0, :, 3 * row + column], patch.reshape(2, 48))


def test_pixel_patches_that_do_not_divide_the_image_are_refused():
    with pytest.raises(ModelError, match=r"models\.m\.patch_size: patches of 5 px do not divide images of 12 x 12 px"):
        load({"source": "pixels", "patch_size": 5}, input_size=12)
