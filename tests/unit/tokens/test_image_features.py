"""Whole images at several sizes: settings, pooled features against a plain loop, moments against numpy, interruptions."""

import json
import logging

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from patchprobe.errors import ModelError, StoreError
from patchprobe.models.backbone import describe_model, load_model
from patchprobe.models.gsd import gsd_position_embedding
from patchprobe.stores.file_list import read_manifest
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tiles.full_images import read_card
from patchprobe.tokens.image_features import extract_image_features
from patchprobe.tokens.image_places import extract_image_places
from patchprobe.tokens.image_settings import describe_settings, load_at, read_image_card, side_of
from patchprobe.tokens.places import read_image_places
from patchprobe.tokens.pooled import read_moments

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3}
RANDOM = {"source": "random", "architecture": "vit_tiny_patch16_224", "seed": 0, "arguments": SMALL}
PIXELS = {"source": "pixels", "patch_size": 16}
NOTHING_TOLD = [{"relative_size": size, "told": "", "metres": None} for size in (0.25, 0.5, 1.0)]


def make_images(folder, n=11, side=64, chunk=2, training=7):
    """A store of whole images, ``training`` of them first, in chunks of ``chunk``."""
    images = np.random.default_rng(0).integers(0, 256, (1, n, side, side, 3), dtype=np.uint8)
    with build_store(folder / "clean.zarr", spec="{}", code="") as build:
        dims = ("level", "tile", "y", "x", "channel")
        build.array("image", images.shape, (1, chunk, side, side, 3), np.uint8, dims)[...] = images
        build.coordinate("level", np.zeros(1), ("level",))
        build.coordinate("tile", [f"a/{i}#r0c0" for i in range(n)], ("tile",))
        build.coordinate("image_id", [f"a/{i}" for i in range(n)], ("tile",))
        build.coordinate("split", ["train"] * training + ["evaluation"] * (n - training), ("tile",))
    return open_store(folder / "clean.zarr")


def described(folder, entry, settings=NOTHING_TOLD, stored=64, tile=64, root=None):
    """The cards of a model: for tiles, and for whole images."""
    path, card = folder / "card.json", folder / "tile.json"
    own = {**entry, "input_size": entry.get("input_size") or tile}
    card.write_text(describe_model("m", own, checkpoint_root=root, input_size=tile, ground_sample_distance=1.0))
    tile_card = read_card(card)
    path.write_text(describe_settings("m", entry, tile_card, checkpoint_root=root, stored=stored, settings=settings))
    return tile_card, read_image_card(path)


def run(folder, entry, images, cards, model=lambda loaded: loaded, root=None, **options):
    tile_card, card = cards

    def load(setting):
        return model(load_at("m", entry, tile_card, setting.side, checkpoint_root=root, metres=setting.metres))

    with build_store(folder / "m.zarr", spec="{}", code="") as build:
        extract_image_features(build, images, card, load, name="m", **options)
    return open_store(folder / "m.zarr")


