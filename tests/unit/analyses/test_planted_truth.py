"""A data set whose truth is known: the analyses must report that the features of highest variance hide the classes.

Of 300 features 200 are noise of huge variance, and 100 of small variance tell the class. What the analyses have to find
follows from that by arithmetic. The squared distance of two patches is a sum over features. Noise of deviation 50 brings
2 x 50^2 x 200 = 10^6 on average, which varies by sqrt(8 x 200) x 50^2 = 10^5 from pair to pair; another class adds
2 x 100 = 200. So 1-NN guesses, and of four equally frequent classes a guess is right in 1/4 of the patches, with an IoU
of (1/16) / (1/4 + 1/4 - 1/16) = 1/7. Without the noise the distances are 200 within a class and 400 between classes,
which vary by some tens: 1-NN errs hardly ever.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from patchprobe import measurements
from patchprobe.analyses.layers import measure as layers
from patchprobe.analyses.paired_differences import measure as paired_differences
from patchprobe.analyses.patch_classification import classification as patch_classification
from patchprobe.analyses.removal_sweep import measure as removal_sweep
from patchprobe.analyses.variance_spectrum import measure as variance_spectrum
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

IMAGES, SIDE, FEATURES, HUGE = 72, 4, 300, 200  # one tile an image; the first third is for evaluation
EVALUATED = IMAGES // 3
CLASSES = ["road", "sky", "car", "pole"]
CHANCE, CHANCE_IOU = 1 / 4, 1 / 7
BOOTSTRAP = {"resamples": 200, "level": 0.95}
OPTIONS = ProbeOptions(learning_rates=(0.01, 0.1), weight_decays=(0.0,), steps=200, batch_size=256, batch_norm=True)
COUNTS = (0, 100, 190, 200, 250)
VARIANTS = {
    "": None,
    "drop-200": {"transform": "drop-top-variance", "features": HUGE},
    "junk": {"transform": "keep-top-variance", "features": HUGE},
    "random-200": {"transform": "drop-random", "features": HUGE, "seed": 0},
    "batch-norm": {"transform": "batch-norm"},
    "centre": {"transform": "centre"},
    "pca-whiten": {"transform": "pca-whiten"},
}
COLUMNS = {"dataset": "planted", "model": "mae-like", "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s"}


def planted_arrays():
    """Tokens (block, tile, patch, feature), of which block 11 lacks the noise, label maps and the noisy features."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, len(CLASSES), (IMAGES, SIDE * SIDE)).astype(np.uint8)
    noisy = np.sort(rng.permutation(FEATURES)[:HUGE])
    centres = rng.standard_normal((len(CLASSES), FEATURES))
    signal = centres[ids] + rng.standard_normal((IMAGES, SIDE * SIDE, FEATURES))
    signal[..., noisy] = 0
    noise = np.zeros_like(signal)
    noise[..., noisy] = 50 * rng.standard_normal((IMAGES, SIDE * SIDE, HUGE))
    tokens = np.stack([signal, signal + noise]).astype(np.float16)
    return tokens, ids.reshape(-1, SIDE, SIDE).repeat(2, 1).repeat(2, 2), noisy


def written_stores(folder, tokens, maps):
    """Write the token store and the label store as extraction and tiling do, and open them."""
    names = [f"i{tile:02}" for tile in range(IMAGES)]
    owners = {
        "tile": [f"{name}#r0c0" for name in names],
        "image_id": names,
        "split": ["evaluation" if tile < EVALUATED else "train" for tile in range(IMAGES)],
    }
    with build_store(folder / "clean.zarr", spec="{}", code="c") as build:
        dims = ("level", "layer", "tile", "patch", "feature")
        build.array("tokens", tokens[None].shape, (1, 1, 32, SIDE * SIDE, FEATURES), np.float16, dims)[...] = tokens[
            None
        ]
        row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
        for name, values in owners.items():
            build.coordinate(name, values, ("tile",))
        build.coordinate("level", [0.0], ("level",))
        build.coordinate("layer", [11, 12], ("layer",))
        build.coordinate("patch_row", row, ("patch",))
        build.coordinate("patch_col", column, ("patch",))
    with build_store(folder / "labels.zarr", spec="{}", code="c") as build:
        build.array("label", maps.shape, (32, *maps.shape[1:]), np.uint8, ("tile", "y", "x"))[...] = maps
        for name, values in owners.items():
            build.coordinate(name, values, ("tile",))
        build.attributes(class_ids=[0, 1, 2, 3], class_names=CLASSES, void_id=255)
    return open_store(folder / "clean.zarr"), open_store(folder / "labels.zarr")


