"""Tokens and reconstructions of masked image models, loaded through the public loader, against their official code."""

import gc

import numpy as np
import pytest
import torch
from official import class_token_at_zero, no_final_norm, tanh_gelu, wrong_eps
from torch.nn import functional as F

from patchprobe.analyses.reconstruction.reconstructing import reconstructed
from patchprobe.analyses.reconstruction.settings import Setting
from patchprobe.models.backbone import load_model
from patchprobe.models.decoders.reconstruction import load_autoencoder

REDUCED = {"embed_dim": 48, "depth": 3, "num_heads": 3}
SIMMIM = {
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": False,
    "use_shared_rel_pos_bias": True,
    "init_values": 0.1,
    "use_fc_norm": False,
    "global_pool": "",
}
SIMMIM_FT = {"use_abs_pos_emb": False, "use_rel_pos_bias": True, "init_values": 0.1}
MAE = {"architecture": "vit_base_patch16_224.mae", "layout": "mae"}
VITMAE = {"architecture": "vit_base_patch16_224", "layout": "hf-vitmae"}
ENTRIES = {
    "mae_vitb16": MAE,
    "hf_vitmae_base": VITMAE,
    "simmim_vitb16": {"architecture": "beit_base_patch16_224", "layout": "simmim", "arguments": SIMMIM},
    "simmim_vitb16_ft": {"architecture": "beit_base_patch16_224", "layout": "simmim-ft", "arguments": SIMMIM_FT},
}
TOKENS = {
    "mae_vitb16": ["native_nomask", "lowvar"],
    "hf_vitmae_base": ["native_nomask", "lowvar", "interp_128"],
    "simmim_vitb16": ["native_nomask", "lowvar"],
    "simmim_vitb16_ft": ["native"],
}
RECONSTRUCTIONS = {
    "mae_vitb16": ["native_nomask", "mask75", "zero_all", "zero_patch", "zero_all_mask75"],
    "hf_vitmae_base": ["native_nomask", "mask75", "zero_all"],
    "simmim_vitb16": ["native_nomask", "mask60", "zero_dims"],
}


def tensors(part):
    return {key: tensors(value) if isinstance(value, dict) else torch.from_numpy(value) for key, value in part.items()}


def load(fill, model, folder, image_size, *, size="reduced", variant="primary"):
    """Write the released file of a model and load it as a user does."""
    path = folder / f"{model}-{size}-{variant}.pth"
    if not path.exists():
        torch.save(tensors(fill.checkpoint(fill.load_spec(model), variant, size)), path)
    entry = {"source": "timm", "checkpoint": path.name, **ENTRIES[model]}
    if size == "reduced":
        entry["arguments"] = {**entry.get("arguments", {}), **REDUCED}
    return load_model(model, entry, checkpoint_root=folder, input_size=image_size, device="cpu")


def images_of(fill, model, case):
    return torch.from_numpy(fill.image(fill.load_spec(model)["cases"][case]))


