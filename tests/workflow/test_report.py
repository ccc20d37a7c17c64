"""The report of a finished run, and what its jobs asked for."""

import json
import os
import re
import zipfile

import pandas as pd
import pytest
from browsing import browser, opened
from projects import environment

from patchprobe.stores.reading import open_store
from patchprobe.tiles.patches import patch_labels
from patchprobe.tokens.labelled import grid

pytestmark = pytest.mark.workflow

EXTRACTIONS = {"extract", "extract_full_images", "extract_black"}
SEARCHES = {
    "patch_classification",
    "removal_sweep",
    "training_size",
    "layers",
    "full_images",
    "capi",
    "hummingbird",
    "explorer",
}


def test_report_holds_captioned_results_and_no_markup_errors(project):
    text = project.snakemake("--report", "results/report.zip").stdout
    assert "ERROR/3" not in text and "WARNING/2" not in text
    with zipfile.ZipFile(project.folder / "results/report.zip") as archive:
        page = archive.read("report/report.html").decode()
        names = archive.namelist()
    assert "System Message" not in page
    for path in ["tables/patch_classification.html", "tables/datasets.csv", "figures/clean_scores.svg"]:
        assert f"results/{path}" in page
    assert "results/tables/variance_spectrum.html" in page and "results/tables/removal_sweep.csv" in page
    for kind in [
        "class_iou",
        "corruptions",
        "robustness",
        "segmentations",
        "variance_spectrum",
        "removal_sweep",
        "layers",
        "training_size",
        "global_context",
        "full_images",
        "protocols",
    ]:
        assert f"results/figures/{kind}.streets.svg" in page and f"results/figures/{kind}.streets.png" in page
    for word in ["Figures", "Sheets", "Tables", "mIoU over pixels", "Where to look"]:
        assert word in page
    assert any(name.endswith("patch_classification.html") for name in names)


def test_pages_work_in_the_report_and_beside_the_results(project, tmp_path):
    """Figures and tables are where the page of all tables looks for them; the report names folders for the paths of files."""
    project.snakemake("--report", "results/report.zip")
    with zipfile.ZipFile(project.folder / "results/report.zip") as archive:
        archive.extractall(tmp_path)
    (inside,) = tmp_path.glob("report/data/raw/*/results.html")
    with browser() as chromium:
        for path in (inside, project.folder / "results/pages/results.html"):
            with opened(chromium, path) as page:
                for number in range(page.locator("#table option").count()):
                    page.locator("#table").select_option(str(number))
                    links = page.locator("#links a, #pages a").evaluate_all(
                        "all => all.map(one => one.getAttribute('href'))"
                    )
                    assert len(links) >= 2 and all((path.parent / link).is_file() for link in links)
        (inside,) = tmp_path.glob("report/data/raw/*/explorer.streets.html")
        with opened(chromium, inside) as page:
            assert page.locator(".cards li").count() == 2 * 4
    assert all(path.stat().st_size <= 10_000_000 for path in project.folder.glob("results/pages/*.html"))


def test_neighbours_of_the_explorer_are_those_of_1nn(finished):
    """How often the nearest training patch has the class of a patch is the accuracy of 1-NN, over the same images."""
    found = pd.read_csv(finished.folder / "results/streets/explorer/pixels-a.csv", keep_default_na=False)
    predictions = open_store(finished.folder / "results/streets/predictions/pixels-a/clean.zarr").sel(
        {"method": "1-nn"}
    )
    tokens = open_store(finished.folder / "results/streets/features/pixels-a/clean.zarr")
    labels = open_store(finished.folder / "results/streets/labels.zarr")
    for row in found[(found.variant == "") & (found.removed == 0)].itertuples():
        part = predictions.isel(level=0, tile=predictions.image_id.values == row.image)
        truth = patch_labels(labels.label.sel(tile=part.tile.values).values, grid(tokens)).reshape(part.tile.size, -1)
        known = truth != labels.attrs["void_id"]
        assert row.same_class == pytest.approx((part.prediction.values == truth)[known].mean())


