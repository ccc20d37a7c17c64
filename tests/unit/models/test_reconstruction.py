"""Encoding with masks, decoding with features zeroed, and the way from patches to images and back."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.decoders.mae import MAE, MAEDecoder
from patchprobe.models.decoders.masked_autoencoder import largest_mask
from patchprobe.models.decoders.reconstruction import (
    check_decoder_card,
    describe_autoencoder,
    load_autoencoder,
    open_autoencoder,
)
from patchprobe.models.decoders.simmim import SimMIM, SimMIMDecoder
from patchprobe.models.registered import registered_model

SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 3}
SIMMIM = {"use_abs_pos_emb": False, "use_shared_rel_pos_bias": True, "init_values": 0.1, "use_fc_norm": False}
SIZE = 64  # 4 x 4 patches


def encoder(size=SIZE, architecture="vit_base_patch16_224", **arguments):
    entry = {"source": "random", "architecture": architecture, "arguments": SMALL | arguments}
    return load_model("m", entry, checkpoint_root=None, input_size=size, device="cpu")


def decoder(**changes):
    return MAEDecoder(
        **{"features": 24, "width": 16, "depth": 1, "heads": 4, "patches": 16, "values": 768, "norm_eps": 1e-6}
        | changes
    )


def noisy(module):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(value.shape, generator=generator) for name, value in module.state_dict().items()}


def load_mae(folder, weights, size=SIZE):
    torch.save({"model": encoder().module.state_dict() | weights}, folder / "w.pth")
    entry = {"source": "timm", "architecture": "vit_base_patch16_224", "arguments": SMALL, "layout": "mae"}
    return load_model("m", entry | {"checkpoint": "w.pth"}, checkpoint_root=folder, input_size=size, device="cpu")


@pytest.fixture
def mae(tmp_path):
    return load_autoencoder(load_mae(tmp_path, noisy(decoder())), heads=4)


@pytest.fixture
def simmim():
    beit = encoder(architecture="beit_base_patch16_224", **SIMMIM)
    joined = SimMIMDecoder(24, 768)
    joined.load_state_dict(noisy(joined))
    return SimMIM(beit, joined)


@pytest.fixture
def images():
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def noise():
    return torch.rand(2, 16, generator=torch.Generator().manual_seed(2))


def test_the_decoder_of_a_file_is_joined_to_its_encoder(mae):
    assert isinstance(mae, MAE) and not mae.decoder.training
    weights = noisy(decoder())
    assert all(torch.equal(value, weights[name]) for name, value in mae.decoder.state_dict().items())


def test_without_masking_the_tokens_are_those_of_the_encoder_in_order(mae, images, noise):
    tokens = mae.encoder.tokens(images, [2])
    for encoded in (mae.encode(images), mae.encode(images, mask_ratio=0.0, noise=noise)):
        assert torch.equal(encoded.patch, tokens.patch[0]) and torch.equal(encoded.cls, tokens.cls[0])
        assert not encoded.mask.any()
        assert torch.equal(encoded.ids_restore, torch.arange(16).expand(2, -1))


def test_the_patches_of_lowest_noise_stay_and_nothing_of_the_others_is_seen(mae, images, noise):
    encoded = mae.encode(images, mask_ratio=0.75, noise=noise)
    lowest = [sorted(range(16), key=row.__getitem__)[:4] for row in noise.tolist()]
    assert encoded.patch.shape == (2, 4, 24)
    assert [set((~row).nonzero().flatten().tolist()) for row in encoded.mask] == [set(row) for row in lowest]
    hidden = encoded.mask.reshape(2, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    other = mae.encode(torch.where(hidden, 7.0, images), mask_ratio=0.75, noise=noise)
    assert torch.equal(other.patch, encoded.patch) and torch.equal(other.cls, encoded.cls)
    seen = mae.encode(torch.where(hidden, images, 7.0), mask_ratio=0.75, noise=noise)
    assert not torch.allclose(seen.patch, encoded.patch)


def test_hidden_places_get_the_mask_token_and_their_own_position(mae, images, noise):
    encoded = mae.encode(images, mask_ratio=0.5, noise=noise)
    entering = []
    hook = mae.decoder.decoder_blocks[0].register_forward_pre_hook(lambda _, given: entering.append(given[0]))
    mae.decode(encoded)
    hook.remove()
    placed = entering[0] - mae.decoder.decoder_pos_embed
    torch.testing.assert_close(placed[:, 1:][encoded.mask], mae.decoder.mask_token[0].expand(16, -1))
    embedded = mae.decoder.decoder_embed(encoded.patch)
    for image in range(2):
        for patch in range(16):
            if not encoded.mask[image, patch]:
                order = sorted(range(16), key=noise[image].tolist().__getitem__).index(patch)
                torch.testing.assert_close(placed[image, 1 + patch], embedded[image, order], rtol=0, atol=1e-5)


def test_an_encoding_leaves_the_encoder_as_it_was(mae, simmim, images, noise):
    before = mae.encoder.tokens(images, [1, 2]).patch
    mae.encode(images, mask_ratio=0.75, noise=noise)
    with pytest.raises(AssertionError):  # of timm, for the size
        mae.encode(images[:, :, :32], mask_ratio=0.75, noise=noise)
    assert torch.equal(mae.encoder.tokens(images, [1, 2]).patch, before)
    before = simmim.encoder.tokens(images, [2]).patch
    simmim.encode(images, mask=noise < 0.5)
    assert torch.equal(simmim.encoder.tokens(images, [2]).patch, before)


@pytest.mark.parametrize("patches", [2, 4, 16, 49, 64, 196, 256, 784])
def test_the_largest_mask_leaves_a_patch(patches):
    assert int(patches * (1 - largest_mask(patches))) >= 1 > patches * (0.998 - largest_mask(patches))


@pytest.mark.parametrize(
    ("ratio", "shape", "message"),
    [
        (1.0, (2, 16), "leaves none of 16 patches"),
        (0.99, (2, 16), "leaves none of 16 patches"),
        (-0.5, (2, 16), "leaves none of 16 patches"),
        (0.75, None, r"noise of shape \(2, 16\).*not none"),
        (0.75, (16,), r"noise of shape \(2, 16\).*not \(16,\)"),
    ],
)
def test_masking_that_makes_no_sense_is_refused(mae, images, ratio, shape, message):
    with pytest.raises(ValueError, match=message):
        mae.encode(images, mask_ratio=ratio, noise=None if shape is None else torch.zeros(shape))


def test_zeroed_features_are_zero_in_all_tokens_or_in_patches_alone(mae, images):
    encoded = mae.encode(images)
    given = []
    hook = mae.decoder.decoder_embed.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    for scope in ("all", "patch"):
        mae.decode(encoded, zeroed=[3, 20], scope=scope)
    hook.remove()
    others = [feature for feature in range(24) if feature not in (3, 20)]
    for sequence in given:
        assert not sequence[:, 1:, [3, 20]].any()
        assert torch.equal(sequence[:, 1:, others], encoded.patch[:, :, others])
    assert not given[0][:, 0, [3, 20]].any()
    assert torch.equal(given[1][:, 0], encoded.cls)
    assert encoded.patch[:, :, [3, 20]].all()  # what was encoded is left alone


def test_unknown_features_and_scopes_are_refused(mae, images):
    encoded = mae.encode(images)
    for feature in (24, -1):
        with pytest.raises(ValueError, match=f"feature {feature} cannot be zeroed: tokens have the features 0 to 23"):
            mae.decode(encoded, zeroed=[0, feature])
    with pytest.raises(ValueError, match="unknown scope 'patches'"):
        mae.decode(encoded, zeroed=[0], scope="patches")


def test_patches_and_images_turn_into_each_other_on_any_grid():
    images = torch.randn(2, 3, 32, 64)
    expected = F.unfold(images, 16, stride=16).mT  # values in order of channel, row, column
    joined = SimMIM(encoder([32, 64], "beit_base_patch16_224", **SIMMIM), SimMIMDecoder(24, 768))
    assert torch.equal(joined.patchify(images), expected)
    assert torch.equal(joined.unpatchify(expected), images)
    joined = MAE(encoder([32, 64]), decoder())
    expected = expected.reshape(2, 8, 3, 256).mT.flatten(2)  # row, column, channel
    assert torch.equal(joined.patchify(images), expected)
    assert torch.equal(joined.unpatchify(expected), images)


def test_normalised_targets_are_undone_patch_by_patch(mae, images):
    patches = mae.patchify(images * 3 + 5)
    normalised = torch.stack([(patch - patch.mean()) / (patch.var() + 1e-6).sqrt() for patch in patches.flatten(0, 1)])
    restored = mae.undo_target_normalisation(normalised.reshape(patches.shape), images * 3 + 5)
    torch.testing.assert_close(restored, patches, rtol=0, atol=1e-4)


def test_simmim_puts_the_mask_token_into_hidden_places(simmim, images):
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, [1, 7]] = True
    hidden = mask.reshape(2, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    encoded = simmim.encode(images, mask=mask)
    assert encoded.patch.shape == (2, 16, 24) and torch.equal(encoded.mask, mask)
    other = simmim.encode(torch.where(hidden, 7.0, images), mask=mask)
    assert torch.equal(other.patch, encoded.patch)
    whole = simmim.encode(images)
    assert torch.equal(whole.patch, simmim.encoder.tokens(images, [2]).patch[0])
    assert not torch.allclose(whole.patch[0], encoded.patch[0])


def test_simmims_decoder_is_one_linear_map_of_each_patch(simmim, images):
    encoded = simmim.encode(images)
    weight, bias = (simmim.decoder.state_dict()[f"decoder.0.{name}"] for name in ("weight", "bias"))
    expected = F.linear(encoded.patch, weight[:, :, 0, 0], bias)
    torch.testing.assert_close(simmim.decode(encoded), expected)
    assert torch.equal(
        simmim.decode(encoded, zeroed=[2], scope="all"), simmim.decode(encoded, zeroed=[2], scope="patch")
    )


@pytest.mark.parametrize("mask", [torch.zeros(2, 4, 4, dtype=torch.bool), torch.zeros(2, 16)])
def test_a_mask_of_another_shape_or_type_is_refused(simmim, images, mask):
    with pytest.raises(ValueError, match=r"a mask is bool \(2, 16\), not"):
        simmim.encode(images, mask=mask)


def test_a_file_without_decoder_is_named(tmp_path):
    alone = load_mae(tmp_path, {})
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: w\.pth has no decoder.*mae_visualize_vit_base\.pth"):
        load_autoencoder(alone)
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: the model has no decoder"):
        load_autoencoder(encoder())


def test_an_incomplete_decoder_is_an_error(tmp_path):
    weights = noisy(decoder(depth=2))
    del weights["decoder_blocks.1.mlp.fc1.bias"]
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .*1 missing: decoder_blocks\.1\.mlp\.fc1\.bias"):
        load_autoencoder(load_mae(tmp_path, weights), heads=4)
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: w\.pth has no decoder"):
        load_autoencoder(load_mae(tmp_path, {"mask_token": torch.zeros(1, 1, 16)}), heads=4)


def test_heads_have_to_divide_the_decoder(tmp_path):
    with pytest.raises(ModelError, match="3 attention heads do not divide the 16 features of the decoder"):
        load_autoencoder(load_mae(tmp_path, noisy(decoder())), heads=3)


def test_the_decoder_works_at_its_own_size_only(tmp_path):
    with pytest.raises(ModelError, match=r"models\.m\.input_size: the decoder was trained for 16 patches.*96 x 96 px"):
        load_autoencoder(load_mae(tmp_path, noisy(decoder()), size=96), heads=4)


ENTRY = {"checkpoint": None, "sha256": None, "heads": 4, "target": "pixels"}


def test_the_target_decides_how_a_prediction_becomes_an_image(tmp_path, images):
    """A prediction of zeros is the mean grey of the model's input, or the mean of each patch."""
    model = load_mae(tmp_path, noisy(decoder()))
    zeros = torch.zeros(2, 16, 768)
    plain = load_autoencoder(model, heads=4)
    assert torch.equal(plain.reconstruct(zeros, images), torch.zeros_like(images))
    undone = load_autoencoder(model, heads=4, target="normalised-patches")
    expected = F.interpolate(F.avg_pool2d(images.mean(dim=1, keepdim=True), 16), scale_factor=16)
    torch.testing.assert_close(undone.reconstruct(zeros, images), expected.expand_as(images))
    # The normalised patches of an image make the image.
    mean, std = undone.target_statistics(images)
    perfect = (undone.patchify(images) - mean) / std
    torch.testing.assert_close(undone.reconstruct(perfect, images), images)


