"""The removal sweep and classification of variants against scikit-learn, and a planted truth that they must find."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, jaccard_score
from sklearn.neighbors import KNeighborsClassifier

from patchprobe import measurements
from patchprobe.analyses.patch_classification import classification as patch_classification
from patchprobe.analyses.removal_sweep import measure as removal_sweep
from patchprobe.analyses.variance_spectrum import measure as variance_spectrum
from patchprobe.errors import ConfigError, DataError
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

TILES, EVALUATED, FEATURES, HUGE = 24, 12, 14, 2
COUNTS = (0, 1, 2, 5, 10)
VOID = 255
OPTIONS = ProbeOptions(learning_rates=(0.03, 0.1), weight_decays=(0.0,), steps=300, batch_size=512)


def stores(seed=0, float_type=np.float32):
    """Token and label stores as they are read: 4 x 4 patches of 2 px, the class in all but two huge noisy features."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (TILES, 16)).astype(np.uint8)
    labels[:, 0] = VOID
    centres = 1.2 * rng.standard_normal((3, FEATURES))
    tokens = centres[labels % 3] + 0.8 * rng.standard_normal((TILES, 16, FEATURES)) * np.linspace(1, 2, FEATURES)
    tokens[..., [3, 8]] = 60 * rng.standard_normal((TILES, 16, HUGE))
    names = [f"i{t // 2}#{t % 2}" for t in range(TILES)]
    coordinates = {
        "tile": names,
        "image_id": ("tile", [name.split("#")[0] for name in names]),
        "split": ("tile", ["evaluation"] * EVALUATED + ["train"] * (TILES - EVALUATED)),
    }
    row, column = np.divmod(np.arange(16), 4)
    features = xr.Dataset(
        {"tokens": (("level", "layer", "tile", "patch", "feature"), tokens[None, None].astype(float_type))},
        coords=coordinates
        | {"level": [0.0], "layer": [12], "patch_row": ("patch", row), "patch_col": ("patch", column)},
    )
    maps = labels.reshape(TILES, 4, 4).repeat(2, 1).repeat(2, 2)
    attributes = {"class_ids": [0, 1, 2], "class_names": ["a", "b", "c"], "void_id": VOID}
    return features, xr.Dataset({"label": (("tile", "y", "x"), maps)}, coords=coordinates, attrs=attributes)


@pytest.fixture(scope="module", params=[np.float32, np.float16], ids=["float32", "float16"])
def swept(request):
    features, labels = stores(float_type=request.param)
    training = labelled_tokens(features, labels, "train")
    found = removal_sweep.sweep(training, features, COUNTS, OPTIONS, seed=0, threads=2)
    return features, labels, training, found


def evaluation(features, labels):
    """Return tokens and labels of all evaluation patches, void ones included."""
    return features.tokens.values[0, 0, :EVALUATED], labels.label.values[:EVALUATED, ::2, ::2].reshape(EVALUATED, 16)


def left(training, count):
    """The features that are left, by numpy alone."""
    return np.sort(np.argsort(training.tokens.astype(np.float64).var(axis=0))[: FEATURES - count])


def test_nearest_neighbours_are_those_of_scikit_learn_for_every_count(swept):
    features, labels, training, found = swept
    queries, _ = evaluation(features, labels)
    assert list(found) == list(COUNTS)
    for count in COUNTS:
        kept = left(training, count)
        reference = KNeighborsClassifier(1, algorithm="brute").fit(
            training.tokens[:, kept].astype(np.float64), training.ids
        )
        expected = reference.predict(queries[..., kept].reshape(-1, len(kept)).astype(np.float64))
        np.testing.assert_array_equal(found[count]["1-nn"], expected.reshape(EVALUATED, 16))


def test_linear_probes_agree_with_scikit_learn_for_every_count(swept):
    features, labels, training, found = swept
    queries, _ = evaluation(features, labels)
    for count in COUNTS:
        kept = left(training, count)
        known = training.tokens[:, kept].astype(np.float64)
        mean, spread = known.mean(axis=0), known.std(axis=0)
        reference = LogisticRegression(C=1e6, max_iter=5000).fit((known - mean) / spread, training.ids)
        expected = reference.predict((queries[..., kept].reshape(-1, len(kept)).astype(np.float64) - mean) / spread)
        # The minimum is flat, and minibatches stop near it.
        assert (found[count]["linear"].ravel() == expected).mean() > 0.9, count


def rows_of(swept):
    features, labels, _, found = swept
    return removal_sweep.score(
        found, features, labels, dataset="d", model="m", bootstrap={"resamples": 100, "level": 0.9}, seed=0, spec="s"
    )


