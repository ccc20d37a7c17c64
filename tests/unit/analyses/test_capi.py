"""The vote for every pixel against scikit-learn and counting by hand; the choice of setting, and its scores."""

import json
import logging
from collections import Counter

import numpy as np
import pytest
from protocol_data import CLASSES, majority, patch_pixels, split, stores
from sklearn.metrics import accuracy_score, jaccard_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler

from patchprobe import measurements
from patchprobe.analyses.capi import measure as capi
from patchprobe.errors import DataError

IDS = np.array(CLASSES["class_ids"])
KS, DISTANCES = (1, 3, 10), ("cosine", "euclidean")


def evaluated(features):
    return features.isel(tile=np.flatnonzero(features.split.values == "evaluation"))


def plain(features, labels, images=None):
    """Tokens in float64, pixels and majorities of the labelled training patches, by numpy alone."""
    tokens, maps, names = split(features, labels, "train")
    pixels = patch_pixels(maps)
    keep = majority(pixels) != 0
    if images is not None:
        keep &= np.isin(names, images)[:, None]
    return tokens[keep].astype(np.float64), pixels[keep], majority(pixels)[keep]


def voted(nearest, pixels, majorities):
    """The vote by counting: most frequent id but void, the smaller of equals."""
    found = np.empty((len(nearest), pixels.shape[1]), np.uint8)
    for row, ids in enumerate(nearest):
        for pixel in range(pixels.shape[1]):
            counts = Counter(int(i) for i in pixels[ids, pixel] if i != 0)
            found[row, pixel] = min(counts, key=lambda i: (-counts[i], i)) if counts else majorities[ids[0]]
    return found


def by_scikit_learn(features, labels, known, queries, k, distance):
    tokens, pixels, majorities = known
    scaler = StandardScaler().fit(tokens)
    search = NearestNeighbors(n_neighbors=k, metric=distance, algorithm="brute").fit(scaler.transform(tokens))
    flat = scaler.transform(queries.reshape(-1, tokens.shape[1]).astype(np.float64))
    found = voted(search.kneighbors(flat, return_distance=False), pixels, majorities)
    return found.reshape(len(queries), -1, pixels.shape[1])


@pytest.fixture(scope="module")
def made():
    features, labels = stores(images=14)
    known = capi.voters(features, labels)
    return features, labels, known, capi.standardisation(known.tokens)


@pytest.mark.parametrize("distance", DISTANCES)
def test_votes_are_those_of_scikit_learn(made, distance):
    features, labels, known, transform = made
    queries, truth, _ = split(features, labels, "evaluation")
    votes = capi.Votes(known, transform, evaluated(features), labels, k=10, distance=distance, threads=2)
    for k in KS:
        expected = by_scikit_learn(features, labels, plain(features, labels), queries, k, distance)
        found = patch_pixels(np.concatenate(list(votes.maps(k))))
        assert found.shape == expected.shape and set(np.unique(found)) <= set(IDS)
        np.testing.assert_array_equal(found, expected)
    assert (patch_pixels(truth) == 0).any()


def test_one_pixel_votes_as_a_classifier_of_scikit_learn(made):
    """The vote of k neighbours for one pixel of the patch is a k-NN classifier with that pixel's labels."""
    features, labels, known, transform = made
    tokens, pixels, _ = plain(features, labels)
    queries = split(features, labels, "evaluation")[0].astype(np.float64)
    scaler = StandardScaler().fit(tokens)
    votes = capi.Votes(known, transform, evaluated(features), labels, k=3, distance="euclidean", threads=1)
    found = patch_pixels(np.concatenate(list(votes.maps(3))))
    for pixel in (0, 7, 15):
        classifier = KNeighborsClassifier(3, algorithm="brute").fit(scaler.transform(tokens), pixels[:, pixel])
        expected = classifier.predict(scaler.transform(queries.reshape(-1, tokens.shape[1])))
        clear = expected != 0  # here void may win, which has no vote in ours
        same = found[..., pixel].ravel() == expected
        assert clear.mean() > 0.7 and same[clear].mean() > 0.95


def test_standardisation_is_that_of_scikit_learn():
    tokens = np.random.default_rng(0).normal(5, [1e-6, 3, 400, 0.1], (300, 4)).astype(np.float32)
    tokens = np.concatenate([tokens, np.full((300, 1), 0.1, np.float32)], axis=1)
    expected = StandardScaler().fit_transform(tokens.astype(np.float64))
    np.testing.assert_allclose(capi.standardisation(tokens)(tokens)[:, 1:], expected[:, 1:], atol=2e-4)
    assert not capi.standardisation(tokens)(tokens + 1)[:, 4].any()


