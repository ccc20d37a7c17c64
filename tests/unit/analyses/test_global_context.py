"""Ridge regression from the central token to the shares of classes, against scikit-learn."""

import logging

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge as Reference
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from token_stores import BOOTSTRAP, stores

from patchprobe import measurements
from patchprobe.analyses.global_context.measure import (
    central_patch,
    chosen_classes,
    class_shares,
    context_rows,
    feature_parts,
)
from patchprobe.errors import DataError
from patchprobe.probes.ridge import fit_ridge

PENALTIES = [1e-3, 1e-1, 1.0, 10.0]
# So close that errors differ little from one to the next.
CLOSE = np.geomspace(1e-4, 10, 40).tolist()


def problem(rows=60, features=8, images=10, noise=1.0, seed=0):
    """Tokens whose features differ in scale, two targets that are linear in them, and images of unequal size."""
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((rows, features)) * np.geomspace(0.1, 10, features) + 3
    targets = tokens @ rng.standard_normal((features, 2)) + [[noise, 20 * noise]] * rng.standard_normal((rows, 2))
    return tokens, targets, rng.integers(0, images, rows).astype(str)


def references(tokens, targets, images, penalties):
    """The errors on left-out images for every penalty, by fitting again and again, and scikit-learn's penalties."""
    unit = np.square(tokens - tokens.mean(axis=0)).sum() / tokens.shape[1]
    alphas = [penalty * unit for penalty in penalties]
    errors = []
    for alpha in alphas:
        predicted = cross_val_predict(Reference(alpha), tokens, targets, groups=images, cv=LeaveOneGroupOut())
        errors.append(np.square(targets - predicted).sum(axis=0))
    return np.array(errors), alphas


