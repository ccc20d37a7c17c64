"""1-NN block by block, and the mean over easy classes and over the others, against scikit-learn."""

import logging

import numpy as np
import pytest
from sklearn.metrics import jaccard_score
from sklearn.neighbors import KNeighborsClassifier
from token_stores import BOOTSTRAP, VOID, stores

from patchprobe import measurements
from patchprobe.analyses.layers.measure import class_groups, classify_layers, measure

SIGNAL = (0.0, 0.8, 1.6)
EASY = ["road", "car", "vegetation"]


@pytest.fixture(scope="module")
def read():
    return stores(SIGNAL)


def predicted(features, labels, layer):
    """Truth and prediction (patches,) of all evaluation patches by scikit-learn."""
    train = (features.split == "train").values
    truth = labels.label.values[:, ::2, ::2].reshape(len(train), 16)
    tokens = features.tokens.values[0, layer].astype(np.float64)
    kept = truth[train] != VOID
    reference = KNeighborsClassifier(1, algorithm="brute").fit(tokens[train][kept], truth[train][kept])
    return truth[~train].ravel(), reference.predict(tokens[~train].reshape(-1, tokens.shape[-1]))


def test_every_block_is_searched_in_its_own_tokens(read):
    features, labels = read
    found = list(classify_layers(features, labels, threads=1))
    assert [int(one.layer[0]) for one, _ in found] == [1, 2, 3]
    for layer, (_, ids) in enumerate(found):
        np.testing.assert_array_equal(ids.ravel(), predicted(features, labels, layer)[1])


@pytest.mark.parametrize(("every", "blocks"), [(1, [1, 2, 3]), (2, [1, 3]), (3, [3]), (9, [3])])
def test_each_so_many_from_the_last_one_back(read, every, blocks):
    features, labels = read
    found = list(classify_layers(features, labels, threads=1, every=every))
    assert [int(one.layer[0]) for one, _ in found] == blocks
    for one, ids in found:
        np.testing.assert_array_equal(ids.ravel(), predicted(features, labels, int(one.layer[0]) - 1)[1])


def test_scores_are_those_of_scikit_learn(read, tmp_path):
    features, labels = read
    rows = measure(
        features,
        labels,
        dataset="d",
        model="m",
        easy_classes=EASY,
        threads=1,
        bootstrap=BOOTSTRAP,
        seed=0,
        spec="s",
    )
    measurements.write(rows, tmp_path / "rows.parquet")  # the schema takes them
    table = measurements.read([tmp_path / "rows.parquet"]).set_index(["layer", "metric", "class"])
    assert table.index.is_unique and set(table["protocol"]) == {"layers-v1"} and set(table["method"]) == {"1-nn"}
    assert set(table["axis"]) == {""} and set(table["at"]) == {0} and set(table["other_dataset"]) == {""}
    for layer in range(len(SIGNAL)):
        truth, ids = predicted(features, labels, layer)
        scored = truth != VOID
        iou = jaccard_score(truth[scored], ids[scored], average=None, labels=[0, 1, 2])
        for unit in ("patch", "pixel"):  # a patch is 2 x 2 px of one class here
            values = table["value"].loc[layer + 1]
            assert values[f"{unit}_miou", ""] == pytest.approx(iou.mean())
            assert values[f"{unit}_miou_easy", ""] == pytest.approx((iou[0] + iou[2]) / 2)  # road and Car
            assert values[f"{unit}_miou_rest", ""] == pytest.approx(iou[1])  # sky; pole is nowhere
    intervals = table.loc[(slice(None), ["pixel_miou_easy", "pixel_miou_rest"]), ["ci_low", "ci_high"]].to_numpy()
    assert (intervals[:, 0] < intervals[:, 1]).all()
    rising = table["value"].loc[:, "pixel_miou", ""].to_numpy()
    assert rising[0] < 0.3 and rising[0] < rising[1] < rising[2] and rising[2] > 0.7


def test_a_group_that_is_nowhere_has_no_row(read):
    features, labels = read
    options = {"dataset": "d", "model": "m", "threads": 1, "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s"}
    rows = measure(features.isel(layer=[2]), labels, easy_classes=["road", "sky", "car"], **options)
    assert {"pixel_miou", "pixel_miou_easy"} < {row["metric"] for row in rows}
    assert "pixel_miou_rest" not in {row["metric"] for row in rows}  # pole alone


def test_easy_classes_are_found_in_any_case_and_the_absent_are_logged(caplog):
    with caplog.at_level(logging.INFO):
        found = class_groups(["Road", "Tree", "Sky"], ["road", "sky", "car"])
    assert found == {"easy": ["Road", "Sky"], "rest": ["Tree"]}
    assert "easy classes that the data set does not have: car" in caplog.text
    assert class_groups(["a"], []) == {"rest": ["a"]} and class_groups(["a"], ["A"]) == {"easy": ["a"]}