def test_setting_is_the_best_on_held_out_images(made):
    features, labels, known, _ = made
    held_out = capi.hold_out(known.images, 0.3, seed=0)
    assert len(held_out) == 3 and set(held_out) < set(known.images)
    others = known.without(held_out)
    transform = capi.standardisation(others.tokens)
    best, tried = capi.choose(known, held_out, transform, features, labels, ks=KS, distances=DISTANCES, threads=1)
    queries, truth, names = split(features, labels, "train")
    here = np.isin(names, held_out)
    truth = patch_pixels(truth[here])
    expected = {}
    for k in KS:
        for distance in DISTANCES:
            voters = plain(features, labels, others.images)
            found = by_scikit_learn(features, labels, voters, queries[here], k, distance)
            # macro: the mean over the classes in truth or prediction
            expected[k, distance] = jaccard_score(truth[truth > 0], found[truth > 0], average="macro")
    assert {(s.k, s.distance): s.miou for s in tried} == pytest.approx(expected)
    assert (best.k, best.distance) == max(expected, key=expected.get)
    assert len(set(expected.values())) == len(expected)
    written = json.loads(capi.setting_text(best, tried, held_out))
    assert (written["k"], written["distance"], written["held_out"]) == (best.k, best.distance, list(held_out))
    assert {(s["k"], s["distance"]): s["miou"] for s in written["tried"]} == pytest.approx(expected)


def test_held_out_images_are_a_seeded_tenth():
    names = np.array([f"i{i:03d}" for i in range(37)])
    held_out = capi.hold_out(np.repeat(names, 5), 0.1, seed=0)
    assert len(held_out) == len(set(held_out)) == 3
    assert list(held_out) == list(capi.hold_out(names[::-1], 0.1, seed=0))
    assert list(held_out) != list(capi.hold_out(names, 0.1, seed=1))
    assert len(capi.hold_out(names[:4], 0.1, seed=0)) == 1
    assert len(capi.hold_out(names[:1], 0.1, seed=0)) == 0


def test_one_training_image_takes_the_first_setting(caplog):
    features, labels = stores(images=3, evaluated=2)
    known = capi.voters(features, labels)
    given = {"ks": (3, 1), "distances": DISTANCES, "threads": 1}
    with caplog.at_level(logging.INFO):
        best, tried = capi.choose(
            known, capi.hold_out(known.images, 0.1, 0), capi.standardisation(known.tokens), features, labels, **given
        )
    assert (best.k, best.distance, tried) == (3, "cosine", []) and "one training image" in caplog.text


def test_held_out_images_without_a_class_take_the_first_setting(made):
    features, labels, known, transform = made
    held_out = capi.hold_out(known.images, 0.1, 0)
    maps = labels.label.values.copy()
    maps[np.isin(features.image_id.values, held_out)] = 0
    void = labels.copy(data={"label": maps})
    best, tried = capi.choose(known, held_out, transform, features, void, ks=(3, 1), distances=DISTANCES, threads=1)
    assert (best.k, best.distance) == (3, "cosine") and {setting.miou for setting in tried} == {None}


def test_settings_with_too_many_neighbours_are_left_out(made, caplog):
    features, labels, known, transform = made
    held_out = capi.hold_out(known.images, 0.1, 0)
    given = {"distances": ("cosine",), "threads": 1}
    _, tried = capi.choose(known, held_out, transform, features, labels, ks=(1, 999), **given)
    assert [setting.k for setting in tried] == [1] and "k of 999 is left out" in caplog.text
    with pytest.raises(DataError, match=r"cannot be 999 neighbours: add a smaller k to capi\.k"):
        capi.choose(known, held_out, transform, features, labels, ks=(999,), **given)


def test_scores_are_those_of_scikit_learn(made, tmp_path):
    features, labels, known, transform = made
    votes = capi.Votes(known, transform, evaluated(features), labels, k=3, distance="euclidean", threads=1)
    named = {"dataset": "d", "model": "m", "bootstrap": {"resamples": 100, "level": 0.9}, "seed": 0, "spec": "s"}
    measurements.write(capi.score(votes, 3, features, labels, **named), tmp_path / "rows.parquet")
    rows = measurements.read([tmp_path / "rows.parquet"]).set_index(["metric", "class"])
    queries, truth, _ = split(features, labels, "evaluation")
    found = by_scikit_learn(features, labels, plain(features, labels), queries, 3, "euclidean")
    truth = patch_pixels(truth)
    truth, found = truth[truth > 0], found[truth > 0]
    assert set(rows["method"]) == {"capi"} and set(rows["protocol"]) == {"capi-v1"}
    assert rows.loc[("pixel_accuracy", ""), "value"] == pytest.approx(accuracy_score(truth, found))
    iou = jaccard_score(truth, found, average=None, labels=IDS)
    assert rows.loc["pixel_iou", "value"].tolist() == pytest.approx(iou.tolist())
    assert rows.loc[("pixel_miou", ""), "value"] == pytest.approx(iou.mean())


def test_nothing_but_void_is_refused(made):
    features, labels, *_ = made
    with pytest.raises(DataError, match="every patch is void"):
        capi.voters(features, labels.copy(data={"label": np.zeros_like(labels.label.values)}))
