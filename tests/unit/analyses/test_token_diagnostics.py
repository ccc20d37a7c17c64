"""Token diagnostics: official outcomes, arithmetic, and planted tokens of which all is known."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planted_tokens import BRIGHTNESS, COLUMN, FEATURES, NOISE, NOISY, ROW, SIDE, orthogonal, planted

from patchprobe import measurements
from patchprobe.analyses.token_diagnostics.measure import measure
from patchprobe.analyses.token_diagnostics.pictures import components
from patchprobe.analyses.token_diagnostics.statistics import (
    Distances,
    at_border,
    participation_ratio,
    position_share,
    rankme,
    relative_cut,
)
from patchprobe.tokens.places import place_means

BOOTSTRAP = {"resamples": 100, "level": 0.9}


@pytest.fixture(scope="module")
def official(shared):
    """Cases of the official code, by name: inputs and outputs."""
    folder = shared / "golden_protocols/token_diagnostics"
    if not folder.is_dir():
        pytest.skip("golden_protocols/token_diagnostics is absent from the shared folder")
    spec, arrays = json.loads((folder / "spec.json").read_text()), np.load(folder / "cases.npz")

    def part(name, which):
        return {key: arrays[f"{name}/{which}/{key}"] for key in spec["cases"][name][which]}

    return {name: (part(name, "in"), part(name, "out")) for name in spec["cases"]}, spec["tolerance"]


def test_rankme_is_that_of_the_official_code(official):
    cases, tolerance = official
    names = [name for name in cases if name.startswith("rankme")]
    assert len(names) == 4
    for name in names:
        given, expected = cases[name]
        found = rankme(given["embeddings"].astype(np.float32))
        assert found == pytest.approx(float(expected["rankme"]), abs=tolerance["rankme"])


def store_of(tokens, shape, images=2):
    """A token store of tiles (tile, patch, feature), half of them of the training split."""
    row, column = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    count = len(tokens)
    coordinates = {
        "tile": [f"t{i}" for i in range(count)],
        "image_id": ("tile", [f"i{i % images}" for i in range(count)]),
        "split": ("tile", ["train"] * count),
        "patch_row": ("patch", row),
        "patch_col": ("patch", column),
        "level": [0.0],
        "layer": [12],
    }
    return xr.Dataset({"tokens": (("level", "layer", "tile", "patch", "feature"), tokens[None, None])}, coordinates)


def diagnosed(store, **change):
    options = {"number": 1000, "norm_cut": 150.0, "relative_cut": 3.5, "top_features": [1, 10, 200]}
    rows = measure(store, dataset="d", model="m", bootstrap=BOOTSTRAP, seed=0, spec="s", **options | change)
    return pd.DataFrame(rows).set_index(["metric", "at"]).sort_index()


def test_lengths_and_outliers_are_those_of_the_official_code(official):
    cases, tolerance = official
    given, expected = cases["norm_outliers"]
    for cut in (30, 60, 150):
        found = diagnosed(store_of(given["tokens"], (14, 14)), norm_cut=float(cut))
        assert found.loc[("norm_outliers", 0), "value"] == pytest.approx(float(expected[f"share_{cut}"]), abs=1e-15)
        places = found.loc["norm_outliers_of_place", "value"]
        np.testing.assert_allclose(places, expected[f"outlier_{cut}"].mean(axis=0))
    lengths = found.loc["token_norm", "value"]
    np.testing.assert_allclose(
        lengths[[0.0, 1.0]], [expected["norm"].min(), expected["norm"].max()], atol=tolerance["norm"]
    )


def test_ranks_by_arithmetic():
    axes = np.repeat(np.eye(5), 2, axis=0) * np.tile([1, -1], 5)[:, None]  # five equal axes, centred
    assert rankme(axes) == pytest.approx(5, rel=1e-6)
    assert participation_ratio(np.cov(axes.T, bias=True)) == pytest.approx(5)
    assert participation_ratio(np.diag([3.0, 1.0, 0.0])) == pytest.approx(16 / 10)
    assert rankme(np.ones((7, 3))) == pytest.approx(1, abs=1e-5) and rankme(np.zeros((7, 3))) == 0
    assert participation_ratio(np.zeros((3, 3))) == 0


def test_relative_cut_is_in_robust_deviations():
    assert relative_cut(np.array([1.0, 2, 3, 4, 100]), 2.0) == pytest.approx(3 + 2 * 1.4826)
    normal = np.random.default_rng(0).normal(10, 2, 200_000)
    assert relative_cut(normal, 3.5) == pytest.approx(10 + 3.5 * 2, abs=0.05)


def test_position_share_by_arithmetic_and_chance():
    rng = np.random.default_rng(0)
    places = np.tile(np.arange(9), 50)
    noise = rng.standard_normal((450, 200))
    means = place_means(noise, places, (3, 3))
    share, chance = position_share(means, noise.mean(axis=0), noise.var(axis=0).sum())
    assert chance == pytest.approx(8 / 449) and share == pytest.approx(chance, rel=0.1)
    told = np.eye(9)[places]
    share, _ = position_share(place_means(told, places, (3, 3)), told.mean(axis=0), told.var(axis=0).sum())
    assert share == pytest.approx(1)
    assert position_share(place_means(0 * told, places, (3, 3)), np.zeros(9), 0.0)[0] == 0


def test_distances_count_pairs():
    """Of 2 x 3 patches: distance 1 has the seven pairs side by side and, rounded, the four diagonal ones of 1.41; each counts twice."""
    found = Distances((2, 3))
    assert found.known.tolist() == [1, 2] and found.count.tolist() == [6, 22, 8]
    tokens = np.random.default_rng(0).standard_normal((6, 4))
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    places = [(r, c) for r in range(2) for c in range(3)]
    expected = [0.0, 0.0]
    for i, one in enumerate(places):
        for j, other in enumerate(places):
            apart = round(float(np.hypot(one[0] - other[0], one[1] - other[1])))
            if apart in (1, 2):
                expected[apart - 1] += float(unit[i] @ unit[j])
    np.testing.assert_allclose(found.sums(tokens), expected)
    assert at_border((3, 4)).reshape(3, 4).tolist() == [[True] * 4, [True, False, False, True], [True] * 4]


def test_planted_tokens_are_named(tmp_path):
    stores = planted(images=40, noise=3.0)
    found = diagnosed(stores.tokens, top_features=[1, NOISY, 200])
    train = stores.values[40:].reshape(-1, FEATURES)
    variance = train.var(axis=0)
    # Noise is the variance: ten features hold so much of it, and 24 features have no top 200.
    assert found.loc["variance_in_top", "value"].to_dict() == pytest.approx(
        {1: variance.max() / variance.sum(), NOISY: variance[NOISE].sum() / variance.sum()}
    )
    # The place explains row and column, and of the rest as much as its means differ by chance.
    by_place = stores.values[40:].mean(axis=0).var(axis=0)
    assert by_place[[ROW, COLUMN]] == pytest.approx(variance[[ROW, COLUMN]])
    assert found.loc[("position_variance", 0), "value"] == pytest.approx(by_place.sum() / variance.sum(), rel=1e-5)
    assert found.loc[("position_variance_by_chance", 0), "value"] == pytest.approx(35 / (40 * 36 - 1))
    # Turning tokens changes features alone.
    turned = diagnosed(planted(images=40, noise=3.0, turn=orthogonal()).tokens)
    same = ["rankme", "effective_rank", "participation_ratio", "position_variance", "token_similarity", "token_norm"]
    np.testing.assert_allclose(turned.loc[same, "value"], found.loc[same, "value"], rtol=1e-4)
    assert turned.loc[("variance_in_top", 10), "value"] < 0.7 < found.loc[("variance_in_top", 10), "value"]
    measurements.write(found.reset_index(), tmp_path / "rows.parquet")  # the schema takes them


def test_planted_outliers_are_found_where_they_sit():
    stores = planted(noise=1.0)
    tokens = stores.tokens.copy(deep=True)
    corner = SIDE * SIDE - 1
    tokens.tokens[..., corner, BRIGHTNESS] = 200.0
    found = diagnosed(tokens)
    for cut in ("norm_outliers", "norm_outliers_relative"):
        places = found.loc[f"{cut}_of_place", "value"]
        assert places[corner] == 1 and places.drop(corner).max() <= 0.1
    assert found.loc[("norm_outliers", 0), "value"] == pytest.approx(1 / 36)
    assert found.loc[("norm_outliers_at_border", 0), "value"] == 1
    assert found.loc[("places_at_border", 0), "value"] == pytest.approx(20 / 36)
    without = diagnosed(stores.tokens)
    assert without.loc[("norm_outliers", 0), "value"] == 0 and "norm_outliers_at_border" not in without.index


def test_similarity_falls_with_distance_and_is_none_without_neighbours():
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((30, 3, 3, 50)).repeat(2, 1).repeat(2, 2).reshape(30, 36, 50)
    near = diagnosed(store_of(coarse, (6, 6), images=10)).loc["token_similarity"]
    # Of the 60 pairs side by side 36 are in one block of 2 x 2, and of the 50 diagonal ones 18.
    assert near.loc[1, "value"] == pytest.approx(54 / 110, abs=0.05)
    assert abs(near.loc[3:, "value"]).max() < 0.05
    assert (near["ci_low"] <= near["value"]).all() and (near["value"] <= near["ci_high"]).all()
    alone = diagnosed(store_of(rng.standard_normal((30, 1, 5)), (1, 1)))
    assert "token_similarity" not in alone.index and alone.loc[("position_variance", 0), "value"] == 0


def test_components_show_the_strongest_axes():
    tokens = np.zeros((2, 48, 4))
    tokens[..., 2] = np.linspace(-9, 9, 48)
    tokens[..., 0] = np.tile([1, -1, -1, 1], 12)  # does not go with the ramp
    shown = components(tokens).reshape(-1, 3).astype(int)
    assert (np.diff(shown[:48, 0]) >= 0).all() and shown[0, 0] == 0 and shown[47, 0] == 255
    assert set(shown[:, 1]) == {0, 255} and not shown[:, 2].any()
