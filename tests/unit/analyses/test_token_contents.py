"""What tokens hold: targets against scikit-image and arithmetic, and parts of planted tokens that hold known things."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planted_tokens import COLUMN, FEATURES, NOISE, NOISY, ROW, SIDE, orthogonal, planted
from skimage import color, filters

from patchprobe import measurements
from patchprobe.analyses.global_context.measure import context_rows
from patchprobe.analyses.token_contents.measure import SHARES, measure
from patchprobe.analyses.token_contents.targets import TARGETS, patch_targets
from patchprobe.tokens.drawn_tiles import draw_tiles

PENALTIES = [1e-7, 1e-4, 0.1, 10.0]
BOOTSTRAP = {"resamples": 100, "level": 0.9}
OPTIONS = {"classes": ["road", "sky"], "penalties": PENALTIES, "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s"}


def contents(stores, removals, part, black=(), **change):
    rows = measure(
        stores.tokens,
        stores.labels,
        stores.tiles,
        black,
        **{"dataset": "d", "model": "m", "removals": removals, "part": part, "number": 1000, "plane_penalty": 1e-8},
        **OPTIONS | change,
    )
    return pd.DataFrame(rows).set_index(["variant", "class"])


def of(pixels, grid):
    return dict(zip(TARGETS, np.moveaxis(patch_targets(pixels, grid), -1, 0), strict=True))


def test_colours_are_those_of_scikit_image():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3)).astype(np.uint8)
    found = of(pixels, (3, 2))
    # JPEG's matrix for all 256 values; that of scikit-image is for 16 to 235, of Y, and 16 to 240, of Cb and Cr.
    ycc = np.moveaxis(color.rgb2ycbcr(pixels), -1, 0)
    expected = {
        "brightness": (ycc[0] - 16) * 255 / 219,
        "colour blue": (ycc[1] - 128) * 255 / 224,
        "colour red": (ycc[2] - 128) * 255 / 224,
    }
    for name, values in expected.items():
        means = values.reshape(3, 3, 4, 2, 6).mean(axis=(2, 4)).reshape(3, 6)
        np.testing.assert_allclose(found[name], means, atol=0.01)


def test_energies_are_those_of_scikit_image():
    grey = np.random.default_rng(0).integers(0, 256, (1, 24, 24)).astype(np.uint8)
    found = of(grey[..., None].repeat(3, -1), (2, 3))

    def energy(square):
        return np.log1p(square.reshape(2, 12, 3, 8).mean(axis=(1, 3)).reshape(1, 6))

    image = grey[0].astype(float)
    # Its Sobel filters have weights of 1/4, and a step of two px; it mirrors the border px too, so the inner patch is compared.
    squares = (filters.sobel_h(image) / 2) ** 2 + (filters.sobel_v(image) / 2) ** 2
    np.testing.assert_allclose(energy(squares)[0], found["gradient"][0], rtol=0.1)
    inner = of(grey[..., None].repeat(3, -1), (3, 3))["gradient"][0, 4]
    assert inner == pytest.approx(np.log1p(squares[8:16, 8:16].mean()), rel=1e-5)
    smooth = [image, *(filters.gaussian(image, sigma, mode="mirror", preserve_range=True) for sigma in (1, 2, 4, 8))]
    for name, fine, coarse in zip(TARGETS[4:8], smooth, smooth[1:], strict=False):
        np.testing.assert_allclose(found[name], energy((fine - coarse) ** 2), rtol=1e-4)


def test_gradient_of_a_ramp_and_of_nothing():
    ramp = np.broadcast_to(3 * np.arange(16), (1, 16, 16)).astype(np.uint8)[..., None].repeat(3, -1)
    found = of(np.concatenate([ramp, np.full_like(ramp, 77)]), (4, 4))
    # Mirrored at the border px, where the slope is 0; the two columns of patches between are 3 grey values per px.
    np.testing.assert_allclose(found["gradient"][0].reshape(4, 4)[:, 1:3], np.log(1 + 9), rtol=1e-5)
    for name in TARGETS[3:8]:
        np.testing.assert_allclose(found[name][1], 0, atol=1e-6)
    assert (found["brightness"][1] == 77).all() and not found["colour blue"].any()


@pytest.mark.parametrize("size", [4, 5])
def test_a_wave_is_in_the_band_of_its_length(size):
    waves = {"finest band": 2, "fine band": 6, "middle band": 13, "coarse band": 26}
    x = np.arange(32 * size)
    for name, length in waves.items():
        wave = np.broadcast_to(128 + 100 * np.cos(2 * np.pi * x / length), (1, len(x), len(x)))
        found = of(wave.round().astype(np.uint8)[..., None].repeat(3, -1), (size, size))
        assert max(TARGETS[4:8], key=lambda band: found[band].mean()) == name


def test_row_and_column_go_from_0_to_1():
    found = of(np.zeros((2, 12, 12, 3), np.uint8), (3, 4))
    np.testing.assert_allclose(found["row"][1].reshape(3, 4)[:, 0], [0, 0.5, 1])
    np.testing.assert_allclose(found["column"][0].reshape(3, 4)[2], [0, 1 / 3, 2 / 3, 1])


def test_noise_is_found_to_hold_nothing_and_what_is_left_all():
    found = contents(planted(), ["top-variance"], NOISY)
    value = found["value"]
    for target in ("brightness", "row", "column"):
        assert value[f"drop-top-variance-{NOISY}", target] > 1 - 1e-6
        assert value["", target] > 1 - 1e-3  # the penalty is in units of the noise
        assert value[f"keep-top-variance-{NOISY}", target] < 0.02
    assert np.isnan(value["", "colour red"])  # all is grey
    assert set(found.loc["", "n"]) == {16 * SIDE**2, 16}


def test_planes_take_position_alone_in_turned_tokens_too():
    for turn in (None, orthogonal()):
        value = contents(planted(turn=turn, noise=1.0), ["position-planes"], 2)["value"]
        for target in ("row", "column"):
            assert value["keep-position-planes-2", target] > 1 - 1e-6
            assert value["drop-position-planes-2", target] < 0.01
        assert value["drop-position-planes-2", "brightness"] > 1 - 1e-6
        assert value["keep-position-planes-2", "brightness"] < 0.01


def test_components_take_the_heaviest_noise():
    value = contents(planted(turn=orthogonal()), ["top-components", "top-variance"], NOISY)["value"]
    # By chance the noise of 576 patches goes a little with the signal: each of its axes is turned by (1.2 / 100) / sqrt(576),
    # and the ten leave 100 times that, together a variance of 0.025 beside 1.3.
    assert 0.95 < value[f"drop-top-components-{NOISY}", "brightness"] < 0.999
    assert value[f"keep-top-components-{NOISY}", "brightness"] < 0.02
    # Turned tokens have the noise in every feature: features are the wrong thing to remove.
    assert value[f"drop-top-variance-{NOISY}", "row"] < 0.9


def test_directions_of_a_black_image_and_their_absence(caplog):
    stores = planted(noise=1.0)
    black = np.zeros((1, 1, 1, SIDE * SIDE, FEATURES))
    black[..., [ROW, COLUMN]] = stores.values[0, :, [ROW, COLUMN]].T - 0.5
    dims = ("level", "layer", "tile", "patch", "feature")
    store = xr.Dataset({"tokens": (dims, black)})
    value = contents(stores, ["position"], 2, [store])["value"]
    assert min(value["keep-position-2", "row"], value["keep-position-2", "column"]) > 1 - 1e-6
    assert max(value["drop-position-2", "row"], value["drop-position-2", "column"]) < 0.01
    assert value["drop-position-2", "brightness"] > 1 - 1e-6
    same = xr.Dataset({"tokens": (dims, np.ones_like(black))})
    found = contents(stores, ["position"], 2, [same])
    assert set(found.index.get_level_values(0)) == {""}
    assert "token_contents of m: there are no directions for drop-position, so it is left out" in caplog.text


def test_class_shares_are_global_context(tmp_path):
    stores = planted(images=30)
    found = contents(stores, ["top-variance"], NOISY)
    variance = np.zeros(FEATURES)
    variance[NOISE] = 1
    context = context_rows(stores.tokens, stores.labels, variance, dataset="d", model="m", part=NOISY, **OPTIONS)
    context = pd.DataFrame(context)
    means = context[context["metric"] == "share_mean_r2"].set_index("variant")
    own = found.xs(SHARES, level="class")
    assert len(means) == 4
    same = ["value", "ci_low", "ci_high", "n"]
    pd.testing.assert_frame_equal(own[same].sort_index(), means[same].sort_index())
    measurements.write(found.reset_index(), tmp_path / "rows.parquet")  # the schema takes them


def test_tiles_are_drawn_of_all_images_alike():
    names = [f"i{tile // 5}" for tile in range(20)] + ["other"] * 3
    split = ["train"] * 20 + ["evaluation"] * 3
    store = xr.Dataset(coords={"image_id": ("tile", names), "split": ("tile", split)})
    for number in (1, 4, 6, 20, 99):
        drawn = draw_tiles(store, "train", number, seed=0, purpose="test")
        assert len(set(drawn)) == min(number, 20) and (np.diff(drawn) > 0).all()
        of_images = pd.Series(names)[drawn].value_counts().reindex(["i0", "i1", "i2", "i3"], fill_value=0)
        assert of_images.max() - of_images.min() <= 1 and (np.array(split)[drawn] == "train").all()
    one, other = (draw_tiles(store, "train", 6, seed=seed, purpose="test").tolist() for seed in (0, 1))
    assert one != other


def test_parts_of_all_features_are_left_out_and_named(caplog):
    """What one direction fewer would leave is rounding, which a penalty in units of it would make large."""
    stores = planted()
    with caplog.at_level("WARNING"):
        value = contents(stores, ["top-variance", "top-components", "position-planes"], FEATURES)
    assert set(value.index.get_level_values("variant")) == {""}
    for removal in ("top-components", "position-planes"):
        assert (
            f"features, so drop-{removal} of {FEATURES} is left out: set global_context.features to less" in caplog.text
        )