# With what nvidia-smi lists, whatever the machine has; that cuda means a GPU is looked for by jobs and not by a dry run. The profile
# grants one, so that extractions follow one another; where the processor extracts, they run side by side.
@pytest.mark.parametrize(
    ("device", "listed", "asking"),
    [
        ("auto", "", set()),
        ("auto", "GPU 0: NVIDIA H100 (UUID: GPU-1)", EXTRACTIONS | SEARCHES),
        ("cpu", "GPU 0: NVIDIA H100 (UUID: GPU-1)", set()),
        ("cuda", "", EXTRACTIONS | SEARCHES),
    ],
)
def test_gpus_are_asked_for_where_the_device_means_one(project, tmp_path, monkeypatch, device, listed, asking):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    command = tmp_path / "bin/nvidia-smi"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\necho '{listed}'\n")
    command.chmod(0o755)
    project.variables = {"PATH": f"{command.parent}{os.pathsep}{environment()['PATH']}"}
    text = project.snakemake(
        "--cores", "2", "--dry-run", "--forceall", "--config", f"device={device}", "--", "all"
    ).stdout
    jobs = re.split(r"\n(?:local)?rule ", text)[1:]
    assert len(jobs) > 20 and {job.split(":")[0] for job in jobs if "gpu=1" in job} == asking


def test_device_is_part_of_no_search(project):
    """Another device extracts again; the searches follow because of the tokens and for no reason of their own."""
    text = project.snakemake("--cores", "2", "--dry-run", "--config", "device=cpu", "--", "all").stdout
    jobs = re.split(r"\n(?:local)?rule ", text)[1:]
    assert {job.split(":")[0] for job in jobs} >= SEARCHES
    assert {job.split(":")[0] for job in jobs if "reason: Forced execution" in job} == EXTRACTIONS


def test_tables_hold_every_model_version_and_method(finished):
    table = read(finished.folder / "results/tables/patch_classification.csv")
    cells = table.groupby(["model", "variant", "corruption", "method"]).size()
    assert len(cells) == 3 * 3 * 2
    assert {"patch_accuracy", "patch_iou", "patch_miou", "pixel_accuracy", "pixel_iou", "pixel_miou"} == set(
        table.metric
    )
    assert set(table.loc[table.corruption == "noise", "level"]) == {10.0, 50.0}


def test_variance_tables_hold_every_model_and_number(finished):
    sweep = read(finished.folder / "results/tables/removal_sweep.csv")
    counts = {model: sorted(set(part["at"])) for model, part in sweep.groupby("model")}
    assert counts == {"pixels-a": [0, 20, 190], "pixels-b": [0, 20, 190, 500]}  # 192 and 768 features
    spectrum = read(finished.folder / "results/tables/variance_spectrum.csv")
    assert spectrum.groupby("model").size().to_dict() == {"pixels-a": 192, "pixels-b": 768}
    log = (finished.folder / "logs/removal_sweep/streets.pixels-a.log").read_text()
    assert "the model has 192 features: removing 500 is left out" in log


def test_variant_and_sweep_agree_where_they_are_the_same(finished):
    """1-NN without the 20 features of highest variance is computed by both analyses."""
    keys = ["metric", "class"]
    variant = read(finished.folder / "results/tables/patch_classification.csv")
    variant = variant[(variant.variant == "no-top-20") & (variant.corruption == "clean") & (variant.method == "1-nn")]
    sweep = read(finished.folder / "results/tables/removal_sweep.csv")
    sweep = sweep[(sweep.model == "pixels-a") & (sweep["at"] == 20) & (sweep.method == "1-nn")]
    columns = ["value", "ci_low", "ci_high", "n"]
    pd.testing.assert_frame_equal(
        variant.set_index(keys)[columns].sort_index(), sweep.set_index(keys)[columns].sort_index()
    )


def test_last_block_is_the_one_of_patch_classification(finished):
    """1-NN on clean tiles is computed by both analyses; a model of pixels has one block."""
    keys = ["model", "metric", "class"]
    classification = read(finished.folder / "results/tables/patch_classification.csv")
    classification = classification.query("variant == '' and corruption == 'clean' and method == '1-nn'")
    layers = read(finished.folder / "results/tables/layers.csv")
    assert set(layers.layer) == {1}
    easy = layers.metric.isin(["pixel_miou_easy", "pixel_miou_rest", "patch_miou_easy", "patch_miou_rest"])
    assert easy.sum() == 2 * 4
    columns = ["value", "ci_low", "ci_high", "n"]
    pd.testing.assert_frame_equal(
        classification.set_index(keys)[columns].sort_index(), layers[~easy].set_index(keys)[columns].sort_index()
    )


def test_all_training_images_are_those_of_patch_classification(finished):
    """1-NN on clean tiles is computed by both analyses, and by this one from a quarter of the images too."""
    keys = ["model", "metric", "class"]
    classification = read(finished.folder / "results/tables/patch_classification.csv")
    classification = classification.query("variant == '' and corruption == 'clean' and method == '1-nn'")
    sizes = read(finished.folder / "results/tables/training_size.csv")
    assert sizes.groupby(["model", "method"])["at"].unique().map(sorted).tolist() == [[1, 4]] * 4
    largest = sizes.query("at == 4 and method == '1-nn'")
    columns = ["value", "ci_low", "ci_high", "n"]
    pd.testing.assert_frame_equal(
        classification.set_index(keys)[columns].sort_index(), largest.set_index(keys)[columns].sort_index()
    )