def plain(model, image, side, metres=None):
    """Tokens of one image by the shortest way there is."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    pixels = F.adaptive_avg_pool2d(pixels, (side, side))
    pixels = (pixels - torch.tensor(model.mean).view(3, 1, 1)) / torch.tensor(model.std).view(3, 1, 1)
    with torch.inference_mode():
        at = {} if metres is None else {"ground_sample_distances": torch.tensor([metres])}
        return model.tokens(pixels, [model.blocks], **at)


def test_sides_are_whole_patches_at_least_one():
    assert [side_of(size, 256, 16) for size in (0.125, 0.25, 0.5, 1)] == [32, 64, 128, 256]
    assert [side_of(size, 256, 14) for size in (0.125, 0.25, 0.5, 1)] == [28, 70, 126, 252]
    assert [side_of(size, 64, 8) for size in (0.125, 0.01)] == [8, 8]


@pytest.mark.parametrize("entry", [RANDOM, PIXELS], ids=["vit", "pixels"])
def test_pooled_features_equal_those_of_a_plain_loop(tmp_path, entry):
    images = make_images(tmp_path)
    cards = described(tmp_path, entry)
    features = run(tmp_path, entry, images, cards, batch_size=3)
    assert features["relative_size"].values.tolist() == [0.25, 0.5, 1.0]
    assert features["side"].values.tolist() == [16, 32, 64]
    assert ("cls" in features) == (entry is RANDOM)
    for place, side in enumerate((16, 32, 64)):
        model = load_at("m", entry, cards[0], side, checkpoint_root=None, metres=None)
        for tile in range(11):
            tokens = plain(model, images["image"].values[0, tile], side)
            got = features.isel(setting=place, tile=tile)
            np.testing.assert_allclose(got["mean"], tokens.patch[0, 0].mean(dim=0), atol=2e-5)
            if entry is RANDOM:
                np.testing.assert_allclose(got["cls"], tokens.cls[0, 0], atol=2e-5)
    assert features["mean"].dtype == np.float32 and features.attrs["layer"] == model.blocks
    assert features["split"].values.tolist() == ["train"] * 7 + ["evaluation"] * 4


def test_moments_are_those_of_numpy_over_the_training_images_at_full_size(tmp_path):
    images = make_images(tmp_path)
    cards = described(tmp_path, RANDOM)
    features = run(tmp_path, RANDOM, images, cards, batch_size=3)
    model = load_at("m", RANDOM, cards[0], 64, checkpoint_root=None, metres=None)
    tokens = torch.cat([plain(model, images["image"].values[0, i], 64).patch[0, 0] for i in range(7)]).double().numpy()
    found = read_moments(features, "")
    assert found.count == len(tokens) == 7 * 16
    np.testing.assert_allclose(found.mean, tokens.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(tokens.T, ddof=0), atol=1e-6)


def test_area_resizing_is_that_of_scale_maes_code(shared):
    cases = np.load(shared / "golden_protocols/image_knn/cases.npz")
    images = torch.from_numpy(cases["scalemae_resize/in/images"].astype(np.float32))
    for side in (5, 9, 20):
        found = F.interpolate(images, size=(side, side), mode="area")
        np.testing.assert_allclose(found, cases[f"scalemae_resize/out/area_{side}"], atol=1e-6)
        # What the plain loop of these tests does, so that the extraction is tested against it.
        np.testing.assert_allclose(F.adaptive_avg_pool2d(images, (side, side)), found, atol=1e-6)


def test_a_model_of_random_weights_is_one_network_at_all_sizes(tmp_path):
    tile_card, _ = described(tmp_path, RANDOM)
    at = {side: load_at("m", RANDOM, tile_card, side, checkpoint_root=None, metres=None) for side in (16, 32, 64)}
    own = load_model("m", RANDOM, checkpoint_root=None, input_size=64, device="cpu").module.state_dict()
    for side, model in at.items():
        found = model.module.state_dict()
        for name in own:
            if name != "pos_embed":
                assert torch.equal(found[name], own[name]), (side, name)
        assert torch.equal(found["pos_embed"][:, 0], own["pos_embed"][:, 0])
    assert torch.equal(at[64].module.pos_embed, own["pos_embed"])
    expected = timm.layers.resample_abs_pos_embed(own["pos_embed"], [2, 2], [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(at[32].module.pos_embed, expected)


SCALE_MAE = {
    "source": "timm",
    "architecture": "vit_tiny_patch16_224",
    "arguments": SMALL,
    "layout": "timm",
    "checkpoint": "w.safetensors",
    "position_embedding": "gsd",
    "input_size": 64,
}
TOLD = [
    {"relative_size": size, "told": told, "metres": metres}
    for told, metres in (("recipe", 1.0), ("sensor", 0.3))
    for size in (0.25, 1.0)
]


@pytest.fixture
def weights(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=0, **SMALL)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    return tmp_path


def test_scale_mae_is_told_the_recipe_and_the_sensors_distance(tmp_path, weights, caplog):
    caplog.set_level(logging.INFO)
    images = make_images(tmp_path)
    cards = described(tmp_path, SCALE_MAE, TOLD, root=weights)
    metres = [one.metres for one in cards[1]["settings"]]
    assert metres == pytest.approx([1.0, 1.0, 0.3 * 4, 0.3])  # a quarter of the size, four times the ground
    assert "m: relative size 0.25 is 16 px, told 1.2 m per pixel (sensor)" in caplog.text
    features = run(tmp_path, SCALE_MAE, images, cards, root=weights, batch_size=4)
    assert features["told"].values.tolist() == ["recipe", "recipe", "sensor", "sensor"]
    assert features["ground_sample_distance"].values.tolist() == pytest.approx(metres)
    for place, (side, distance) in enumerate(zip((16, 64, 16, 64), metres, strict=True)):
        # Built for a distance, with nothing told later.
        entry = {**SCALE_MAE, "input_size": side}
        model = load_model(
            "m", entry, checkpoint_root=weights, input_size=side, device="cpu", ground_sample_distance=distance
        )
        assert torch.equal(model.module.pos_embed, gsd_position_embedding(model.grid, 48, distance))
        tokens = plain(model, images["image"].values[0, 5], side)
        np.testing.assert_allclose(features["cls"].values[place, 5], tokens.cls[0, 0], atol=2e-5)
    # One place alone has the same tokens whatever the distance.
    moments = [read_moments(features, told) for told in ("recipe", "sensor")]
    assert moments[0].count == moments[1].count and np.abs(moments[0].mean - moments[1].mean).max() > 1e-4


def test_a_distance_that_nobody_knows_is_said(tmp_path, weights, caplog):
    tile_card, _ = described(tmp_path, SCALE_MAE, TOLD, root=weights)
    more = {"settings": TOLD[:2], "dataset": "scenes", "unknown": ["sensor"]}
    describe_settings("m", SCALE_MAE, tile_card, checkpoint_root=weights, stored=64, **more)
    assert "not told the distance of the sensor; datasets.scenes.ground_sample_distance would" in caplog.text


def test_sizes_that_are_rounded_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    described(tmp_path, {**RANDOM, "input_size": 48}, stored=60, tile=48)
    assert "relative size 0.25 is 16 px (whole patches of 16 px, for 15)" in caplog.text
    assert "relative size 1 is 64 px (whole patches of 16 px, for 60)" in caplog.text


def test_a_model_of_one_input_size_is_named_with_the_key(tmp_path):
    """Relative positions of SimMIM, of a fixed window, whose file is of one size."""
    architecture = "beit_base_patch16_224"
    arguments = {"embed_dim": 48, "depth": 1, "num_heads": 3}
    model = timm.create_model(architecture, img_size=64, num_classes=0, **arguments)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    entry = {
        "source": "timm",
        "architecture": architecture,
        "arguments": arguments,
        "layout": "timm",
        "checkpoint": "w.safetensors",
    }
    with pytest.raises(
        ModelError,
        match=r"^image_knn\.models: m cannot see images of 16 x 16 px: name the other models there \(models\.m",
    ):
        described(tmp_path, entry, root=tmp_path)


class Interrupted:
    """A model that fails on its k-th batch, or spoils a token of it."""

    def __init__(self, model, count, fail_at=None, spoil_at=None):
        self._model, self._count, self._fail_at, self._spoil_at = model, count, fail_at, spoil_at

    def __getattr__(self, name):
        return getattr(self._model, name)

    def tokens(self, images, layers):
        self._count.append(len(images))
        if len(self._count) - 1 == self._fail_at:
            raise RuntimeError("killed")
        tokens = self._model.tokens(images, layers)
        if len(self._count) - 1 == self._spoil_at:
            tokens.patch[0, 1, 0, 3] = torch.nan
        return tokens


def test_a_killed_extraction_goes_on_and_ends_with_the_same_bytes(tmp_path):
    images = make_images(tmp_path)
    cards = described(tmp_path, RANDOM)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    count = []
    run(whole, RANDOM, images, cards, lambda model: Interrupted(model, count), batch_size=2)
    first, second = [], []
    with pytest.raises(RuntimeError, match="killed"):
        run(killed, RANDOM, images, cards, lambda model: Interrupted(model, first, fail_at=9), batch_size=2)
    run(killed, RANDOM, images, cards, lambda model: Interrupted(model, second), batch_size=2)
    assert sum(first[:-1]) + sum(second) == sum(count) == 3 * 11
    contents = [read_manifest(folder / "m.zarr")["sha256"] for folder in (whole, killed)]
    assert contents[0] == contents[1]


def test_small_images_are_forwarded_more_at_a_time(tmp_path):
    images, cards = make_images(tmp_path, n=40, chunk=40, training=20), described(tmp_path, RANDOM)
    count = []
    run(tmp_path, RANDOM, images, cards, lambda model: Interrupted(model, count), batch_size=2)
    # One patch, four and sixteen.
    assert count == [32, 8] + [8] * 5 + [2] * 20


def test_features_that_are_not_finite_are_refused(tmp_path):
    images, cards = make_images(tmp_path), described(tmp_path, RANDOM)
    with pytest.raises(ModelError, match=r"models\.m: the features of a/3#r0c0 hold NaN or infinity; the weights"):
        run(tmp_path, RANDOM, images, cards, lambda model: Interrupted(model, [], spoil_at=1), batch_size=2)


def test_a_damaged_card_is_named(tmp_path):
    described(tmp_path, RANDOM)
    card = json.loads((tmp_path / "card.json").read_text())
    for settings in ([{"side": 3}], [1], None):
        (tmp_path / "card.json").write_text(json.dumps({**card, "settings": settings}))
        with pytest.raises(StoreError, match=r"card\.json cannot be read .*: delete it and run again"):
            read_image_card(tmp_path / "card.json")


def test_features_of_real_weights_on_genuine_images(shared, tmp_path):
    """The position embedding is resized as DINO's code does, from 37 x 37 to the grid of each size."""
    entry = {
        "source": "timm",
        "architecture": "vit_small_patch14_dinov2.lvd142m",
        "checkpoint": "vit_small_patch14_dinov2_saliency.safetensors",
        "position_embedding": "dino",
    }
    root = shared / "weights"
    settings = [{"relative_size": size, "told": "", "metres": None} for size in (0.25, 0.5)]
    images = make_images(tmp_path, n=4, side=112, training=2)
    cards = described(tmp_path, entry, settings, stored=112, tile=112, root=root)
    features = run(tmp_path, entry, images, cards, root=root, batch_size=2)
    assert features["side"].values.tolist() == [28, 56] and np.isfinite(features["cls"]).all()
    model = load_at("m", entry, cards[0], 56, checkpoint_root=root, metres=None)
    tokens = plain(model, images["image"].values[0, 3], 56)
    np.testing.assert_allclose(features["mean"].values[1, 3], tokens.patch[0, 0].mean(dim=0), atol=1e-4)
    assert read_moments(features, "").count == 2 * 16  # at the largest of the sizes


