"""Overclustering: scores and projections of the official code, and planted tokens whose clusters are known."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from planted_tokens import CLASSES, FEATURES, NOISY, SIDE, orthogonal, planted
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from patchprobe import measurements
from patchprobe.analyses.overclustering.matching import (
    enlarged,
    match_by_precision,
    match_one_to_one,
    matched,
    mean_iou,
)
from patchprobe.analyses.overclustering.measure import Truth, clustered, measure, moments_of_all, score
from patchprobe.analyses.overclustering.projection import fit_projection, moments_of_view
from patchprobe.errors import DataError
from patchprobe.tokens.directions import moments_of
from patchprobe.tokens.variants import Sample, fit_variant

BOOTSTRAP = {"resamples": 100, "level": 0.9}
ONE_TO_ONE = ("score_hungarian", "score_hungarian_empty_cluster", "score_hungarian_more_clusters")
BY_PRECISION = ("score_precision", "score_precision_ties")


@pytest.fixture(scope="module")
def official(shared):
    """Cases of the official code by name: parameters, inputs and outputs."""
    folder = shared / "golden_protocols/overclustering"
    if not folder.is_dir():
        pytest.skip("golden_protocols/overclustering is absent from the shared folder")
    spec, arrays = json.loads((folder / "spec.json").read_text()), np.load(folder / "cases.npz")

    def part(name, which):
        return {key: arrays[f"{name}/{which}/{key}"] for key in spec["cases"][name][which]}

    return {name: (case["params"], part(name, "in"), part(name, "out")) for name, case in spec["cases"].items()}


def counted(truth, found, clusters, classes):
    codes = found.astype(np.int64) * classes + truth
    return np.bincount(codes, minlength=clusters * classes).reshape(clusters, classes)


@pytest.mark.parametrize("name", [*ONE_TO_ONE, *BY_PRECISION])
def test_scores_of_given_clusters_are_those_of_the_official_code(official, name):
    params, given, expected = official[name]
    counts = counted(given["gt"], given["pred"], params["num_pred"], params["num_gt"])
    classes = (match_one_to_one if name in ONE_TO_ONE else match_by_precision)(counts)
    filled = counts.sum(axis=1) > 0
    np.testing.assert_array_equal(classes[filled], expected["cluster_to_class"][filled])
    pixels = matched(counts, classes)
    for ours, theirs in ((pixels.hits, "tp"), (pixels.false, "fp"), (pixels.missed, "fn")):
        np.testing.assert_array_equal(ours, expected[theirs])
    found = mean_iou(pixels.hits, pixels.hits + pixels.false + pixels.missed)
    assert float(found) == pytest.approx(float(expected["miou"]), abs=1e-12)


PIPELINES = ("pipeline_k_equals_classes", "pipeline_overcluster", "pipeline_ignore_zero")


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_of_given_assignments_are_those_of_the_official_code(official, name):
    params, given, expected = official[name]
    np.testing.assert_array_equal(enlarged(given["masks"], 100), expected["masks_100"])
    count, side = len(given["tokens"]), params["grid"]
    row, column = np.divmod(np.arange(side * side), side)
    owners = {
        "tile": list(range(count)),
        "image_id": ("tile", ["a", "a", "b", "c"]),
        "split": ("tile", ["evaluation"] * count),
    }
    tokens = xr.Dataset(coords={**owners, "patch_row": ("patch", row), "patch_col": ("patch", column)})
    # The class that is left out stays among the classes there, without a pixel.
    known = {"class_ids": list(range(params["num_classes"]))}
    masks = np.where(given["masks"] == params["ignore_index"], 255, given["masks"]).astype(np.uint8)
    truth = Truth(tokens, xr.Dataset({"label": (("tile", "y", "x"), masks)}, coords=owners, attrs=known), 100)
    runs = [truth.counts(run.ravel().astype(np.int64), params["k"]) for run in expected["assignments"]]
    for run, miou in zip(runs, expected["miou_per_seed"], strict=True):
        (one,) = score([run], bootstrap=BOOTSTRAP, seed=0)
        assert one["value"] == pytest.approx(float(miou), abs=1e-12)
    mean = next(score(runs, bootstrap=BOOTSTRAP, seed=0))
    assert mean["value"] == pytest.approx(float(expected["miou"]), abs=1e-12)
    assert mean["ci_low"] <= mean["value"] <= mean["ci_high"]


@pytest.mark.parametrize("name", PIPELINES)
def test_projections_are_those_of_the_official_code(official, name):
    params, given, expected = official[name]
    tokens = given["tokens"].astype(np.float32).reshape(-1, given["tokens"].shape[-1])
    found = fit_projection(moments_of(tokens), params["pca_dim"])(tokens)
    signs = np.sign((found * expected["pca"]).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected["pca"], atol=2e-4)


def test_projections_are_those_of_scikit_learn_and_leave_constant_features_alone():
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((300, 6)) * np.geomspace(0.01, 100, 6) + 5
    tokens[:, 3] = 7.0
    expected = PCA(4, svd_solver="full").fit_transform(StandardScaler().fit_transform(tokens))
    found = fit_projection(moments_of(tokens), 4)(tokens)
    np.testing.assert_allclose(found * np.sign((found * expected).sum(axis=0)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [
        {"transform": "drop-top-variance", "features": 5},
        {"transform": "drop-top-components", "features": 5},
        {"transform": "drop-position-planes", "features": 3, "penalty": 1e-4},
    ],
    ids=lambda variant: variant["transform"],
)
def test_moments_of_views_are_those_of_their_tokens(variant):
    stores = planted(turn=orthogonal(), noise=2.0)
    tokens = stores.tokens.tokens.values[0, 0]
    flat = tokens.reshape(-1, FEATURES)
    places = np.tile(np.arange(SIDE * SIDE), len(tokens))
    view = fit_variant(variant, Sample(flat, places, (SIDE, SIDE)), key="v")
    found, expected = moments_of_view(moments_of_all(stores.tokens), view), moments_of(view(flat, places))
    assert found.count == expected.count
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=1e-5)


def overclustered(stores, **change):
    options = {
        "clusters": ["classes", 12],
        "removals": ["top-variance", "random"],
        "part": NOISY,
        "components": 50,
        "seeds": 3,
        "restarts": 5,
        "iterations": 100,
        "points_per_cluster": 256,
        "mask": 12,
        "plane_penalty": 1e-8,
    }
    rows = measure(
        stores.tokens, stores.labels, dataset="d", model="m", bootstrap=BOOTSTRAP, seed=0, spec="s", **options | change
    )
    return pd.DataFrame(rows).set_index(["metric", "variant", "at"]).sort_index()


def test_planted_classes_are_hidden_by_noise_and_found_without_it(tmp_path):
    """Ten features share two axes of noise, which have a variance of 5 each once all are standardised, and the one-hot classes
    three of 4 / 3: of three components two are noise."""
    found = overclustered(planted(images=30, axes=2), components=3)
    value = found["value"]
    without = f"drop-top-variance-{NOISY}"
    assert value["cluster_miou", without, CLASSES] == pytest.approx(1)
    assert value["cluster_miou_deviation", without, CLASSES] == pytest.approx(0, abs=1e-9)
    assert value["cluster_miou", "", CLASSES] < 0.4
    assert value["cluster_miou", "", CLASSES] <= value["cluster_miou", "", 12] < 0.7
    assert set(found["n"]) == {30 * 12 * 12}  # tiles by pixels of the mask
    measurements.write(found.reset_index(), tmp_path / "rows.parquet")  # the schema takes them


def test_standardising_repairs_noise_that_no_features_share():
    value = overclustered(planted(images=30), components=3, removals=[], clusters=["classes"])["value"]
    assert value["cluster_miou", "", CLASSES] == pytest.approx(1)


def test_clusters_are_the_same_again_and_no_more_than_patches(caplog):
    points = np.random.default_rng(0).standard_normal((900, 4)).astype(np.float32)
    one, again, other = (
        clustered(points, 5, restarts=1, iterations=20, points_per_cluster=60, seed=seed) for seed in (0, 0, 1)
    )
    assert (one == again).all() and (one != other).any() and len(one) == 900
    found = overclustered(planted(images=2), clusters=[5, 500], seeds=1, removals=[])
    assert (
        set(found.index.get_level_values("at")) == {5}
        and "so overclustering.clusters of 500 are left out" in caplog.text
    )
    assert "cluster_miou_deviation" not in found.index
    with pytest.raises(DataError, match=r"have 72 patches of m, and the least of overclustering\.clusters is 100"):
        overclustered(planted(images=2), clusters=[100], seeds=1, removals=[])