def test_scores_are_those_of_scikit_learn(swept, tmp_path):
    features, labels, _, found = swept
    _, truth = evaluation(features, labels)
    scored = truth != VOID
    measurements.write(rows_of(swept), tmp_path / "rows.parquet")  # the schema takes them
    rows = measurements.read([tmp_path / "rows.parquet"]).set_index(["at", "method", "metric", "class"])
    assert rows.index.is_unique and set(rows["protocol"]) == {"removal-sweep-v1"}
    for count in COUNTS:
        for method in ("1-nn", "linear"):
            ids = found[count][method][scored]
            iou = jaccard_score(truth[scored], ids, average=None, labels=[0, 1, 2])
            expected = {("patch_accuracy", ""): accuracy_score(truth[scored], ids), ("patch_miou", ""): iou.mean()}
            expected |= {("patch_iou", name): value for name, value in zip("abc", iou, strict=True)}
            for key, value in expected.items():
                row = rows.loc[(count, method, *key)]
                assert row["value"] == pytest.approx(value)
                # A patch is 2 x 2 px here and has one class, so pixels say the same.
                assert rows.loc[(count, method, key[0].replace("patch", "pixel"), key[1]), "value"] == row["value"]
                assert row["ci_low"] <= row["ci_high"] and row["n"] == scored.sum()


def test_planted_signal_is_found_by_removal_and_by_the_probe(swept):
    rows = pd.DataFrame(rows_of(swept)).query("metric == 'patch_accuracy'").set_index(["at", "method"])["value"]
    assert rows[0, "1-nn"] < 0.55  # chance is 1/3; the huge noise hides the classes
    assert rows[2, "1-nn"] > 0.9
    # One huge feature alone leaves the choice to the classes where training patches lie close in it.
    assert rows[0, "1-nn"] < rows[1, "1-nn"] < rows[2, "1-nn"] > rows[10, "1-nn"]
    assert rows[0, "linear"] > 0.9 and abs(rows[0, "linear"] - rows[2, "linear"]) < 0.06


def test_junk_is_useless_and_variants_equal_the_sweep(swept):
    features, labels, training, found = swept
    _, truth = evaluation(features, labels)
    scored = truth != VOID

    def classify(entry):
        transform = fit_variant(entry, sample_of(training), key="k")
        probe = fit_probe(transform(training.tokens), training.ids, training.images, OPTIONS, seed=0)
        return patch_classification.PatchClassifier(training, probe, transform, threads=1).classify(features, level=0)

    for entry, count in ((None, 0), ({"transform": "drop-top-variance", "features": 2}, 2)):
        for ids, method in zip(classify(entry), ("1-nn", "linear"), strict=True):
            np.testing.assert_array_equal(ids, found[count][method])
    zeroed = classify({"transform": "zero-top-variance", "features": 2})
    np.testing.assert_array_equal(zeroed[0], found[2]["1-nn"])
    for ids in classify({"transform": "keep-top-variance", "features": 2}):
        assert (ids[scored] == truth[scored]).mean() < 0.55


def test_numbers_that_leave_no_feature_are_left_out_and_logged(caplog):
    with caplog.at_level(logging.WARNING):
        assert removal_sweep.counts_below([20, 0, 192, 5, 500], 192) == [0, 5, 20]
    assert "the model has 192 features: removing 192, 500 is left out" in caplog.text
    with pytest.raises(ConfigError, match=r"removal_sweep\.features holds no number below 12"):
        removal_sweep.counts_below([12, 20], 12)


def test_nothing_but_void_is_refused():
    features, labels = stores()
    labels.label[:EVALUATED] = VOID
    ids = {0: {"1-nn": np.zeros((EVALUATED, 16), np.uint8)}}
    with pytest.raises(DataError, match="no patch of d on clean tiles has a class"):
        removal_sweep.score(
            ids, features, labels, dataset="d", model="m", bootstrap={"resamples": 100, "level": 0.9}, seed=0, spec="s"
        )


def test_spectrum_is_the_variance_of_labelled_training_patches(tmp_path):
    features, labels = stores()
    training = labelled_tokens(features, labels, "train")
    rows = variance_spectrum.variance_rows(training, dataset="d", model="m", layer=12, seed=0, spec="s")
    measurements.write(rows, tmp_path / "rows.parquet")
    back = measurements.read([tmp_path / "rows.parquet"]).set_index("feature")
    tokens, ids = features.tokens.values[0, 0, EVALUATED:], labels.label.values[EVALUATED:, ::2, ::2].reshape(-1, 16)
    expected = tokens[ids != VOID].astype(np.float64).var(axis=0)
    np.testing.assert_allclose(back["value"].sort_index(), expected, rtol=1e-12)
    assert back["value"].nlargest(2).index.tolist() in ([3, 8], [8, 3])
    assert set(back["n"]) == {int((ids != VOID).sum())} and set(back["metric"]) == {"feature_variance"}
