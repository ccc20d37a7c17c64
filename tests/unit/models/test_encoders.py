"""Networks that timm does not have: found by name, built as any other, and a reason to compute anew when their code changes."""

import shutil
from pathlib import Path

import pytest
import timm
import torch
from torch.nn import functional as F

from patchprobe.config.inputs import model_modules
from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.encoding import encoder_module, own_encoders
from patchprobe.models.vit import build_vit
from patchprobe.run.preflight import _features
from patchprobe.run.provenance import Sources

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
OWN = own_encoders()
every_encoder = pytest.mark.parametrize("name", OWN)


def random(architecture, size=56, **arguments):
    entry = {"source": "random", "architecture": architecture, "arguments": {**SMALL, **arguments}}
    return load_model("m", entry, checkpoint_root=Path(), input_size=size, device="cpu")


def patch(name):
    return 14 if name == "capi_vit" else 16


def test_there_are_those_that_families_bring():
    assert {"capi_vit", "croco_v2_vit", "data2vec2_vit", "dofa_vit"} <= set(OWN)
    assert encoder_module("vit_base_patch16_224") is None


@every_encoder
def test_a_network_has_tokens_for_its_patches_at_any_size(name):
    side = patch(name)
    model = random(name, [2 * side, 5 * side])
    with torch.inference_mode():
        tokens = model.tokens(torch.randn(2, 3, 2 * side, 5 * side), [1, 2])
    assert model.grid == (2, 5) and tokens.patch.shape == (2, 2, 10, 48)
    assert (tokens.cls is not None) == model.has_cls == (name in ("data2vec2_vit", "dofa_vit"))
    assert model.registers == (16 if name == "capi_vit" else 0)
    assert model.provenance["architecture"] == name


@every_encoder
def test_each_image_is_seen_alone(name):
    model = random(name, 4 * patch(name))
    images = torch.randn(3, 3, *model.input_size)
    with torch.inference_mode():
        together = model.tokens(images, [2]).patch
        alone = torch.cat([model.tokens(image[None], [2]).patch for image in images], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["capi_vit", "croco_v2_vit"])
def test_rotary_tokens_know_where_they_are(name):
    """A picture of equal patches has equal tokens but for what positions do; and the attention sees rows and columns apart."""
    model = random(name, 3 * patch(name))
    for block in model.module.blocks:  # as strong as in a trained network
        block.attn.qkv.weight.mul_(20)
    with torch.inference_mode():
        same = model.tokens(torch.randn(1, 3, patch(name), patch(name)).repeat(1, 1, 3, 3), [1]).patch
        images = torch.randn(1, 3, *model.input_size)
        once = model.tokens(images, [2]).patch.unflatten(2, (3, 3))
        turned = model.tokens(images.transpose(2, 3), [2]).patch.unflatten(2, (3, 3))
    if name == "croco_v2_vit":  # without registers, equal values give equal sums
        torch.testing.assert_close(same, same[:, :, :1].expand_as(same), atol=1e-5, rtol=0)
    assert not torch.allclose(once, turned.transpose(2, 3), atol=1e-2)


@pytest.mark.parametrize("name", ["capi_vit", "croco_v2_vit"])
def test_angles_stay_in_single_precision_under_autocast(name):
    model = random(name, 32 * patch(name))
    attention = model.module.blocks[0].attn
    exact = attention.angles()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert all(torch.equal(one, other) for one, other in zip(attention.angles(), exact, strict=True))
        half = model.tokens(torch.randn(1, 3, *model.input_size, generator=torch.manual_seed(0)), [2]).patch
    with torch.inference_mode():
        full = model.tokens(torch.randn(1, 3, *model.input_size, generator=torch.manual_seed(0)), [2]).patch
    assert F.cosine_similarity(half.float(), full, dim=-1).min() > 0.99


def test_a_padded_kernel_sees_one_pixel_up_and_left():
    model = random("dofa_vit", 32)
    convolution = model.module.patch_embed.proj
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, 31], image[:, :, :, 31] = 1, 1  # the last row and column, which are not seen
    torch.testing.assert_close(convolution(image), convolution(torch.zeros_like(image)))
    image[0, 0, 15, 15] = 1
    moved = (convolution(image) - convolution(torch.zeros_like(image)))[0]
    torch.testing.assert_close(moved[:, 1, 1], convolution.weight[:, 0, 0, 0], atol=1e-6, rtol=0)
    assert not moved[:, 0, 0].any()


def test_blocks_that_norm_behind_their_sums_give_normed_tokens():
    model = random("data2vec2_vit", 32)
    with torch.inference_mode():
        tokens = model.tokens(100 * torch.randn(1, 3, 32, 32), [1, 2]).patch
    torch.testing.assert_close(tokens.std(-1, correction=0), torch.ones(2, 1, 4), atol=1e-3, rtol=0)
    assert model.provenance["token_norm"] == "none, the architecture has no norm behind its blocks"


def test_a_name_that_is_nearly_one_of_ours_is_named():
    with pytest.raises(ModelError, match=r"has no 'croco_v2_vitt'; did you mean croco_v2_vit\?"):
        build_vit("m", "croco_v2_vitt", (32, 32))


def test_their_arguments_are_checked_as_those_of_timm():
    with pytest.raises(ModelError, match=r"models\.m\.arguments\.depht: croco_v2_vit has no such argument"):
        build_vit("m", "croco_v2_vit", (32, 32), {"depht": 2})
    with pytest.raises(
        ModelError, match=r"models\.m\.input_size: 40 px is not a multiple of the 14 px patches of capi_vit"
    ):
        build_vit("m", "capi_vit", (40, 42))


def test_there_are_no_weights_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entry = {"source": "timm", "architecture": "croco_v2_vit", "arguments": SMALL}
    with pytest.raises(
        ModelError, match=r"models\.m\.checkpoint is null and the pretrained weights .* set models\.m\.checkp"
    ):
        load_model("m", entry, checkpoint_root=tmp_path, input_size=32, device="cpu")


@every_encoder
def test_timm_has_no_network_of_the_name(name):
    assert not any(
        name in models for module, models in timm.models._registry._module_to_models.items() if module != name
    )


@every_encoder
def test_features_are_known_before_the_run(name):
    assert _features({"source": "random", "architecture": name, "arguments": SMALL}) == 48


def test_a_changed_network_makes_the_jobs_of_its_models_stale_and_no_others(repository, tmp_path):
    config = {
        "models": {
            "mine": {"source": "timm", "layout": "capi", "architecture": "capi_vit"},
            "other": {"source": "timm", "layout": "mae", "architecture": "vit_base_patch16_224.mae"},
            "pixels": {"source": "pixels"},
        }
    }
    assert "patchprobe.models.encoders.capi_vit" in model_modules(config, "mine")
    shutil.copytree(repository / "src/patchprobe", tmp_path / "patchprobe")
    script = repository / "workflow/scripts/extract.py"

    def digests():
        return {name: Sources(tmp_path).digest(script, model_modules(config, name)) for name in config["models"]}

    before = digests()
    with (tmp_path / "patchprobe/models/encoders/capi_vit.py").open("a") as file:
        file.write("\nEDITED = True\n")
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"mine"}
