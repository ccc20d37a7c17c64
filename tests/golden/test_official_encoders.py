"""Tokens of released files, loaded through the public loader, against the outputs of the models' official code."""

import gc

import numpy as np
import pytest
import torch

from patchprobe.models.backbone import load_model

REDUCED = {"embed_dim": 48, "depth": 3, "num_heads": 3}
ENTRIES = {
    "torchvision_vit_b_16": {"architecture": "vit_base_patch16_224", "layout": "torchvision"},
    "dino_vitb16": {"architecture": "vit_base_patch16_224.dino", "layout": "dino"},
    "dinov2_vitb14": {"architecture": "vit_base_patch14_dinov2.lvd142m", "layout": "dinov2"},
    "dinov2_vitb14_reg": {"architecture": "vit_base_patch14_reg4_dinov2.lvd142m", "layout": "dinov2"},
    "ibot_vitb16": {"architecture": "vit_base_patch16_224", "layout": "ibot"},
    "mocov3_vitb16": {"architecture": "vit_base_patch16_224", "layout": "moco-v3"},
    "dinov3_vitb16": {"architecture": "vit_base_patch16_dinov3_qkvb", "layout": "dinov3"},
}
CASES = {
    "torchvision_vit_b_16": ["native", "lowvar"],
    "dino_vitb16": ["native", "lowvar", "rect_256x320", "small_112"],
    "dinov2_vitb14": ["img_224", "lowvar", "rect_196x266", "native_518"],
    "dinov2_vitb14_reg": ["img_224", "lowvar", "rect_196x266", "native_518"],
    "ibot_vitb16": ["native", "lowvar", "rect_256x320"],
    "mocov3_vitb16": ["native", "lowvar"],
    "dinov3_vitb16": ["native", "lowvar", "rect_256x320"],
}
DIGESTS = {
    "torchvision_vit_b_16": ["full_digest"],
    "dino_vitb16": ["full_digest", "full_digest_480"],
    "dinov2_vitb14": ["full_digest", "full_digest_518"],
    "dinov2_vitb14_reg": ["full_digest", "full_digest_518"],
    "ibot_vitb16": ["full_digest"],
    "mocov3_vitb16": ["full_digest"],
    "dinov3_vitb16": ["full_digest", "full_digest_rect"],
}
# other ways in which the same weights are released or saved: file, the case to compare with
VARIANTS = [
    ("torchvision_vit_b_16", "new_names", "native"),
    ("dino_vitb16", "full_checkpoint", "native"),
    ("ibot_vitb16", "full_checkpoint", "native"),
    ("dinov2_vitb14", "training_teacher_chunked", "img_224"),
    ("dinov2_vitb14_reg", "training_teacher_chunked", "img_224"),
]


def tensors(part):
    return {key: tensors(value) if isinstance(value, dict) else torch.from_numpy(value) for key, value in part.items()}


def write(fill, model, variant, size, path):
    torch.save(tensors(fill.checkpoint(fill.load_spec(model), variant, size)), path)


def load(model, path, size, **more):
    entry = {"source": "timm", "checkpoint": path.name, **ENTRIES[model], **more}
    return load_model(model, entry, checkpoint_root=path.parent, input_size=size, device="cpu")


def outputs(fill, model, case, path, **more):
    """The official outputs that a case has, by name, from one forward pass; and the backbone."""
    images = torch.from_numpy(fill.image(fill.load_spec(model)["cases"][case]))
    backbone = load(model, path, list(images.shape[2:]), **more)
    assert backbone.input_size == tuple(images.shape[2:])
    with torch.inference_mode():
        tokens = backbone.tokens(images, range(1, backbone.blocks + 1))
    patch, reg = tokens.patch.numpy(), tokens.registers
    found = {
        "patch": patch,
        "patch_last": patch[-1],
        "cls": tokens.cls.numpy(),
        "reg": None if reg is None else reg.numpy(),
        "patch_first8_dim32": patch[:, :, :8, :32],
        "patch_last8_dim32": patch[:, :, -8:, -32:],
        "patch_mean": patch.mean(axis=(2, 3), dtype=np.float64),
        "patch_std": patch.std(axis=(2, 3), dtype=np.float64, ddof=1),
    }
    return found, backbone