def expected_of(golden, model, case):
    arrays = np.load(golden / model / "cases.npz")
    return {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith(f"{case}/")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture
def full_files(tmp_path):
    """A folder for files of hundreds of megabytes, emptied at once."""
    yield tmp_path
    for path in tmp_path.iterdir():
        path.unlink()
    gc.collect()


def outputs(backbone, images):
    with torch.inference_mode():
        tokens = backbone.tokens(images, range(1, backbone.blocks + 1))
    patch = tokens.patch.numpy()
    return {
        "cls": tokens.cls.numpy(),
        "patch": patch,
        "patch_first8_dim32": patch[:, :, :8, :32],
        "patch_last8_dim32": patch[:, :, -8:, -32:],
        "patch_mean": patch.mean(axis=(2, 3), dtype=np.float64),
        "patch_std": patch.std(axis=(2, 3), dtype=np.float64, ddof=1),
    }


@pytest.mark.parametrize(("model", "case"), [(model, case) for model in TOKENS for case in TOKENS[model]])
def test_tokens_of_every_block_equal_the_official_ones(golden, fill, compare, files, model, case):
    images, expected = images_of(fill, model, case), expected_of(golden, model, case)
    found = outputs(load(fill, model, files, images.shape[-1]), images)
    for name in ("cls", "patch"):
        compare(model, case, name, found[name], expected[name], 1e-5)


def test_the_encoder_alone_gives_the_same_tokens(golden, fill, compare, files):
    images, expected = (
        images_of(fill, "mae_vitb16", "native_nomask"),
        expected_of(golden, "mae_vitb16", "native_nomask"),
    )
    backbone = load(fill, "mae_vitb16", files, 96, variant="encoder_only")
    found = outputs(backbone, images)
    for name in ("cls", "patch"):
        compare("mae_vitb16", "native_nomask (encoder_only)", name, found[name], expected[name], 1e-5)
    assert backbone.decoder_weights == {}


def test_a_fine_tuned_simmim_norms_only_the_mean_of_its_tokens(golden, fill, compare, files):
    model = "simmim_vitb16_ft"
    expected = expected_of(golden, model, "native")
    backbone = load(fill, model, files, 96)
    images = images_of(fill, model, "native")
    with torch.inference_mode():
        patch = backbone.tokens(images, [1, 2, 3]).patch
        normed = backbone.module.fc_norm(patch)
        feat = backbone.module.forward_head(backbone.module.forward_features(images), pre_logits=True)
    head = fill.checkpoint(fill.load_spec(model), "primary", "reduced")["model"]
    logits = F.linear(feat, torch.from_numpy(head["head.weight"]), torch.from_numpy(head["head.bias"]))
    found = {"patch_fc_norm": normed, "feat": feat, "logits": logits}
    for name, value in found.items():
        compare(model, "native", name, value, expected[name], 1e-5)


def encode(autoencoder, images, expected):
    """Encode with the masking of a case; returns it with the normed tokens of every block."""
    vit = autoencoder.encoder.module
    blocks = []
    hooks = [block.register_forward_hook(lambda _, __, out: blocks.append(vit.norm(out))) for block in vit.blocks]
    if "noise" in expected:
        masking = {"noise": torch.from_numpy(expected["noise"]), "mask_ratio": 0.75}
    elif "mask" in expected:
        masking = {"mask": torch.from_numpy(expected["mask"]).flatten(1).bool()}
    else:
        masking = {}
    encoded = autoencoder.encode(images, **masking)
    for hook in hooks:
        hook.remove()
    blocks = torch.stack(blocks)
    assert torch.equal(blocks[-1], torch.cat([encoded.cls[:, None], encoded.patch], dim=1))
    return encoded, blocks


@pytest.mark.parametrize(
    ("model", "case"), [(model, case) for model in RECONSTRUCTIONS for case in RECONSTRUCTIONS[model]]
)
def test_reconstructions_equal_the_official_ones(golden, fill, compare, files, model, case):
    what = fill.load_spec(model)["cases"][case]
    images, expected = images_of(fill, model, case), expected_of(golden, model, case)
    masked = expected
    if what.get("mask_ratio") and "noise" not in expected:
        masked = expected_of(golden, model, "mask75")
    scope = "patch" if what.get("zero_tokens", "").startswith("patch") else "all"
    autoencoder = load_autoencoder(load(fill, model, files, 96), heads=4)
    with torch.inference_mode():
        encoded, blocks = encode(autoencoder, images, masked)
        predicted = autoencoder.decode(encoded, zeroed=what.get("zero_dims", ()), scope=scope)
        recon = autoencoder.unpatchify(predicted)
    found = {
        "cls": blocks[:, :, 0],
        "patch": blocks[:, :, 1:],
        "pred": predicted,
        "recon": recon,
        "mask": encoded.mask.reshape(expected["mask"].shape) if "mask" in expected else None,
        "ids_restore": encoded.ids_restore,
        "ids_shuffle": encoded.ids_restore.argsort(dim=1),
    }
    if model == "simmim_vitb16" and "mask" in expected:
        hidden = F.interpolate(found["mask"][:, None].float(), scale_factor=16)
        found["loss"] = ((images - recon).abs() * hidden).sum() / (hidden.sum() + 1e-5) / 3
    elif "loss" in expected:
        target = autoencoder.patchify(images)
        mean, std = autoencoder.target_statistics(images)
        found["loss"] = (predicted - target).square().mean(-1)[encoded.mask].mean()
        found["loss_norm_pix"] = (predicted - (target - mean) / std).square().mean(-1)[encoded.mask].mean()
    for name in expected.keys() - {"noise"}:
        compare(model, f"{case} (decoder)", name, found[name], expected[name], 1e-5)


@pytest.mark.parametrize(
    ("model", "case"), [(model, case) for model in RECONSTRUCTIONS for case in RECONSTRUCTIONS[model]]
)
def test_the_analysis_reconstructs_as_the_official_code(golden, fill, compare, files, model, case):
    """With nothing zeroed and nothing masked, and with both."""
    what = fill.load_spec(model)["cases"][case]
    images, expected = images_of(fill, model, case), expected_of(golden, model, case)
    autoencoder = load_autoencoder(load(fill, model, files, 96), heads=4)
    noise = torch.rand(len(images), autoencoder.patches)
    share = 0.0
    if what.get("mask_ratio"):
        noise = torch.from_numpy((expected if "noise" in expected else expected_of(golden, model, "mask75"))["noise"])
        share = what["mask_ratio"]
    elif "mask" in expected:
        # Hidden are those of the highest noise.
        noise = torch.from_numpy(expected["mask"]).flatten(1).double()
        (share,) = noise.mean(dim=1).unique().tolist()
    setting = Setting("", np.asarray(what.get("zero_dims", ()), np.int64))
    scope = "patch" if what.get("zero_tokens", "").startswith("patch") else "all"
    with torch.inference_mode():
        encoded = autoencoder.encode_hidden(images, share, noise)
        found = reconstructed(autoencoder, images, encoded, setting, scope=scope)
    compare(model, f"{case} (analysis)", "recon", found, expected["recon"], 1e-5)


def without_biases_of_positions(module):
    found = [value for name, value in module.named_parameters() if name.endswith("relative_position_bias_table")]
    assert found
    with torch.no_grad():
        for table in found:
            table.zero_()


COMMON = {"gelu": tanh_gelu, "no final norm": no_final_norm, "no class token": class_token_at_zero}
MISTAKES = {
    "mae_vitb16": {**COMMON, "eps": wrong_eps(1e-5)},
    "hf_vitmae_base": {**COMMON, "eps": wrong_eps(1e-6)},
    "simmim_vitb16": {**COMMON, "eps": wrong_eps(1e-5), "no position biases": without_biases_of_positions},
    "simmim_vitb16_ft": {
        "gelu": tanh_gelu,
        "eps": wrong_eps(1e-5),
        "no position biases": without_biases_of_positions,
    },
}


@pytest.mark.parametrize(("model", "mistake"), [(model, mistake) for model in MISTAKES for mistake in MISTAKES[model]])
def test_a_mistake_moves_the_tokens_by_more_than_the_tolerance(golden, fill, mistaken, files, model, mistake):
    case = "lowvar" if "lowvar" in TOKENS[model] else "native"
    images, expected = images_of(fill, model, case), expected_of(golden, model, case)
    backbone = load(fill, model, files, images.shape[-1])
    MISTAKES[model][mistake](backbone.module)
    found = outputs(backbone, images)
    moved = max(float(np.abs(found[name] - expected[name]).max()) for name in ("cls", "patch"))
    mistaken(model, mistake, moved, 1e-5)


@pytest.mark.parametrize("model", RECONSTRUCTIONS)
def test_full_size_tokens_and_reconstructions_equal_the_official_ones(golden, fill, compare, full_files, model):
    images, expected = images_of(fill, model, "full_digest"), expected_of(golden, model, "full_digest")
    backbone = load(fill, model, full_files, 224, size="full")
    autoencoder = load_autoencoder(backbone)
    found = outputs(backbone, images)
    with torch.inference_mode():
        recon = autoencoder.unpatchify(autoencoder.decode(autoencoder.encode(images)))
    found["recon_64x64"] = recon[:, :, 80:144, 80:144]
    found["recon_mean"], found["recon_std"] = recon.mean(dim=(2, 3)), recon.std(dim=(2, 3))
    for name, value in expected.items():
        compare(model, "full_digest", name, found[name], value, 2e-5)


@pytest.mark.parametrize(
    ("model", "variant", "features"), [("mae_vitb16", "encoder_only", 768), ("simmim_vitb16_ft", "primary", 768)]
)
def test_the_other_full_size_files_load_without_a_name_left_over(fill, full_files, model, variant, features):
    backbone = load(fill, model, full_files, 224, size="full", variant=variant)
    assert (backbone.features, backbone.blocks) == (features, 12)


def test_every_case_of_the_goldens_is_compared(fill):
    for model in ENTRIES:
        spec = fill.load_spec(model)
        compared = {
            *TOKENS[model],
            *RECONSTRUCTIONS.get(model, ()),
            *(["full_digest"] if model in RECONSTRUCTIONS else []),
        }
        assert compared == spec["cases"].keys()
        assert spec["files"].keys() == ({"primary", "encoder_only"} if model == "mae_vitb16" else {"primary"})