def test_a_decoder_in_a_file_of_its_own_is_the_same(tmp_path, images):
    weights = noisy(decoder())
    within = open_autoencoder(load_mae(tmp_path, weights), ENTRY, tmp_path)
    save_file(weights, tmp_path / "d.safetensors")
    digest = hashlib.sha256((tmp_path / "d.safetensors").read_bytes()).hexdigest()
    apart = open_autoencoder(
        load_mae(tmp_path, {}), ENTRY | {"checkpoint": "d.safetensors", "sha256": digest}, tmp_path
    )
    pictures = [one.reconstruct(one.decode(one.encode(images)), images) for one in (within, apart)]
    assert torch.equal(*pictures)
    assert within.provenance["checkpoint"] == "w.pth" and apart.provenance["checkpoint_sha256"] == digest
    (tmp_path / "card.json").write_text(describe_autoencoder(apart))
    check_decoder_card(apart, tmp_path / "card.json")
    with pytest.raises(ModelError, match=r"models\.m\.decoder: w\.pth was replaced since it was inspected"):
        check_decoder_card(within, tmp_path / "card.json")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"checkpoint": "e.safetensors"}, r"models\.m\.decoder\.checkpoint: there is no file .*e\.safetensors"),
        ({"checkpoint": "../d.safetensors"}, r"models\.m\.decoder\.checkpoint: \.\./d\.safetensors lies outside"),
        ({"checkpoint": "d.safetensors", "sha256": "00000000"}, r"models\.m\.decoder\.sha256 is 00000000, but .* has"),
        (
            {"checkpoint": "d.safetensors", "heads": 3},
            r"decoder\.checkpoint: 3 attention heads.*set models\.m\.decoder\.heads",
        ),
        ({"checkpoint": "w.pth"}, r"decoder\.checkpoint: .*w\.pth is no flat dictionary of tensors.*model.*save those"),
        ({"checkpoint": "n.safetensors"}, r"decoder\.checkpoint: the decoder is incomplete"),
        ({}, r"models\.m\.checkpoint: w\.pth has no decoder.*or set models\.m\.decoder to null"),
    ],
)
def test_wrong_decoders_are_named_with_their_key(tmp_path, entry, message):
    save_file(noisy(decoder()), tmp_path / "d.safetensors")
    save_file({"norm.weight": torch.ones(3)}, tmp_path / "n.safetensors")
    with pytest.raises(ModelError, match=message):
        open_autoencoder(load_mae(tmp_path, {}), ENTRY | entry, tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("demo-mae", MAE), ("demo-simmim", SimMIM)])
def test_decoders_of_the_package_reconstruct(name, kind, tmp_path):
    """What the encoder did not see comes closer to the image than its mean colour, hidden patches and all."""
    entry = registered_model(name).entry
    model = load_model(name, entry, checkpoint_root=tmp_path, input_size=64, device="cpu")
    joined = open_autoencoder(model, entry["decoder"] | {"heads": entry["decoder"].get("heads", 16)}, tmp_path)
    assert isinstance(joined, kind) and joined.provenance["checkpoint_sha256"] == entry["decoder"]["sha256"]
    down, across = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    images = torch.stack([torch.where(down > 0.1, -0.6, 0.7), (0.8 * across).clamp(-1, 1)])[:, None].repeat(1, 3, 1, 1)
    with torch.inference_mode():
        encoded = joined.encode_hidden(images, 0.75, torch.rand(2, 64, generator=torch.Generator().manual_seed(0)))
        found = joined.reconstruct(joined.decode(encoded), images)
    flat = images.mean(dim=(2, 3), keepdim=True)
    assert (found - images).square().mean() < 0.5 * (flat - images).square().mean()
