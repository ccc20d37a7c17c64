"""Subsets of training images, and both classifiers on them, against scikit-learn."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import jaccard_score
from sklearn.neighbors import KNeighborsClassifier
from token_stores import BOOTSTRAP, VOID, stores

from patchprobe import measurements
from patchprobe.analyses.training_size.measure import nested_subsets, size_rows
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.tokens.labelled import labelled_tokens

IMAGES = [f"{city}/{i}" for city in ("aachen", "bonn", "ulm") for i in range(6)]
CITIES = [image.split("/")[0] for image in IMAGES]


def of_each(subset):
    return Counter(image.split("/")[0] for image in subset)


@pytest.mark.parametrize(
    ("per_group", "counts"), [(None, [1, 2, 4, 6]), ([3, 1], [1, 3]), ([6], [6]), ([2, 6], [2, 6])]
)
def test_subsets_have_equally_many_of_each_group_and_are_nested(per_group, counts):
    subsets = nested_subsets(IMAGES, CITIES, per_group=per_group, seed=0)
    assert [of_each(subset) for subset in subsets] == [dict.fromkeys(set(CITIES), count) for count in counts]
    for smaller, larger in pairwise(subsets):
        assert set(smaller) < set(larger)


def test_subsets_without_groups_are_shares():
    subsets = nested_subsets(IMAGES, [""] * 18, shares=[1.0, 0.01, 0.25, 0.02], seed=0)
    assert [len(subset) for subset in subsets] == [1, 4, 18]  # 4.5 is rounded to even; the smallest is one image
    assert set(subsets[0]) < set(subsets[1]) < set(subsets[2])


def test_draw_depends_on_seed_and_group_alone():
    draw = nested_subsets(IMAGES, CITIES, per_group=[2], seed=0)
    assert nested_subsets(IMAGES[::-1], CITIES[::-1], per_group=[2], seed=0) == draw
    alone = nested_subsets(IMAGES[:6], CITIES[:6], per_group=[2], seed=0)
    assert set(alone[0]) == {image for image in draw[0] if image.startswith("aachen")}
    assert any(nested_subsets(IMAGES, CITIES, per_group=[2], seed=seed) != draw for seed in (1, 2, 3))


def test_scores_of_every_size_are_those_of_scikit_learn(tmp_path):
    features, labels = stores((1.6,), images=16)
    training = labelled_tokens(features, labels, "train")
    names = sorted(set(training.images))
    subsets = nested_subsets(names, [""] * len(names), shares=[0.125, 0.5, 1.0], seed=3)
    options = ProbeOptions(learning_rates=(0.03, 0.1), steps=300, batch_size=512)
    own = {"dataset": "d", "model": "m", "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s", "threads": 1}
    rows = size_rows(training, features, labels, subsets, options, **own)
    measurements.write(rows, tmp_path / "rows.parquet")  # the schema takes them
    table = measurements.read([tmp_path / "rows.parquet"]).set_index(["at", "method", "metric", "class"])
    assert table.index.is_unique and set(table["protocol"]) == {"training-size-v1"}
    assert sorted(set(table.index.get_level_values(0))) == [1, 4, 8]
    truth = labels.label.values[:, ::2, ::2].reshape(-1, 16)
    tokens, image = features.tokens.values[0, 0].astype(np.float64), features.image_id.values
    evaluated = (features.split == "evaluation").values[:, None] & (truth != VOID)
    for subset in subsets:
        known = np.isin(image, subset)[:, None] & (truth != VOID)
        nearest = KNeighborsClassifier(1, algorithm="brute").fit(tokens[known], truth[known])
        iou = jaccard_score(truth[evaluated], nearest.predict(tokens[evaluated]), average=None, labels=[0, 1, 2])
        values = table["value"].loc[len(subset)]
        assert values["1-nn", "patch_miou", ""] == pytest.approx(iou.mean())
        linear = LogisticRegression(C=1e4, max_iter=5000).fit(tokens[known], truth[known])
        accuracy = linear.score(tokens[evaluated], truth[evaluated])
        # Minibatches stop near a flat minimum; one image alone can be separated in many ways.
        assert values["linear", "patch_accuracy", ""] == pytest.approx(accuracy, abs=0.1 if len(subset) > 1 else 0.2)