def check(golden, fill, compare, model, case, path, atol, label="", **more):
    expected = {
        name.removeprefix(f"{case}/"): value
        for name, value in np.load(golden / model / "cases.npz").items()
        if name.startswith(f"{case}/")
    }
    found, backbone = outputs(fill, model, case, path, **more)
    assert {"cls"} < expected.keys()
    for name, value in expected.items():
        if name == "pos_embed_used":
            # the embedding of [CLS] is part of the token where timm adds none to prefix tokens
            patches = backbone.grid[0] * backbone.grid[1]
            used = backbone.module.pos_embed[:, -patches:].numpy()
            compare(model, case + label, name, used, value[:, -patches:], atol)
            assert backbone.provenance["position_embedding"]["applied"]
        elif name != "logits":
            compare(model, case + label, name, found[name], value, atol)
    return backbone


@pytest.fixture(scope="module", params=ENTRIES)
def reduced(request, fill, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "file.pth"
    write(fill, request.param, "primary", "reduced", path)
    return request.param, path


@pytest.fixture(scope="module", params=ENTRIES)
def full(request, fill, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "file.pth"
    write(fill, request.param, "primary", "full", path)
    gc.collect()
    yield request.param, path
    path.unlink()


def test_tokens_of_every_block_equal_the_official_ones(golden, fill, compare, reduced):
    model, path = reduced
    atol = fill.load_spec(model)["tolerance"]["suggested_atol"]
    for case in CASES[model]:
        check(golden, fill, compare, model, case, path, atol, arguments=REDUCED)


def test_full_size_tokens_equal_the_official_ones(golden, fill, compare, full):
    model, path = full
    atol = fill.load_spec(model)["tolerance"]["suggested_atol_full"]
    for case in DIGESTS[model]:
        backbone = check(golden, fill, compare, model, case, path, atol)
        assert (backbone.features, backbone.blocks) == (768, 12)


@pytest.mark.parametrize(("model", "variant", "case"), VARIANTS)
def test_other_files_of_the_same_weights_give_the_same_tokens(golden, fill, compare, tmp_path, model, variant, case):
    path = tmp_path / "file.pth"
    write(fill, model, variant, "reduced", path)
    backbone = check(golden, fill, compare, model, case, path, 1e-5, f" ({variant})", arguments=REDUCED)
    left_out = {
        "dino_vitb16": ["student.module (50 tensors)", "teacher.head (8 tensors)"],
        "ibot_vitb16": ["student.module (53 tensors)", "teacher.head (10 tensors)"],
        "torchvision_vit_b_16": ["heads.head (2 tensors)"],
        "dinov2_vitb14": ["teacher.backbone.mask_token"],
        "dinov2_vitb14_reg": ["teacher.backbone.mask_token"],
    }
    assert backbone.provenance["left_out"] == left_out[model]


@pytest.mark.parametrize(("model", "variant"), [(model, variant) for model, variant, _ in VARIANTS])
def test_other_full_size_files_load_without_a_name_left_over(fill, tmp_path, model, variant):
    path = tmp_path / "file.pth"
    write(fill, model, variant, "full", path)
    backbone = load(model, path, 224)
    path.unlink()
    manifest = fill.load_spec(model)["manifests"]["full"]
    name = {"torchvision": "encoder.ln.weight"}.get(ENTRIES[model]["layout"], "norm.weight")
    expected = torch.from_numpy(fill.tensor(name, manifest[name]))
    assert torch.equal(backbone.module.norm.weight, expected)
    assert (backbone.features, backbone.blocks) == (768, 12)


def test_every_case_of_the_goldens_is_compared(fill):
    for model in ENTRIES:
        spec = fill.load_spec(model)
        assert {*CASES[model], *DIGESTS[model]} == spec["cases"].keys()
        compared = {"primary"} | {variant for name, variant, _ in VARIANTS if name == model}
        assert compared == spec["files"].keys()