@pytest.mark.parametrize(
    "shape",
    [(60, 8, 10), (20, 40, 10), (90, 4, 3), (40, 6, 5)],
    ids=["more rows", "more features", "more rows of each image", "more rows of some images"],
)
@pytest.mark.parametrize("noise", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("penalties", [PENALTIES, CLOSE], ids=["few", "close"])
def test_penalty_and_weights_are_those_of_scikit_learn(shape, noise, penalties):
    rows, features, number = shape
    tokens, targets, images = problem(rows, features, number, noise)
    errors, alphas = references(tokens, targets, images, penalties)
    ridge = fit_ridge(tokens, targets, images, penalties)
    best = errors.argmin(axis=0)
    np.testing.assert_allclose(ridge.penalties, np.array(penalties)[best])
    for target, place in enumerate(best):
        reference = Reference(alphas[place]).fit(tokens, targets[:, target])
        np.testing.assert_allclose(ridge.weights[:, target], reference.coef_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ridge.predict(tokens)[:, target], reference.predict(tokens), rtol=1e-7)


def test_more_noise_takes_more_penalty():
    tokens, targets, images = problem(noise=3.0)
    ridge = fit_ridge(tokens, targets, images, PENALTIES)
    assert ridge.penalties[1] > ridge.penalties[0]


def test_one_image_takes_the_middle_penalty_and_constant_tokens_the_mean(caplog):
    tokens, targets, images = problem()
    with caplog.at_level(logging.WARNING):
        ridge = fit_ridge(tokens, targets, np.zeros(len(images)), [1.0, 0.1, 0.01])
    assert ridge.penalties.tolist() == [0.1, 0.1] and "one training image" in caplog.text
    constant = fit_ridge(np.ones((60, 3)), targets, images, PENALTIES)
    np.testing.assert_allclose(constant.predict(np.ones((1, 3)))[0], targets.mean(axis=0))


def test_parts_are_by_variance(caplog):
    variance = np.array([5.0, 1, 9, 2, 7, 3, 4, 8, 6, 0])
    parts = feature_parts(variance, 3, seed=0)
    assert list(parts) == ["", "drop-top-variance-3", "keep-random-3", "keep-top-variance-3"]
    assert parts["keep-top-variance-3"].tolist() == [2, 4, 7] and parts[""].tolist() == list(range(10))
    assert sorted([*parts["drop-top-variance-3"], *parts["keep-top-variance-3"]]) == list(range(10))
    assert len(set(parts["keep-random-3"])) == 3
    assert list(feature_parts(variance, 0.26, seed=0)) == list(parts)  # 2.6 of ten features
    with caplog.at_level(logging.WARNING):
        assert list(feature_parts(variance, 10, seed=0)) == [""]
    assert "the model has 10 features: parts of 10 are left out" in caplog.text


def test_central_patch_holds_the_centre_or_lies_right_below_it():
    assert [central_patch(grid) for grid in ((1, 1), (3, 3), (2, 2), (14, 14), (3, 4))] == [0, 4, 3, 105, 6]


def test_shares_count_all_pixels():
    maps = np.array([[[0, 0], [1, 255]], [[1, 1], [1, 1]]], np.uint8)
    np.testing.assert_array_equal(class_shares(maps, [0, 1, 7]), [[0.5, 0.25, 0], [0, 1, 0]])


def rows_of(features, labels, classes, **change):
    options = {"part": 2, "penalties": PENALTIES, "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s", **change}
    variance = np.arange(features.sizes["feature"], 0.0, -1)
    return context_rows(features, labels, variance, dataset="d", model="m", classes=classes, **options)


@pytest.fixture(scope="module")
def told():
    """Stores whose central token tells the share of road in two features; noise is in the others."""
    features, labels = stores((0.0,), images=40, tiles_per_image=2)
    share = (labels.label == 0).mean(("y", "x")).values
    features.tokens[0, 0, :, 10, 4:] += 40 * (share - share.mean())[:, None]
    return features, labels


def test_scores_are_those_of_scikit_learn(told, tmp_path):
    features, labels = told
    rows = rows_of(features, labels, ["Road", "sky"])
    measurements.write(rows, tmp_path / "rows.parquet")  # the schema takes them
    table = measurements.read([tmp_path / "rows.parquet"]).set_index(["variant", "metric", "class"])
    assert table.index.is_unique and set(table["method"]) == {"ridge"} and set(table["n"]) == {40}
    train = (features.split == "train").values
    tokens = features.tokens.values[0, 0, :, 10].astype(np.float64)
    shares = np.stack([(labels.label == i).mean(("y", "x")).values for i in (0, 1)], axis=1)
    images = features.image_id.values
    variants = {"": slice(None), "drop-top-variance-2": slice(2, None), "keep-top-variance-2": slice(0, 2)}
    for variant, kept in variants.items():
        errors, alphas = references(tokens[train][:, kept], shares[train], images[train], PENALTIES)
        expected = []
        for target, place in enumerate(errors.argmin(axis=0)):
            reference = Reference(alphas[place]).fit(tokens[train][:, kept], shares[train, target])
            expected.append(r2_score(shares[~train, target], reference.predict(tokens[~train][:, kept])))
            value = table.loc[(variant, "share_r2", ["road", "sky"][target])]
            assert value["value"] == pytest.approx(expected[-1], rel=1e-6, abs=1e-9)
            assert value["ci_low"] <= value["ci_high"]
        assert table.loc[(variant, "share_mean_r2", ""), "value"] == pytest.approx(
            np.mean(expected), rel=1e-6, abs=1e-9
        )
    road = table["value"].loc[:, "share_r2", "road"]
    assert min(road[""], road["drop-top-variance-2"]) > 0.7 > 0.2 > road["keep-top-variance-2"]


def test_classes_without_spread_or_unknown(told, caplog):
    features, labels = told
    with caplog.at_level(logging.WARNING):
        rows = rows_of(features, labels, ["pole", "tram"], part=0.5)  # no tile shows a pole
    assert "classes that the data set does not have: tram" in caplog.text
    assert {row["metric"] for row in rows} == {"share_r2"} and all(np.isnan(row["value"]) for row in rows)
    with pytest.raises(DataError, match=r"global_context.classes: the data set has none of tram; name some of road, "):
        rows_of(features, labels, ["tram"])


def test_without_names_the_papers_classes_are_taken_or_those_with_most_training_pixels(told, caplog):
    features, labels = told
    assert set(chosen_classes(labels, None, features.tile.values)) == {"road"}
    names = ["cat", "dog", "fish", "bird"]
    maps = np.repeat([0, 1, 1, 1, 2, 3, 3, 255], 8).reshape(1, 8, 8).astype(np.uint8)
    other = xr.Dataset(
        {"label": (("tile", "y", "x"), np.concatenate([maps, np.full_like(maps, 0)]))},
        {"tile": [0, 1]},
        {"class_names": names, "class_ids": [0, 1, 2, 3]},
    )
    with caplog.at_level(logging.WARNING):
        # The second tile, all of cats, is no training tile; of cat and fish, level, the lower id is taken.
        assert chosen_classes(other, None, np.array([0])) == {"dog": 1, "bird": 3, "cat": 0}
    assert "those with most pixels are taken: dog, bird, cat" in caplog.text


def test_no_rows_are_a_file_too(tmp_path):
    measurements.write([], tmp_path / "none.parquet")
    assert len(measurements.read([tmp_path / "none.parquet"])) == 0
