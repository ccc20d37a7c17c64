"""Shared features of highest variance, against sets counted by hand."""

import logging

import numpy as np
import pandas as pd
import pytest

from patchprobe import measurements
from patchprobe.analyses.variance_overlap.measure import measure
from patchprobe.tokens.transforms import feature_count

TOP = {"ade": [0, 1, 2, 3], "city": [2, 3, 4, 5], "fair": [0, 1, 2, 9]}
SHARED = {("ade", "city"): 2, ("ade", "fair"): 3, ("city", "fair"): 1}


def spectra(features=10):
    """The rows of a variance spectrum whose four highest features are known for every data set, in mixed order."""
    rows = [
        {
            "dataset": dataset,
            "model": "m",
            "variant": "",
            "layer": 12,
            "feature": feature,
            "value": float(feature in top) + feature / 100,
        }
        for dataset, top in TOP.items()
        for feature in range(features)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.mark.parametrize("asked", [4, 0.4])
def test_every_pair_is_counted(asked, tmp_path):
    measurements.write(measure(spectra(), model="m", features=asked, seed=0, spec="s"), tmp_path / "rows.parquet")
    table = measurements.read([tmp_path / "rows.parquet"])
    shared = table[table["metric"] == "shared_features"].set_index(["dataset", "other_dataset"])
    assert {pair: value * 4 for pair, value in shared["value"].items()} == pytest.approx(SHARED)
    chance = table[table["metric"] == "shared_features_by_chance"]
    assert set(table["n"]) == {4} and len(chance) == 3
    draw = np.random.default_rng(0)
    drawn = [len(np.intersect1d(draw.permutation(10)[:4], draw.permutation(10)[:4])) / 4 for _ in range(4000)]
    np.testing.assert_allclose(chance["value"], np.mean(drawn), atol=0.02)


def test_a_model_of_few_features_is_compared_by_the_papers_share(caplog):
    with caplog.at_level(logging.WARNING):
        rows = pd.DataFrame(measure(spectra(), model="m", features=200, seed=0, spec="s"))
    # 200 / 768 of 10, rounded.
    assert set(rows["n"]) == {3}
    assert "the model has 10 features, and not more than 200: 3 are compared" in caplog.text
    expected = pd.DataFrame(measure(spectra(), model="m", features=3, seed=0, spec="s"))
    pd.testing.assert_frame_equal(rows, expected)


def test_numbers_below_one_are_shares():
    assert [feature_count(asked, 192) for asked in (1, 50, 0.25, 0.001, 200)] == [1, 50, 48, 1, 200]
