"""Predictions are kept level by level, and scored from the store."""

import numpy as np
import pytest
from token_stores import BOOTSTRAP, stores

from patchprobe.analyses.patch_classification.classification import (
    PatchClassifier,
    read_predictions,
    score,
    write_predictions,
)
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.stores.file_list import read_manifest
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

OPTIONS = ProbeOptions(learning_rates=(0.1,), weight_decays=(0.0,), steps=20)


@pytest.fixture(scope="module")
def features():
    """Tokens of three levels, each noisier than the last."""
    clean, labels = stores([2.0])
    noise = np.random.default_rng(1).standard_normal(clean.tokens.shape)
    levels = np.concatenate([clean.tokens.values + apart * noise for apart in (0, 1, 2)])
    made = clean.isel(level=0).drop_vars("tokens").expand_dims(level=[0.0, 1.0, 2.0])
    made = made.assign(tokens=(("level", *clean.tokens.dims[1:]), levels))
    fixed = {name: (clean[name].dims, clean[name].values) for name in clean.coords if name != "level"}
    return made.drop_vars(fixed).assign_coords(fixed), labels


@pytest.fixture(scope="module")
def classifier(features):
    training = labelled_tokens(*features, "train")
    probe = fit_probe(training.tokens, training.ids, training.images, OPTIONS, seed=0)
    return PatchClassifier(training, probe, fit_variant(None, sample_of(training), key=""), threads=1)


class Counting:
    """A classifier that notes which levels it is asked for, and is interrupted at one."""

    def __init__(self, classifier, stop=None):
        self.levels, self._classifier, self._stop = [], classifier, stop

    def classify(self, features, level, progress):
        self.levels.append(level)
        if level == self._stop:
            raise KeyboardInterrupt
        return self._classifier.classify(features, level, progress)


def build(path, features, classifier):
    with build_store(path, spec="{}", code="") as made:
        write_predictions(made, features, lambda: classifier)
    return read_predictions(open_store(path, keep_spare=True))


def test_a_killed_search_goes_on_level_by_level_and_a_finished_one_is_not_made_again(features, classifier, tmp_path):
    whole = build(tmp_path / "whole.zarr", features[0], classifier)
    first, second, third = Counting(classifier, stop=1), Counting(classifier), Counting(classifier)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "cut.zarr", features[0], first)
    found = build(tmp_path / "cut.zarr", features[0], second)
    again = build(tmp_path / "cut.zarr", features[0], third)
    assert (first.levels, second.levels, third.levels) == ([0, 1], [1, 2], [])
    np.testing.assert_array_equal(found.ids, whole.ids)
    np.testing.assert_array_equal(again.ids, whole.ids)
    sums = [read_manifest(tmp_path / name)["sha256"] for name in ("whole.zarr", "cut.zarr")]
    assert sums[0] == sums[1]


def test_what_is_read_back_is_what_was_classified(features, classifier, tmp_path):
    tokens, labels = features
    found = build(tmp_path / "a.zarr", tokens, classifier)
    evaluated = tokens.split.values == "evaluation"
    assert found.grid == (4, 4) and found.layer == int(tokens.layer.values[-1])
    assert found.levels.tolist() == [0, 1, 2] and found.tiles.tolist() == tokens.tile.values[evaluated].tolist()
    for level in range(3):
        np.testing.assert_array_equal(found.ids[:, level], classifier.classify(tokens, level))
    truth = labels.label.sel(tile=found.tiles).expand_dims(level=found.levels)
    columns = {"dataset": "d", "model": "m", "variant": "", "corruption": "c", "seed": 0, "spec": "s"}
    rows = score(found, truth, labels.attrs, bootstrap=BOOTSTRAP, **columns)
    accuracy = {(row["method"], row["level"]): row["value"] for row in rows if row["metric"] == "patch_accuracy"}
    assert accuracy["1-nn", 0.0] > accuracy["1-nn", 2.0] and accuracy["linear", 0.0] > 0.8
