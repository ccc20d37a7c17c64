"""Captions and the page on results: they render without errors and say what the schema says."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import jinja2
import pandas as pd
import pytest
from report_data import measurement_rows

from patchprobe import measurements
from patchprobe.analyses.declaring import analyses

ROOT = Path(__file__).resolve().parents[3]
CAPTIONS = sorted([*ROOT.glob("workflow/report/*.rst"), *ROOT.glob("src/patchprobe/analyses/*/*.rst")])
# What the report appends to every text.
LINKS = "\n\n.. _Workflow: javascript:show_panel('workflow')\n.. _Tables: javascript:app.showCategory('Tables')\n"


def test_captions_are_those_that_rules_name(repository):
    rules = (
        "\n".join(path.read_text() for path in repository.glob("rules/*.smk")) + (repository / "Snakefile").read_text()
    )
    named = {repository / f"workflow/report/{name}" for name in re.findall(r"workflow/report/(\w+\.rst)", rules)}
    found = {
        repository / f"src/patchprobe/analyses/{analysis.name}/{what.function}.rst"
        for analysis in analyses()
        for what in analysis.shows
    }
    assert set(CAPTIONS) == named | found and len(found) > 12


@pytest.mark.parametrize("corruptions", [{}, {"blur": {}, "band-noise": {}}])
@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_captions_render_without_errors(path, corruptions):
    config = {
        "datasets": {"camvid": {}, "city_scapes_": {}},
        "models": {"dino_": {}, "mae": {}},
        "corruptions": corruptions,
    }
    snakemake = SimpleNamespace(config=config, wildcards=SimpleNamespace(dataset="city_scapes_", model="dino_"))
    text = path.read_text() + LINKS
    rendered = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(snakemake=snakemake)
    # Halts at the mildest message, which would show on the page.
    page = docutils.core.publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2})["html_body"]
    assert "system-message" not in page
    if path.stem == "workflow":
        assert all(word in page for word in (*config["datasets"], *config["models"], *corruptions))


def test_the_results_page_lists_the_columns_of_the_schema(repository, tmp_path):
    page = (repository / "docs/results.md").read_text()
    table = page.split("## Columns")[1].split("## Metrics")[0]
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", table, re.M)
    types = {"str": "text", "int64": "integer", "float64": "float"}
    measurements.write(measurement_rows(models=["dino"], corruptions={}), tmp_path / "rows.parquet")
    rows = measurements.read([tmp_path / "rows.parquet"])
    assert [name for name, _, _ in found] == list(measurements.COLUMNS)
    assert [kind for _, kind, _ in found] == [types[str(dtype)] for dtype in rows.dtypes]
    described = [rule["description"] for rule in measurements.SCHEMA["properties"].values()]
    assert [text for _, _, text in found] == described
    assert f"`{measurements.SCHEMA_ID}`" in page


def test_the_results_page_explains_every_metric(repository):
    table = (repository / "docs/results.md").read_text().split("## Metrics")[1].split("## Intervals")[0]
    schema = json.loads((repository / "src/patchprobe/measurements.schema.json").read_text())
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.M)) == sorted(schema["properties"]["metric"]["enum"])


def test_the_example_of_the_results_page_runs(repository, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", (repository / "docs/results.md").read_text(), re.S).group(1)
    (tmp_path / "results/tables").mkdir(parents=True)
    rows = measurement_rows(models=["dino", "mae"])
    rows.to_csv(tmp_path / "results/tables/patch_classification.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    printed = capsys.readouterr().out
    value = rows.query("model == 'mae' and metric == 'pixel_miou' and corruption == 'clean' and method == '1-nn'")
    assert f"{value['value'].iloc[0]:.4f}"[:5] in printed
    assert isinstance(rows, pd.DataFrame)
