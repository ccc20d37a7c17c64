"""Whole images by k-NN and linear probe: against official code of three projects, scikit-learn, and planted truths."""

import json
import logging

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from patchprobe.analyses.image_knn.measure import Images, accuracy, labelled_images, measure, neighbours_hits
from patchprobe.analyses.image_knn.voting import SCALE_MAE, Vote, class_scores, winners
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.tokens.variants import Sample, fit_variant

LINEAR = {"learning_rates": [0.01], "weight_decays": [0.0], "steps": 300, "batch_size": 256, "validation_fraction": 0.2}
# The official code rounds cosines to float32, and divides what it lost (up to 2e-7) by T = 0.07.
FLOAT32 = 4e-6
BOOTSTRAP = {"resamples": 200, "level": 0.9}
OPTIONS = {
    "dataset": "towns",
    "model": "vit",
    "k": 5,
    "temperature": 0.1,
    "linear": LINEAR,
    "probe": {"batch_norm": False},
    "bootstrap": BOOTSTRAP,
    "seed": 0,
    "threads": 1,
    "spec": "s",
}


@pytest.fixture(scope="module")
def golden_knn(shared):
    """The cases of official code: parameters, inputs and outputs by name."""
    folder = shared / "golden_protocols/image_knn"
    cases, arrays = json.loads((folder / "spec.json").read_text())["cases"], np.load(folder / "cases.npz")

    def case(name):
        def part(kind):
            found = {key: arrays[f"{name}/{kind}/{key}"] for key in cases[name][kind]}
            return {key: v.astype(np.float32) if v.dtype == np.float16 else v for key, v in found.items()}

        return cases[name]["params"], part("in"), part("out")

    return case


def scores_of(given, vote, count):
    """Scores by the search and the votes of the analysis."""
    bank = MemoryBank(given["train"], metric="cosine")
    k = min(vote.k, len(given["train"]))
    nearest, squared = bank.search([given["test"]], threads=1, k=k)
    nearest, squared = nearest.reshape(-1, k), squared.reshape(-1, k)
    return class_scores(given["train_labels"][nearest], 1 - squared / 2, vote, count=count)


@pytest.mark.parametrize("name", ["scalemae", "scalemae_k1"])
def test_scale_maes_code(golden_knn, name):
    parameters, given, expected = golden_knn(name)
    vote = Vote(parameters["k"], parameters["temperature"])
    assert name == "scalemae_k1" or vote == SCALE_MAE
    scores = scores_of(given, vote, int(given["train_labels"].max()) + 1)
    np.testing.assert_allclose(scores, expected["class_scores"], rtol=FLOAT32)
    np.testing.assert_array_equal(winners(scores), expected["prediction"])
    assert (winners(scores) == given["test_labels"]).mean() == pytest.approx(float(expected["accuracy"]), abs=1e-7)