def test_global_context_holds_every_part_and_class(finished):
    rows = read(finished.folder / "results/tables/global_context.csv")
    parts = ["", "drop-top-variance-20", "keep-random-20", "keep-top-variance-20"]
    assert sorted(set(rows.variant)) == parts and len(rows) == 2 * 4 * 4
    assert set(rows["class"]) == {"road", "building", "vegetation", ""}
    assert rows.loc[rows.metric == "share_mean_r2", "value"].notna().all()


def test_full_images_stand_beside_the_tiles_of_patch_classification(finished):
    keys = ["model", "method", "metric", "class"]
    columns = ["value", "ci_low", "ci_high", "n"]
    rows = read(finished.folder / "results/tables/full_images.csv")
    classification = read(finished.folder / "results/tables/patch_classification.csv")
    classification = classification.query("model == 'pixels-a' and variant == '' and corruption == 'clean'")
    full, tiles = (rows[rows.protocol == f"{name}-v1"] for name in ("full-images", "patch-classification"))
    pd.testing.assert_frame_equal(
        classification.set_index(keys)[columns].sort_index(), tiles.set_index(keys)[columns].sort_index()
    )
    # An image of 64 x 128 px at the scale of tiles, half of that, with as many patches of 8 px and labels as its tiles.
    images = open_store(finished.folder / "results/streets/full_images/images.zarr")
    assert images.image.shape[2:] == (32, 64, 3)
    tokens = open_store(finished.folder / "results/streets/full_images/features/pixels-a/clean.zarr")
    assert dict(tokens.sizes)["patch"] == 4 * 8 and tokens.layer.values.tolist() == [1]
    pd.testing.assert_frame_equal(full.set_index(keys)[["n"]].sort_index(), tiles.set_index(keys)[["n"]].sort_index())
    # Raw pixels are the same but at the borders of tiles, where resizing looks beyond them.
    score, other = (part[part["class"] == ""].set_index(keys)["value"] for part in (full, tiles))
    assert not score.equals(other) and (score - other).abs().max() < 0.1


def test_table_of_a_model_holds_every_analysis(finished):
    own = read(finished.folder / "results/models/pixels-a.csv")
    names = ["patch_classification", "variance_spectrum", "removal_sweep", "layers", "training_size", "global_context"]
    names += ["token_contents", "token_diagnostics", "overclustering"]
    tables = [read(finished.folder / f"results/tables/{name}.csv") for name in names]
    beside = read(finished.folder / "results/tables/protocols.csv")
    tables.append(beside[beside.method.isin(["capi", "hummingbird"])])  # the others are in patch_classification
    full = read(finished.folder / "results/tables/full_images.csv")
    tables.append(full[full.protocol == "full-images-v1"])
    assert set(own.model) == {"pixels-a"} and len(own) == sum((table.model == "pixels-a").sum() for table in tables)


def read(path):
    missing = dict.fromkeys(["value", "ci_low", "ci_high"], "")
    return pd.read_csv(path, keep_default_na=False, na_values=missing)


def test_protocols_stand_side_by_side(finished):
    table = read(finished.folder / "results/tables/protocols.csv")
    assert set(table.method) == {"1-nn", "linear", "capi", "hummingbird"} and set(table.variant) == {""}
    classified = read(finished.folder / "results/tables/patch_classification.csv")
    same = table[table.method == "1-nn"].merge(classified, on=list(table.columns))
    assert len(same) == (table.method == "1-nn").sum() > 0
    text = (finished.folder / "results/tables/protocols.md").read_text()
    chosen = json.loads((finished.folder / "results/streets/capi/pixels-a.json").read_text())
    assert f"k = {chosen['k']}, {chosen['distance']}" in text


def test_paired_differences_are_those_of_the_scores(finished):
    pairs = pd.read_csv(finished.folder / "results/tables/paired_differences.csv", keep_default_na=False)
    assert len(pairs) == 3 * 2 * 2  # pairs of two models and a variant, methods, metrics
    scores = read(finished.folder / "results/tables/patch_classification.csv")
    scores = scores[scores.corruption == "clean"].set_index(["model", "variant", "method", "metric", "class"])["value"]
    for row in pairs.itertuples():
        first = scores[row.model, row.variant, row.method, row.metric, ""]
        other = scores[row.other_model, row.other_variant, row.method, row.metric, ""]
        assert row.value == pytest.approx(first - other)
        assert row.ci_low <= row.ci_high
