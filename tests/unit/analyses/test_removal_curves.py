"""Removal curves against the variants of the same names, scikit-learn, and a planted truth."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.neighbors import KNeighborsClassifier

from patchprobe import measurements
from patchprobe.analyses.patch_classification.classification import PatchClassifier
from patchprobe.analyses.removal_curves import report
from patchprobe.analyses.removal_curves.measure import COUNTED, measure, with_fewer_images
from patchprobe.errors import StoreError
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.tokens.black import read_black
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

IMAGES, SIDE, FEATURES, VOID = 40, 4, 20, 255
EVALUATED = 16
PLACES = SIDE * SIDE
REMOVALS = (*sorted(COUNTED), "drop-position-mean", "drop-norm")
LINEAR = {
    "learning_rates": [0.03, 0.1],
    "weight_decays": [0.0],
    "steps": 60,
    "batch_size": 256,
    "validation_fraction": 0.2,
}
OPTIONS = {
    "dataset": "d",
    "model": "m",
    "counts": [1, 6, 30],
    "penalty": 1e-4,
    "draw": 0,
    "images": None,
    "linear": LINEAR,
    "probe": {"batch_norm": False},
    "bootstrap": {"resamples": 100, "level": 0.9},
    "seed": 0,
    "threads": 1,
    "spec": "s",
}


def stores(seed=0):
    """Token, label and black store: classes in directions 5 to 12, position in 0 and 1, heavy noise in 13 to 18."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((FEATURES, FEATURES)))[0]
    ids = rng.integers(0, 3, (IMAGES, PLACES)).astype(np.uint8)
    parts = 0.2 * rng.standard_normal((IMAGES, PLACES, FEATURES))
    parts[..., 5:13] += rng.standard_normal((3, 8))[ids]
    row, column = np.divmod(np.arange(PLACES), SIDE)
    parts[..., 0], parts[..., 1] = 5.0 * row, 5.0 * column
    parts[..., 13:19] += 100 * rng.standard_normal((IMAGES, PLACES, 6))
    ids[:, 0] = VOID
    dark = np.zeros((PLACES, FEATURES))
    dark[:, 0], dark[:, 1] = row + 1, column + 1
    names = [f"i{image:02}" for image in range(IMAGES)]
    owners = {
        "tile": [f"{name}#r0c0" for name in names],
        "image_id": ("tile", names),
        "split": ("tile", ["evaluation" if image < EVALUATED else "train" for image in range(IMAGES)]),
    }
    dims = ("level", "layer", "tile", "patch", "feature")
    places = {"level": [0.0], "layer": [12], "patch_row": ("patch", row), "patch_col": ("patch", column)}
    tokens, black = (np.float32(one @ basis.T) for one in (parts, dark[None]))
    maps = ids.reshape(IMAGES, SIDE, SIDE).repeat(2, 1).repeat(2, 2)
    attributes = {"class_ids": [0, 1, 2], "class_names": ["a", "b", "c"], "void_id": VOID}
    return (
        xr.Dataset({"tokens": (dims, tokens[None, None])}, coords={**owners, **places}),
        xr.Dataset({"label": (("tile", "y", "x"), maps)}, coords=owners, attrs=attributes),
        xr.Dataset({"tokens": (dims, black[None, None])}, coords=places),
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The stores, and the rows as tables and figures get them."""
    tokens, labels, black = stores()
    path = tmp_path_factory.mktemp("curves") / "rows.parquet"
    measurements.write(measure(tokens, labels, [black], removals=REMOVALS, **OPTIONS), path)
    return tokens, labels, black, measurements.read([path])


def accuracy(rows, method="1-nn"):
    own = rows[(rows["metric"] == "patch_accuracy") & (rows["method"] == method)]
    return own.set_index(["variant", "at"])["value"]


def test_every_point_is_the_variant_of_that_name(measured):
    tokens, labels, black, rows = measured
    training = labelled_tokens(tokens, labels, "train")
    sample = sample_of(training, read_black([black]))
    truth = labels.label.values[:EVALUATED, ::2, ::2].reshape(EVALUATED, PLACES)
    points = [("", 0), *accuracy(rows).index.difference([("", 0)])]
    for removal, count in points:
        counted = {"features": int(count)} if count else {}
        more = {"drop-random": {"seed": 0}, "drop-position-planes": {"penalty": 1e-4}}.get(removal, {})
        view = fit_variant({"transform": removal, **counted, **more} if removal else None, sample, key="k")
        options = ProbeOptions(**LINEAR)
        fitted = view(training.tokens, training.places)
        probe = fit_probe(fitted, training.ids, training.images, options, seed=0)
        classified = PatchClassifier(training, probe, view, threads=1).classify(tokens, level=0)
        for method, ids in zip(("1-nn", "linear"), classified, strict=True):
            right = (ids == truth)[truth != VOID].mean()
            assert accuracy(rows, method)[removal, count] == pytest.approx(right, abs=1e-9), (removal, count, method)


def test_the_planted_noise_is_found_by_the_removal_of_components_alone(measured):
    *_, rows = measured
    found = accuracy(rows)
    assert found["", 0] < 0.55  # chance is 1/3
    assert found["drop-top-components", 6] > 0.95 > 0.7 > found["drop-top-components", 1]
    for removal in ("drop-top-variance", "drop-random", "drop-position-planes"):
        assert found[removal, 6] < 0.55, removal
    assert max(found["drop-position", 1], found["drop-position-mean", 0], found["drop-norm", 0]) < 0.55


def test_nearest_neighbours_by_scikit_learn(measured):
    """On tokens without the principal components of scikit-learn's SVD, that is, of numpy here."""
    tokens, labels, _, rows = measured
    values, ids = tokens.tokens.values[0, 0].astype(np.float64), labels.label.values[:, ::2, ::2].reshape(IMAGES, -1)
    known, learnt = ids[EVALUATED:] != VOID, values[EVALUATED:]
    bank, own = learnt[known], ids[EVALUATED:][known]
    axes = np.linalg.svd(bank - bank.mean(axis=0), full_matrices=False)[2][:6]
    without = [one - (one @ axes.T) @ axes for one in (bank, values[:EVALUATED][ids[:EVALUATED] != VOID])]
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(without[0], own)
    expected = nearest.score(without[1], ids[:EVALUATED][ids[:EVALUATED] != VOID])
    assert accuracy(rows)["drop-top-components", 6] == pytest.approx(expected)


def test_numbers_that_there_are_not_are_left_out_and_logged(measured, caplog):
    tokens, labels, black, rows = measured
    by_removal = accuracy(rows).reset_index().groupby("variant")["at"].apply(sorted).to_dict()
    assert by_removal.pop("drop-position") == [1.0]  # two directions
    assert by_removal.pop("") == by_removal.pop("drop-norm") == by_removal.pop("drop-position-mean") == [0.0]
    assert all(counts == [1.0, 6.0] for counts in by_removal.values()) and len(by_removal) == 4
    blind = black.assign(tokens=black.tokens * 0)
    with caplog.at_level(logging.WARNING):
        rows = pd.DataFrame(measure(tokens, labels, [blind], removals=["drop-position"], **OPTIONS))
    assert "drop-position of m: there are 0 directions to take out at most; numbers left out: 1, 6, 30" in caplog.text
    assert set(rows["variant"]) == {""}


def test_fewer_images_are_the_same_for_all_models(measured):
    tokens, labels, black, _ = measured
    some = with_fewer_images(tokens, 5, 0)
    names = np.unique(some.image_id.values[some.split.values == "evaluation"])
    assert len(names) == 5 and (some.split == "train").sum() == IMAGES - EVALUATED
    assert set(names) < set(with_fewer_images(tokens, 9, 0).image_id.values)
    assert with_fewer_images(tokens, 99, 0) is tokens
    rows = pd.DataFrame(measure(tokens, labels, [black], removals=["drop-norm"], **(OPTIONS | {"images": 5})))
    assert rows.query("metric == 'patch_accuracy'")["n"].unique().tolist() == [5 * (PLACES - 1)]


def test_tables_and_figures_have_every_point(measured, tmp_path):
    *_, rows = measured
    both = pd.concat([rows, rows.assign(model="raw-pixels", value=rows["value"] / 2)], ignore_index=True)
    outputs = [tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    report.table(both, outputs, models=["m", "raw-pixels"], removals=REMOVALS, interval=0.9)
    page = outputs[1].read_text()
    scores = rows[(rows["metric"] == "pixel_miou") & (rows["method"] == "1-nn")].set_index(["variant", "at"])["value"]
    assert "linear probe" in page
    page = page.split("## ")[1]  # 1-NN
    lines = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| m")}
    columns = ["0", "1", "6", "no number"]
    for (removal, count), score in scores.items():
        for line in [f"m {removal}"] if removal else [f"m {name}" for name in REMOVALS]:
            place = columns.index("no number" if removal and not count else f"{count:g}")
            assert f"{score:.3f}" in lines[line].strip("| ").split(" | ")[1 + place], (removal, count)
    assert len(lines) == 1 + len(REMOVALS)  # the head of the table too
    assert "raw-pixels drop-norm" in page
    figure = [tmp_path / "figure.svg"]
    report.figure(both, figure, dataset="d", model="m", removals=REMOVALS, controls=["random-vit", "raw-pixels"])
    assert figure[0].stat().st_size > 10_000
    mixed = both.assign(seed=np.where(both["model"] == "m", 0, 1))
    with pytest.raises(StoreError, match="cannot share a table"):
        report.figure(mixed, figure, dataset="d", model="m", removals=REMOVALS, controls=[])


def test_the_table_says_that_nothing_was_taken_out(measured, tmp_path):
    *_, rows = measured
    alone, page, figure = rows[rows["variant"] == ""], tmp_path / "table.md", tmp_path / "figure.svg"
    report.table(alone, [page], models=["m"], removals=REMOVALS, interval=0.9)
    score = alone.query("metric == 'pixel_miou' and method == '1-nn'")["value"].item()
    assert (
        f"| m | **{score:.3f}**" in page.read_text()
        and f"Without a line: m {', '.join(REMOVALS)}. There are fewer" in page.read_text()
    )
    report.figure(alone, [figure], dataset="d", model="m", removals=REMOVALS, controls=[])
    assert figure.stat().st_size > 1_000
