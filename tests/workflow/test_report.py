"""The report of a finished run, and what its jobs asked for."""

import re
import zipfile

import pandas as pd
import pytest

pytestmark = pytest.mark.workflow


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
    ]:
        assert f"results/figures/{kind}.streets.svg" in page and f"results/figures/{kind}.streets.png" in page
    for word in ["Figures", "Sheets", "Tables", "mIoU over pixels", "Where to look"]:
        assert word in page
    assert any(name.endswith("patch_classification.html") for name in names)


def test_only_extraction_asks_for_a_gpu(project):
    text = project.snakemake("--cores", "2", "--dry-run", "--forceall", "all").stdout
    jobs = re.split(r"\n(?:local)?rule ", text)[1:]
    asking = {job.split(":")[0] for job in jobs if "gpu=1" in job}
    assert len(jobs) > 20 and asking == {"extract"}


def test_extractions_ran_one_after_the_other(finished):
    """One GPU is granted, so no extraction starts before the one ahead of it has ended."""
    running, starting, seen = None, False, 0
    log = max(finished.folder.glob(".snakemake/log/*.log"), key=lambda path: path.stat().st_size)
    for line in log.read_text().splitlines():
        starting = starting or line.endswith("rule extract:")
        if starting and (match := re.match(r" +jobid: (\d+)", line)):
            assert running is None, f"job {match[1]} started while {running} ran"
            running, starting, seen = match[1], False, seen + 1
        elif (match := re.match(r"Finished jobid: (\d+)", line)) and match[1] == running:
            running = None
    assert seen == 6


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
    counts = {model: sorted(set(part.removed)) for model, part in sweep.groupby("model")}
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
    sweep = sweep[(sweep.model == "pixels-a") & (sweep.removed == 20) & (sweep.method == "1-nn")]
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


def test_table_of_a_model_holds_every_analysis(finished):
    own = read(finished.folder / "results/models/pixels-a.csv")
    tables = [
        read(finished.folder / f"results/tables/{name}.csv")
        for name in ("patch_classification", "variance_spectrum", "removal_sweep", "layers")
    ]
    assert set(own.model) == {"pixels-a"} and len(own) == sum((table.model == "pixels-a").sum() for table in tables)


def read(path):
    missing = dict.fromkeys(["value", "ci_low", "ci_high"], "")
    return pd.read_csv(path, keep_default_na=False, na_values=missing)
