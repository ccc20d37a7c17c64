"""Reconstruction: settings and masks by hand, scores by scikit-image, planted features, rows and their intervals."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
import xarray as xr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from patchprobe import measurements
from patchprobe.analyses.reconstruction import reconstructing
from patchprobe.analyses.reconstruction.measure import HIGHEST_PSNR, measure
from patchprobe.analyses.reconstruction.reconstructing import (
    METRICS,
    Options,
    choose_examples,
    draw_tiles,
    mask_noise,
    reconstruct,
)
from patchprobe.analyses.reconstruction.settings import of_kind, settings
from patchprobe.errors import DataError, ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.decoders.mae import MAE, MAEDecoder
from patchprobe.models.decoders.simmim import SimMIM, SimMIMDecoder
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

SIZE, PATCHES, FEATURES = 64, 16, 24
VARIANCE = np.random.default_rng(5).permutation(FEATURES) + 1.0
OPTIONS = Options(masked=(0.0, 0.75), features=6, sweep=(3, 20), scope="all", tiles=None, clip=True, pictures=2)
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks on several threads mostly wait where other processes work too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def autoencoder(kind=MAE, target="pixels", seed=0):
    entry = {
        "source": "random",
        "architecture": "vit_base_patch16_224",
        "arguments": {"embed_dim": FEATURES, "depth": 2, "num_heads": 3},
        "mean": IMAGENET[0].tolist(),
        "std": IMAGENET[1].tolist(),
    }
    encoder = load_model("m", entry, checkpoint_root=None, input_size=SIZE, device="cpu")
    torch.manual_seed(seed)
    if kind is MAE:
        decoder = MAEDecoder(FEATURES, width=16, depth=1, heads=4, patches=PATCHES, values=768, norm_eps=1e-6)
    else:
        decoder = SimMIMDecoder(FEATURES, 768)
    for value in decoder.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return kind(encoder, decoder, target)


def tile_store(folder, n=40, side=SIZE):
    """Tiles of ten images, the first two of them for training."""
    pixels = np.random.default_rng(1).integers(0, 256, (1, n, side, side, 3), dtype=np.uint8)
    # A low contrast for all but every seventh tile.
    pixels[:, [i for i in range(n) if i % 7]] //= 4
    store = folder / "tiles.zarr"
    with build_store(store, spec="{}", code="") as build:
        dims = ("level", "tile", "y", "x", "channel")
        build.array("image", pixels.shape, (1, 8, side, side, 3), np.uint8, dims)[...] = pixels
        build.coordinate("level", [0.0], ("level",))
        images = [f"i{i // 4}" for i in range(n)]
        build.coordinate("tile", [f"{image}#{i % 4}" for i, image in enumerate(images)], ("tile",))
        build.coordinate("image_id", images, ("tile",))
        build.coordinate("split", ["train" if i < 8 else "evaluation" for i in range(n)], ("tile",))
    return open_store(store).load()


def run(folder, tiles, model, options=OPTIONS, variance=VARIANCE, **more):
    store = folder / "reconstruction.zarr"
    with build_store(store, spec=json.dumps([str(options)]), code="") as build:
        reconstruct(build, tiles, model, variance, options, **({"seed": 0} | more))
    return open_store(store).load()


def test_settings_are_the_features_that_their_names_say():
    variance = np.array([1.0, 9.0, 4.0, 4.0, 2.0, 7.0])
    found, table = settings(variance, 2, [0.5, 1], seed=0)
    zeroed = {one.name: one.zeroed.tolist() for one in found}
    assert list(zeroed) == [
        "",
        *(f"{kind}-{m}" for m in (1, 2, 3) for kind in ("zero-top-variance", "zero-random", "keep-top-variance")),
        "zero-all",
    ]
    assert zeroed[""] == [] and zeroed["zero-all"] == [0, 1, 2, 3, 4, 5]
    assert zeroed["zero-top-variance-1"] == [1] and zeroed["keep-top-variance-1"] == [0, 2, 3, 4, 5]
    # Of the features of equal variance the lower index counts as higher.
    assert zeroed["zero-top-variance-3"] == [1, 2, 5] and zeroed["keep-top-variance-3"] == [0, 3, 4]
    assert set(zeroed["zero-random-1"]) < set(zeroed["zero-random-2"]) < set(zeroed["zero-random-3"])
    assert table == ["", "zero-top-variance-2", "zero-random-2", "keep-top-variance-2", "zero-all"]


def test_random_features_depend_on_the_seed_and_on_nothing_else():
    variance = np.arange(100.0)
    draws = [
        settings(v, 30, [], seed=seed)[0][2].zeroed.tolist()
        for v, seed in ((variance, 0), (-variance, 0), (variance, 1))
    ]
    assert draws[0] == draws[1] != draws[2] and len(set(draws[0])) == 30


def test_numbers_that_leave_no_feature_are_left_out_and_logged(caplog):
    with caplog.at_level(logging.WARNING):
        found, table = settings(np.arange(6.0), 200, [3, 6], seed=0)
    assert [one.name for one in found][1:] == [
        "zero-top-variance-3",
        "zero-random-3",
        "keep-top-variance-3",
        "zero-all",
    ]
    assert table == ["", "zero-all"] and "settings of 6, 200 are left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "parts"),
    [("", ("", 0)), ("zero-all", ("zero-all", 0)), ("keep-top-variance-20", ("keep-top-variance", 20))],
)
def test_names_are_taken_apart(name, parts):
    assert of_kind(name) == parts


def test_masks_depend_on_seed_tile_and_grid_alone():
    alone, among = mask_noise(["b"], 16, seed=0), mask_noise(["a", "b"], 16, seed=0)
    assert torch.equal(alone[0], among[1]) and not torch.equal(among[0], among[1])
    assert not torch.equal(mask_noise(["b"], 16, seed=1), alone)
    assert len(mask_noise(["b"], 49, seed=0)[0]) == 49


@pytest.mark.parametrize(("share", "hidden"), [(0.0, 0), (0.75, 12), (0.6, 10)])
def test_all_models_of_a_grid_hide_the_same_patches(share, hidden):
    noise, images = mask_noise(["a", "b", "c"], PATCHES, seed=0), torch.randn(3, 3, SIZE, SIZE)
    masks = [autoencoder(kind).encode_hidden(images, share, noise).mask for kind in (MAE, SimMIM)]
    assert torch.equal(*masks) and (masks[0].sum(dim=1) == hidden).all()
    # The visible ones have the lowest noise.
    if hidden:
        assert (noise[masks[0]].view(3, -1).amin(1) > noise[~masks[0]].view(3, -1).amax(1)).all()


@pytest.mark.parametrize("kind", [MAE, SimMIM])
def test_noise_of_another_shape_and_shares_that_leave_nothing_are_refused(kind):
    model, images = autoencoder(kind), torch.randn(2, 3, SIZE, SIZE)
    with pytest.raises(ValueError, match=r"\(2, 16\)"):
        model.encode_hidden(images, 0.5, torch.rand(2, 9))
    with pytest.raises(ValueError, match=r"0\.97"):
        model.encode_hidden(images, 0.97, torch.rand(2, 16))
    with pytest.raises(ModelError, match=r"reconstruction\.masked: 0\.97 leaves none of the 16 patches of models\.m"):
        reconstructing.check_masked(model, [0.0, 0.97])


@pytest.mark.parametrize(("kind", "target"), [(MAE, "pixels"), (MAE, "normalised-patches"), (SimMIM, "pixels")])
@pytest.mark.parametrize("clip", [True, False])
def test_scores_are_those_of_scikit_image(tmp_path, kind, target, clip):
    """By another way: tile by tile, in NumPy where it can be."""
    tiles, model = tile_store(tmp_path), autoencoder(kind, target)
    options = Options(**{**OPTIONS.__dict__, "clip": clip})
    found = run(tmp_path, tiles, model, options)
    assert found["score"].dims == ("metric", "masked", "setting", "tile") and found["metric"].values.tolist() == list(
        METRICS
    )
    named = {one.name: one.zeroed for one in settings(VARIANCE, 6, (3, 20), seed=0)[0]}
    assert found["setting"].values.tolist() == list(named)
    mean, std = (values[:, None, None] for values in IMAGENET)
    for tile in ("i2#0", "i9#3"):
        pixels = tiles["image"].sel(tile=tile).values[0].transpose(2, 0, 1) / 255
        normalised = torch.from_numpy((pixels - mean) / std).float()[None]
        noise = mask_noise([tile], PATCHES, seed=0)
        for share in (0.0, 0.75):
            encoded = model.encode_hidden(normalised, share, noise)
            for setting in ("", "zero-top-variance-6", "keep-top-variance-3", "zero-random-20"):
                predicted = model.decode(encoded, zeroed=named[setting].tolist())
                if target != "pixels":
                    predicted = model.undo_target_normalisation(predicted, normalised)
                raw = model.unpatchify(predicted)[0].double().numpy()
                image = raw * std + mean
                image = np.clip(image, 0, 1) if clip else image
                errors = (image - pixels) ** 2
                where = encoded.mask[0].view(4, 4).numpy().repeat(16, 0).repeat(16, 1)
                expected = {
                    "mse": errors.mean(),
                    "mse_hidden": errors[:, where].mean() if share else np.nan,
                    "mse_normalised": ((raw - normalised[0].double().numpy()) ** 2).mean(),
                    "psnr": peak_signal_noise_ratio(pixels, image, data_range=1),
                    "ssim": structural_similarity(pixels, image, data_range=1, channel_axis=0),
                }
                own = found["score"].sel(masked=share, setting=setting, tile=tile)
                for metric, value in expected.items():
                    assert own.sel(metric=metric).item() == pytest.approx(value, rel=1e-4, abs=1e-5, nan_ok=True)


def test_a_feature_that_the_decoder_does_not_look_at_changes_nothing(tmp_path):
    """A linear decoder that is blind to the six features of highest variance, or sees them alone."""
    tiles = tile_store(tmp_path)
    top = np.argsort(-VARIANCE)[:6]
    for blind in (True, False):
        model = autoencoder(SimMIM)
        seen = torch.ones(FEATURES) if blind else torch.zeros(FEATURES)
        seen[top.tolist()] = 0.0 if blind else 1.0
        model.decoder.decoder[0].weight.mul_(seen[None, :, None, None])
        score = run(tmp_path, tiles, model).score.sel(metric="mse_normalised")
        whole, without, alone, nothing = (
            score.sel(setting=name).values for name in ("", "zero-top-variance-6", "keep-top-variance-6", "zero-all")
        )
        same, floor = (without, alone) if blind else (alone, without)
        np.testing.assert_array_equal(same, whole)
        np.testing.assert_array_equal(floor, nothing)
        assert (np.abs(whole - nothing) > 1e-6).all()
        shutil.rmtree(tmp_path / "reconstruction.zarr")


def test_the_scope_says_whether_cls_keeps_its_features(tmp_path):
    tiles, model = tile_store(tmp_path), autoencoder()
    scores = {}
    for scope in ("all", "patch"):
        scores[scope] = run(tmp_path, tiles, model, Options(**{**OPTIONS.__dict__, "scope": scope})).score
    differ = (scores["all"] != scores["patch"]).sel(metric="mse").any("tile")
    assert not differ.sel(setting="").any() and differ.sel(setting=["zero-top-variance-6", "zero-all"]).all()


def test_pictures_are_the_tiles_and_what_became_of_them(tmp_path):
    tiles, model = tile_store(tmp_path), autoencoder()
    found = run(tmp_path, tiles, model)
    examples = found["example"].values.tolist()
    assert len(examples) == 2 and len({name.partition("#")[0] for name in examples}) == 2
    np.testing.assert_array_equal(found["original"], tiles["image"].sel(tile=examples).isel(level=0))
    assert found["shown"].values.tolist() == [
        "",
        "zero-top-variance-6",
        "zero-random-6",
        "keep-top-variance-6",
        "zero-all",
    ]
    # The score of the picture, which is rounded to 8 bits, is nearly that in the store.
    for e, tile in enumerate(examples):
        for m, share in enumerate((0.0, 0.75)):
            assert found["hidden"].values[m, e].sum() == 16 * share
            for s, name in enumerate(found["shown"].values.tolist()):
                expected = peak_signal_noise_ratio(found["original"].values[e], found["picture"].values[m, s, e])
                own = found["score"].sel(metric="psnr").sel(masked=share, setting=name, tile=tile)
                assert own.item() == pytest.approx(expected, abs=0.02)


def test_tiles_are_drawn_from_the_evaluation_split_and_larger_draws_hold_smaller(tmp_path):
    tiles = tile_store(tmp_path)
    draws = [draw_tiles(tiles, most, seed=0) for most in (3, 10, 1000, None)]
    assert [len(draw) for draw in draws] == [3, 10, 32, 32] and min(draws[3]) == 8
    assert set(draws[0]) < set(draws[1]) and all((np.diff(draw) > 0).all() for draw in draws)
    assert draw_tiles(tiles, 10, seed=1).tolist() != draws[1].tolist()
    # The order of a store says nothing.
    backwards = tiles.isel(tile=slice(None, None, -1))
    names = [set(part["tile"].values[draw_tiles(part, 10, seed=0)].tolist()) for part in (tiles, backwards)]
    assert names[0] == names[1]
    with pytest.raises(DataError, match=r"tiles\.zarr holds no tile of the evaluation split: delete it"):
        draw_tiles(tiles.isel(tile=slice(0, 8)), 3, seed=0)


def test_examples_are_the_tiles_of_most_contrast_of_different_images(tmp_path):
    tiles = tile_store(tmp_path).isel(level=0, tile=slice(8, None))
    chosen = choose_examples(tiles, 3)
    names = tiles["tile"].values[chosen].tolist()
    # Places 14, 21, 28, 35 of the store are the ones of high contrast.
    assert set(names) < {"i3#2", "i5#1", "i7#0", "i8#3"} and len(names) == 3
    assert len(choose_examples(tiles, 100)) == 8


def test_tiles_of_another_size_are_resized_as_for_tokens(tmp_path):
    tiles = tile_store(tmp_path, side=32)
    found = run(tmp_path, tiles, autoencoder())
    assert found["original"].shape == (2, SIZE, SIZE, 3) and np.isfinite(found["score"].sel(metric="ssim")).all()


def test_a_killed_run_goes_on_with_the_unit_that_is_missing(tmp_path, monkeypatch):
    tiles, model = tile_store(tmp_path, n=80), autoencoder()
    whole = run(tmp_path, tiles, model)
    (tmp_path / "again").mkdir()
    scored, seen = reconstructing._scored, []

    def killed(part, job):
        seen.append(part.sizes["tile"])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return scored(part, job)

    monkeypatch.setattr(reconstructing, "_scored", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "again", tiles, model)
    found = run(tmp_path / "again", tiles, model)
    assert seen == [32, 32, 32, 8]
    for name in ("score", "picture", "original", "hidden"):
        np.testing.assert_array_equal(found[name], whole[name])


def test_damaged_decoders_and_inputs_without_a_window_are_named(tmp_path):
    tiles, model = tile_store(tmp_path), autoencoder()
    model.decoder.decoder_pred.bias[3] = torch.nan
    with pytest.raises(ModelError, match=r"models\.m: reconstructions hold NaN or infinity"):
        run(tmp_path, tiles, model)


def made_up(score, images, masked=(0.0, 0.75), names=("", "zero-all")):
    return xr.Dataset(
        {"score": (("metric", "masked", "setting", "tile"), score)},
        coords={
            "metric": list(METRICS),
            "masked": list(masked),
            "setting": list(names),
            "tile": [f"t{i}" for i in range(score.shape[-1])],
            "image_id": ("tile", list(images)),
        },
        attrs={"block": 12, "model": "m"},
    )


COLUMNS = {"dataset": "d", "model": "m", "bootstrap": {"resamples": 200, "level": 0.9}, "seed": 0, "spec": "ab"}


def test_rows_are_means_over_tiles(tmp_path):
    score = np.random.default_rng(0).random((5, 2, 2, 6))
    score[METRICS.index("mse_hidden"), 0] = np.nan
    rows = measure(made_up(score, "aabbcc"), **COLUMNS)
    measurements.write(rows, tmp_path / "rows.parquet")
    table = measurements.read([tmp_path / "rows.parquet"])
    assert len(table) == 5 * 2 * 2 - 2 and set(table["axis"]) == {"masked_patches"} and set(table["n"]) == {6}
    assert not len(table[(table["metric"] == "mse_hidden") & (table["at"] == 0)])
    own = table.set_index(["metric", "at", "variant"])
    for i, metric in enumerate(METRICS):
        for s, name in enumerate(("", "zero-all")):
            row = own.loc[(metric, 0.75, name)]
            assert (
                row["value"] == pytest.approx(score[i, 1, s].mean()) and row["ci_low"] <= row["value"] <= row["ci_high"]
            )


def test_intervals_draw_whole_images():
    """Images of equal tiles have as wide an interval as one tile of each."""
    values = np.random.default_rng(0).random((5, 2, 2, 4))
    each = measure(made_up(values, "abcd"), **COLUMNS)
    tripled = measure(made_up(values.repeat(3, axis=-1), np.repeat(list("abcd"), 3)), **COLUMNS)
    for a, b in zip(each, tripled, strict=True):
        assert (a["metric"], a["variant"], a["n"], b["n"]) == (b["metric"], b["variant"], 4, 12)
        for column in ("value", "ci_low", "ci_high"):
            assert a[column] == pytest.approx(b[column])
    alone = measure(made_up(values, "aaaa"), **COLUMNS)
    assert all(np.isnan(row["ci_low"]) and np.isfinite(row["value"]) for row in alone)


def test_the_ratio_of_equal_tiles_is_what_8_bits_leave():
    score = np.full((5, 2, 2, 2), 0.5)
    score[METRICS.index("psnr"), ..., 0] = np.inf
    score[METRICS.index("psnr"), ..., 1] = 20
    rows = [row for row in measure(made_up(score, "ab"), **COLUMNS) if row["metric"] == "psnr"]
    # The error of rounding to 8 bits is uniform over 1 / 255.
    expected = -10 * np.log10((1 / 255) ** 2 / 12)
    assert pytest.approx(expected) == HIGHEST_PSNR
    assert {round(row["value"], 6) for row in rows} == {round((20 + expected) / 2, 6)}
