"""The report of a finished run, and what its jobs asked for."""

import re
import zipfile

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
    for kind in ["class_iou", "corruptions", "robustness", "segmentations"]:
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
    import pandas as pd

    table = pd.read_csv(finished.folder / "results/tables/patch_classification.csv", keep_default_na=False)
    cells = table.groupby(["model", "corruption", "method"]).size()
    assert len(cells) == 2 * 3 * 2
    assert {"patch_accuracy", "patch_iou", "patch_miou", "pixel_accuracy", "pixel_iou", "pixel_miou"} == set(
        table.metric
    )
    assert set(table.loc[table.corruption == "noise", "level"]) == {10.0, 50.0}
    own = pd.read_csv(finished.folder / "results/models/pixels-a.csv", keep_default_na=False)
    assert set(own.model) == {"pixels-a"} and len(own) == (table.model == "pixels-a").sum()