def test_scale_maes_code_misplaces_an_incomplete_last_batch_and_ours_does_not(golden_knn):
    parameters, given, expected = golden_knn("scalemae_last_batch")
    assert Vote(parameters["k"], parameters["temperature"]) == SCALE_MAE
    scores = scores_of(given, SCALE_MAE, 7)
    assert (winners(scores) != expected["prediction"]).any()
    # Batch b goes to column b * its own length; what no batch reaches stays a zero vector of class 0.
    batch, number = parameters["batch"], len(given["train"])
    train = np.zeros((-(-number // batch) * batch, given["train"].shape[1]), np.float32)
    labels = np.zeros(len(train), np.int64)
    for b, start in enumerate(range(0, number, batch)):
        own = slice(start, min(start + batch, number))
        place = slice(b * (own.stop - start), (b + 1) * (own.stop - start))
        train[place], labels[place] = given["train"][own], given["train_labels"][own]
    wrong = scores_of({**given, "train": train, "train_labels": labels}, SCALE_MAE, 7)
    np.testing.assert_allclose(wrong, expected["class_scores"], rtol=FLOAT32)
    np.testing.assert_array_equal(winners(wrong), expected["prediction"])


def test_dinos_code(golden_knn):
    parameters, given, expected = golden_knn("dino")
    for k in parameters["ks"]:
        scores = scores_of(given, Vote(k, parameters["temperature"]), parameters["num_classes"])
        np.testing.assert_allclose(scores, expected[f"class_scores_k{k}"], rtol=FLOAT32)
        np.testing.assert_array_equal(winners(scores), expected[f"prediction_k{k}"])
        top = 100 * (winners(scores) == given["test_labels"]).mean()
        assert top == pytest.approx(expected[f"top1_top5_k{k}"][0], abs=1e-5)


@pytest.mark.parametrize("name", ["lightly", "lightly_k20"])
def test_lightlys_code(golden_knn, name):
    parameters, given, expected = golden_knn(name)
    scores = scores_of(given, Vote(parameters["k"], parameters["temperature"]), parameters["num_classes"])
    np.testing.assert_array_equal(winners(scores), expected["prediction"])
    np.testing.assert_array_equal(np.argsort(-scores, kind="stable")[:, :5], expected["ranking_first5"])
    assert (winners(scores) == given["test_labels"]).mean() == pytest.approx(expected["topk_accuracy"][0], abs=1e-6)


def test_scores_where_every_neighbour_is_there_twice(golden_knn):
    parameters, given, expected = golden_knn("ties")
    scores = scores_of(given, Vote(2, parameters["temperature"]), parameters["num_classes"])
    np.testing.assert_allclose(scores, expected["class_scores_k2"], rtol=FLOAT32)
    tied = scores == scores.max(axis=1, keepdims=True)
    assert (tied.sum(axis=1) > 1).any()
    # Of classes with equal votes the smaller number.
    np.testing.assert_array_equal(winners(scores), tied.argmax(axis=1))


def test_fewer_neighbours_than_votes_all_vote():
    scores = class_scores(np.array([[2, 0, 2]]), np.array([[0.9, 0.5, 0.1]]), Vote(20, 0.5), count=4)
    np.testing.assert_allclose(scores, [[np.exp(1.0), 0, np.exp(1.8) + np.exp(0.2), 0]])
    assert class_scores(np.array([[2, 0, 2]]), np.zeros((1, 3)), Vote(2), count=4).tolist() == [[1, 0, 1, 0]]


def draw(seed, count, apart=1.0, features=10, classes=6):
    """Features of images in ``classes`` classes, far from the origin as tokens are."""
    centres = np.random.default_rng(9).standard_normal((classes, features))
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, classes, count)
    return (apart * centres[ids] + rng.standard_normal((count, features)) + 2).astype(np.float32), ids


@pytest.mark.parametrize("k", [1, 4, 7])
def test_k_nn_is_that_of_scikit_learn(k):
    (train, known), (test, truth) = draw(0, 300), draw(1, 200)
    pooled, classes = np.concatenate([train, test]), np.concatenate([known, truth])
    training = np.arange(500) < 300
    images = Images(classes, training, np.arange(500).astype(str), 6)
    as_it_is = {"": fit_variant(None, Sample(train), key="")}
    found = dict(neighbours_hits(pooled, images, as_it_is, k=k, temperature=0.1, threads=1))
    for method, weights in {"knn": "uniform", "weighted-knn": lambda distance: np.exp((1 - distance) / 0.1)}.items():
        reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights)
        expected = reference.fit(train.astype(np.float64), known).predict(test.astype(np.float64)) == truth
        np.testing.assert_array_equal(found["", method], expected)
    assert found["", "knn"].mean() > 0.5


def stores(settings=(("", 0.5), ("", 1.0)), pooled=("cls", "mean"), classes=6, train=120, test=60, noise=0):
    """A store of image features whose classes are the better to tell the larger the image, and one of their labels.

    With ``noise`` so many features more of huge variance say nothing.
    """
    number = train + test
    ids = np.random.default_rng(0).integers(0, classes, number)
    centres = np.random.default_rng(1).standard_normal((classes, 12))
    told = list(dict.fromkeys(one for one, _ in settings))
    arrays = {}
    for place, name in enumerate(pooled):
        rng = np.random.default_rng(place + 2)
        values = [2 * size * centres[ids] + rng.standard_normal((number, 12)) + 3 for _, size in settings]
        loud = [100 * rng.standard_normal((number, noise)) for _ in settings]
        arrays[name] = (("setting", "tile", "feature"), np.concatenate([values, loud], axis=2).astype(np.float32))
    width = 12 + noise
    covariance = np.diag([1.0] * 12 + [1e4] * noise)
    moments = {
        "moment_count": (("fit", "part"), np.array([[100, 20]] * len(told))),
        "moment_mean": (("fit", "part", "feature"), np.full((len(told), 2, width), 3.0)),
        "moment_covariance": (("fit", "part", "feature", "other_feature"), np.tile(covariance, (len(told), 2, 1, 1))),
    }
    names = [f"i{i:03}" for i in range(number)]
    coordinates = {
        "tile": [f"{name}#r0c0" for name in names],
        "image_id": ("tile", names),
        "split": ("tile", ["train"] * train + ["evaluation"] * test),
    }
    features = xr.Dataset(
        arrays | moments,
        coords=coordinates
        | {
            "told": ("setting", [one for one, _ in settings]),
            "relative_size": ("setting", [size for _, size in settings]),
            "fit_told": ("fit", told),
        },
        attrs={"layer": 12},
    )
    maps = np.repeat(np.repeat((3 + ids).astype(np.uint8)[:, None, None], 4, axis=1), 4, axis=2)
    attributes = {"class_ids": [3 + i for i in range(classes)], "class_names": [f"class {i}" for i in range(classes)]}
    labels = xr.Dataset({"label": (("tile", "y", "x"), maps)}, coords=coordinates, attrs={**attributes, "void_id": 255})
    # Not in the order of the features, as after another draw.
    return features, labels.isel(tile=np.random.default_rng(5).permutation(number))


def by_key(rows):
    return {(row["variant"], row["method"], row["axis"], row["at"]): row for row in rows}


def test_classes_are_those_of_the_labels_by_name_of_the_image():
    features, labels = stores()
    images = labelled_images(features, labels)
    expected = np.random.default_rng(0).integers(0, 6, 180)
    np.testing.assert_array_equal(images.classes, expected)
    assert images.count == 6 and images.training.sum() == 120


def test_every_setting_feature_and_method_has_its_row():
    features, labels = stores()
    rows = measure(features, labels, variants={"less": {"transform": "drop-top-variance", "features": 2}}, **OPTIONS)
    methods = [f"{m}-{p}" for m in ("knn", "weighted-knn", "scale-mae-knn", "linear") for p in ("cls", "mean")]
    assert sorted(by_key(rows)) == sorted(
        (variant, method, "relative_size", at) for variant in ("", "less") for method in methods for at in (0.5, 1.0)
    )
    for row in rows:
        assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 1 and row["n"] == 60
        assert row["metric"] == "image_accuracy" and row["layer"] == 12 and row["corruption"] == "clean"
    # Larger images are the easier ones here.
    found = by_key(rows)
    for method in methods:
        assert found["", method, "relative_size", 1.0]["value"] > found["", method, "relative_size", 0.5]["value"]


def test_values_are_those_of_scikit_learn():
    features, labels = stores()
    found = by_key(measure(features, labels, variants={}, **OPTIONS))
    ids = np.random.default_rng(0).integers(0, 6, 180)
    for place, size in enumerate((0.5, 1.0)):
        for pooling in ("cls", "mean"):
            values = features[pooling].values[place].astype(np.float64)
            reference = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(values[:120], ids[:120])
            expected = reference.score(values[120:], ids[120:])
            assert found["", f"knn-{pooling}", "relative_size", size]["value"] == pytest.approx(expected)
            # Trained otherwise, so the same but for a few images.
            probe = LogisticRegression(C=1e4, max_iter=5000).fit(values[:120], ids[:120])
            got = found["", f"linear-{pooling}", "relative_size", size]["value"]
            assert got == pytest.approx(probe.score(values[120:], ids[120:]), abs=0.1)


def test_loud_features_hide_the_classes_until_they_are_dropped():
    quiet, loud = stores(), stores(noise=3)
    variants = {
        "drop": {"transform": "drop-top-variance", "features": 3},
        "white": {"transform": "pca-whiten"},
        "junk": {"transform": "keep-top-variance", "features": 3},
    }
    plain = by_key(measure(*quiet, variants={}, **OPTIONS))
    found = by_key(measure(*loud, variants=variants, **OPTIONS))
    for method in ("knn-cls", "weighted-knn-mean", "scale-mae-knn-mean"):
        at = method, "relative_size", 1.0
        assert found["drop", *at]["value"] == plain["", *at]["value"]
        assert found["", *at]["value"] < 0.4 and found["junk", *at]["value"] < 0.4  # chance is 0.17
        assert found["white", *at]["value"] > 0.7


def test_what_is_told_is_in_the_axis_and_fitted_by_itself():
    settings = (("recipe", 0.5), ("recipe", 1.0), ("sensor", 0.5), ("sensor", 1.0))
    features, labels = stores(settings)
    # What the sensor's distance makes loud is another feature.
    features["moment_covariance"].values[1, :, 0, 0] = 1e6
    features["moment_covariance"].values[0, :, 1, 1] = 1e6
    variants = {"one": {"transform": "keep-top-variance", "features": 1}}
    found = by_key(measure(features, labels, variants=variants, **OPTIONS))
    assert {key[2] for key in found} == {"relative_size", "relative_size_sensor"}
    ids = np.random.default_rng(0).integers(0, 6, 180)
    for place, (axis, feature) in {1: ("relative_size", 1), 3: ("relative_size_sensor", 0)}.items():
        values = features["cls"].values[place][:, [feature]]
        probe = by_key(measure(features.isel(setting=[place]), labels, variants=variants, **OPTIONS))
        assert found["one", "linear-cls", axis, 1.0]["value"] == probe["one", "linear-cls", axis, 1.0]["value"]
        reference = LogisticRegression(C=1e4, max_iter=5000).fit(values[:120], ids[:120])
        expected = reference.score(values[120:], ids[120:])
        assert found["one", "linear-cls", axis, 1.0]["value"] == pytest.approx(expected, abs=0.12)


def test_a_model_without_cls_has_rows_of_the_mean_alone():
    rows = measure(*stores(pooled=("mean",)), variants={}, **OPTIONS)
    assert {row["method"].rpartition("-")[2] for row in rows} == {"mean"}


def test_few_images_and_classes_that_cannot_be_found_are_said(caplog):
    caplog.set_level(logging.WARNING)
    features, labels = stores(train=8, test=60)
    rows = measure(features, labels, variants={}, **OPTIONS)
    assert "there are 8 training images, so all of them vote in place of 20" in caplog.text
    known = np.random.default_rng(0).integers(0, 6, 68)[:8]
    absent = sorted(set(range(6)) - set(known.tolist()))
    assert absent and f"no training image is of class {', '.join(f'class {i}' for i in absent)}, so" in caplog.text
    assert all(np.isfinite(row["value"]) for row in rows)


def test_intervals_are_those_of_a_bootstrap_over_images():
    hits = np.random.default_rng(0).random(400) < 0.7
    found = accuracy(hits, bootstrap={"resamples": 4000, "level": 0.95}, seed=0)
    spread = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 400)
    assert found["value"] == hits.mean() and found["n"] == 400
    assert found["ci_low"] == pytest.approx(hits.mean() - spread, abs=0.006)
    assert found["ci_high"] == pytest.approx(hits.mean() + spread, abs=0.006)
    alone = accuracy(hits[:1], bootstrap=BOOTSTRAP, seed=0)
    assert np.isnan([alone["ci_low"], alone["ci_high"]]).all()