def read_back(rows, path):
    """The rows as tables and figures get them."""
    measurements.write(rows, path)
    return measurements.read([path])


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The stores, and the rows of all analyses on them."""
    folder = tmp_path_factory.mktemp("planted")
    tokens, maps, noisy = planted_arrays()
    features, labels = written_stores(folder, tokens, maps)
    training = labelled_tokens(features, labels, "train")
    truth = labels.label[:EVALUATED].expand_dims(level=[0.0])
    rows, predictions = [], {}
    for name, entry in VARIANTS.items():
        transform = fit_variant(entry, sample_of(training), key=name)
        probe = fit_probe(transform(training.tokens), training.ids, training.images, OPTIONS, seed=0)
        classifier = patch_classification.PatchClassifier(training, probe, transform, threads=1)
        with build_store(folder / f"{name or 'plain'}.zarr", spec="{}", code="c") as build:
            patch_classification.write_predictions(build, features, lambda ready=classifier: ready)
        predictions["mae-like", name] = open_store(folder / f"{name or 'plain'}.zarr")
        found = patch_classification.read_predictions(predictions["mae-like", name])
        rows += patch_classification.score(found, truth, labels.attrs, variant=name, corruption="clean", **COLUMNS)
    swept = removal_sweep.sweep(training, features, COUNTS, OPTIONS, seed=0, threads=1)
    spectrum = {key: value for key, value in COLUMNS.items() if key != "bootstrap"}
    return SimpleNamespace(
        noisy=noisy,
        classified=read_back(rows, folder / "classified.parquet"),
        swept=read_back(removal_sweep.score(swept, features, labels, **COLUMNS), folder / "swept.parquet"),
        spectrum=read_back(
            variance_spectrum.variance_rows(training, layer=12, **spectrum), folder / "spectrum.parquet"
        ),
        layers=read_back(
            layers.measure(features, labels, easy_classes=["road"], threads=1, **COLUMNS), folder / "layers.parquet"
        ),
        pairs=paired_differences.measure(
            list(predictions.values()),
            labels,
            views=list(predictions),
            **{key: value for key, value in COLUMNS.items() if key != "model"},
        ),
    )


def scores(rows, metric, *by):
    return rows[rows["metric"] == metric].set_index(list(by))["value"]


def test_nearest_neighbours_fail_and_the_probe_succeeds(planted):
    for level in ("patch", "pixel"):  # every patch is of one class, so both levels agree
        accuracy = scores(planted.classified, f"{level}_accuracy", "variant", "method")
        miou = scores(planted.classified, f"{level}_miou", "variant", "method")
        # 384 patches: a guess varies by sqrt(1/4 x 3/4 / 384) = 0.022.
        assert accuracy["", "1-nn"] == pytest.approx(CHANCE, abs=0.09)
        assert miou["", "1-nn"] == pytest.approx(CHANCE_IOU, abs=0.06)
        assert accuracy["", "linear"] > 0.95 and miou["", "linear"] > 0.9


def test_dropping_repairs_nearest_neighbours_and_nothing_else_of_the_paper_does(planted):
    accuracy = scores(planted.classified, "pixel_accuracy", "variant", "method")
    assert accuracy["drop-200", "1-nn"] > 0.99 and accuracy["drop-200", "linear"] > 0.99
    # Junk is useless to both, and 100 features left at random are two thirds noise.
    assert accuracy["junk", "1-nn"] == pytest.approx(CHANCE, abs=0.09)
    assert accuracy["junk", "linear"] == pytest.approx(CHANCE, abs=0.09)
    assert accuracy["random-200", "1-nn"] == pytest.approx(CHANCE, abs=0.09)
    # Centring moves no distance.
    assert accuracy["centre", "1-nn"] == accuracy["", "1-nn"]


def test_standardising_repairs_by_the_share_of_the_signal(planted):
    """Every feature gets the variance 1, and the signal, 1 within classes and about 3/4 between them, 1/1.75 of its own.

    Another class then adds 200 / 1.75 = 114 to a squared distance of 400 + 114 that varies by
    sqrt(8 x 200 + 8 x 100 / 1.75^2) = 43: the nearest of 768 is often of the class, and not always.
    """
    accuracy = scores(planted.classified, "pixel_accuracy", "variant", "method")
    assert 0.6 < accuracy["batch-norm", "1-nn"] < accuracy["drop-200", "1-nn"]


def test_whitening_shrinks_the_signal_too(planted):
    """The classes lie along three axes of 300, which all get the variance 1: another class adds 8 to a squared distance
    of 600 that varies by sqrt(8 x 300) = 49, which leaves 1-NN far from what the features hold."""
    accuracy = scores(planted.classified, "pixel_accuracy", "variant", "method")
    assert accuracy["pca-whiten", "1-nn"] < 0.5 < 0.7 < accuracy["pca-whiten", "linear"]


def test_intervals_of_differences_say_what_is_certain(planted):
    rows = planted.pairs[planted.pairs["metric"] == "pixel_accuracy"]
    rows = rows.set_index(["variant", "other_variant", "method"])
    repaired = rows.loc[("", "drop-200", "1-nn")]
    assert repaired["excludes_zero"] and repaired["ci_high"] < -0.6
    assert repaired["value"] == pytest.approx(CHANCE - 1, abs=0.09)
    # The noise costs the probe little and the centre nothing.
    assert abs(rows.loc[("", "drop-200", "linear")]["value"]) < 0.05
    assert rows.loc[("", "centre", "1-nn")][["value", "ci_low", "ci_high"]].tolist() == [0, 0, 0]
    assert not rows.loc[("", "centre", "1-nn")]["excludes_zero"]
    assert rows.loc[("drop-200", "junk", "1-nn")]["excludes_zero"]


def test_spectrum_shows_the_huge_features(planted):
    variance = planted.spectrum.set_index("feature")["value"].sort_index()
    assert len(variance) == FEATURES
    # Noise has 2,500, and a signal of deviation 1 around four centres of deviation 1 some units.
    assert np.flatnonzero(variance > 100).tolist() == planted.noisy.tolist()
    assert variance[planted.noisy].min() > 2000 and variance.drop(planted.noisy).max() < 10


def test_sweep_is_best_once_the_noise_is_gone(planted):
    for metric in ("pixel_accuracy", "pixel_miou"):
        value = scores(planted.swept, metric, "at", "method")
        best = max(COUNTS, key=lambda count: value[count, "1-nn"])
        assert best >= HUGE
        assert value[HUGE, "1-nn"] > 0.98 and value[0, "1-nn"] < 0.35 and value[100, "1-nn"] < 0.35
        assert all(value[count, "linear"] > 0.9 for count in COUNTS)
    # What the sweep leaves out is what the variants leave out.
    one = scores(planted.classified, "pixel_accuracy", "variant", "method")
    swept = scores(planted.swept, "pixel_accuracy", "at", "method")
    assert swept[HUGE, "1-nn"] == one["drop-200", "1-nn"] and swept[0, "1-nn"] == one["", "1-nn"]


def test_layers_show_the_block_in_which_the_noise_appears(planted):
    for metric in ("pixel_accuracy", "pixel_miou_easy", "pixel_miou_rest"):
        value = scores(planted.layers, metric, "layer")
        assert list(value.index) == [11, 12] and value[11] > 0.98 and value[12] < 0.35


def test_rows_name_what_they_are_of(planted):
    for rows in (planted.classified, planted.swept, planted.layers):
        assert isinstance(rows, pd.DataFrame) and set(rows["dataset"]) == {"planted"}
        whole = rows[rows["class"] == ""]
        assert (whole["ci_low"] <= whole["value"]).all() and (whole["value"] <= whole["ci_high"]).all()