def test_places_are_the_means_of_a_plain_loop_and_a_black_image(tmp_path):
    images = make_images(tmp_path)
    tile_card, card = described(tmp_path, RANDOM)

    def load(setting):
        return load_at("m", RANDOM, tile_card, setting.side, checkpoint_root=None, metres=setting.metres)

    with build_store(tmp_path / "places.zarr", spec="{}", code="") as build:
        extract_image_places(build, images, card, load, batch_size=3)
    means, black = read_image_places(open_store(tmp_path / "places.zarr"), "")
    model = load_at("m", RANDOM, tile_card, 64, checkpoint_root=None, metres=None)
    # The first seven are for training.
    tokens = [plain(model, images["image"].values[0, i], 64).patch[0, 0].double() for i in range(7)]
    assert means.grid == (4, 4) and means.count.tolist() == [7] * 16
    np.testing.assert_allclose(means.mean, torch.stack(tokens).mean(dim=0), atol=1e-6)
    dark = plain(model, np.zeros((64, 64, 3), np.uint8), 64).patch[0, 0]
    np.testing.assert_allclose(black, dark, atol=1e-5)
    # It is black before it is normalised: zeros afterwards would be grey.
    with torch.inference_mode():
        assert np.abs(black - model.tokens(torch.zeros(1, 3, 64, 64), [2]).patch[0, 0].numpy()).max() > 0.01
