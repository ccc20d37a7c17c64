"""Declarations of analyses: what is asked for, of which files, and how inputs arrive."""

import importlib
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from patchprobe import measurements
from patchprobe.analyses import declaring
from patchprobe.analyses.declaring import Analysis, analyses
from patchprobe.analyses.opened import opened, write_made
from patchprobe.analyses.shown import Figure, Page, Table
from patchprobe.errors import PatchprobeError, StoreError

CONFIG = {
    "seed": 3,
    "datasets": {"b": {"adapter": "camvid"}, "a": {"adapter": "camvid"}},
    "models": {"n": {}, "m": {}},
    "patch_classification": {"bootstrap": {"level": 0.9}},
}


TABLE = Table(title="numbers", section="plain")
LINES = Figure(title="lines", function="lines", file="plain_lines", each_dataset=False)
POINTS = Figure(title="points")
SHEET = Page(title="to work with", each_dataset=False)


DECLARED = """
from patchprobe.analyses.declaring import Analysis
from patchprobe.analyses.shown import Figure, Page, Table

TABLE = Table(title="drift", section="drift")
LINES = Figure(title="lines", function="lines", file="more")


class Drift(Analysis):
    needs = frozenset({"label_maps"})
    shows = (TABLE, LINES)


DECLARATION = Drift()
"""


class Plain(Analysis):
    """What there is without saying much."""

    shows = (TABLE, LINES, POINTS)


class OfModel(Plain):
    """One file for each model."""

    rows = "results/models/{model}.{analysis}.parquet"


class OfDataset(Plain):
    """One file for each data set, that is no table of measurements."""

    rows = "results/{dataset}/{analysis}.csv"


@pytest.fixture(autouse=True)
def with_files(monkeypatch):
    monkeypatch.setattr(Analysis, "measures", True)


def test_files_are_those_of_data_sets_and_models_that_are_asked_for():
    plain = Plain()
    plain.name = "plain"
    assert plain.files(CONFIG) == [f"results/{d}/plain/{m}.parquet" for d in "ab" for m in "mn"]
    assert plain.files(CONFIG, ["b", "c"], ["n"]) == ["results/b/plain/n.parquet"]
    assert plain.files(CONFIG, ["a"], ["n"], suffix="json") == ["results/a/plain/n.json"]
    assert plain.shown(CONFIG, TABLE, ["a"]) == {"rows": plain.files(CONFIG, ["a"])}
    of_model = OfModel()
    of_model.name = "overlap"
    assert of_model.files(CONFIG) == ["results/models/m.overlap.parquet", "results/models/n.overlap.parquet"]
    of_dataset = OfDataset()
    of_dataset.name = "pairs"
    assert of_dataset.files(CONFIG) == ["results/a/pairs.csv", "results/b/pairs.csv"]
    assert of_dataset.files(CONFIG, models=["m"]) == []


def test_tables_and_figures_have_files_rules_and_labels():
    plain = Plain()
    plain.name = "plain"
    assert [plain.rule(what) for what in plain.shows] == ["plain_table", "lines", "plain_figure"]
    assert plain.shown_paths(POINTS) == {s: f"results/figures/plain.{{dataset}}.{s}" for s in ("svg", "png")}
    assert sorted(plain.report_files(CONFIG)) == sorted(
        [f"results/tables/plain.{suffix}" for suffix in ("csv", "md", "tex", "html")]
        + [f"results/figures/plain_lines.{suffix}" for suffix in ("svg", "png")]
        + [f"results/figures/plain.{name}.{suffix}" for name in "ab" for suffix in ("svg", "png")]
    )
    assert TABLE.labels("html") == {"table": "numbers", "format": "page"} and TABLE.subcategory == "plain"
    assert LINES.labels("svg") == {"dataset": "all", "figure": "lines", "format": "SVG"}
    assert POINTS.labels("png")["dataset"] == POINTS.subcategory == "{dataset}"
    assert plain.rule(SHEET) == "plain_page" and plain.shown_paths(SHEET) == {"html": "results/pages/plain.html"}
    assert SHEET.labels("html") == {"dataset": "all", "page": "to work with"} and SHEET.subcategory == "all data sets"
    each = Page(title="to work with")
    assert plain.shown_paths(each) == {"html": "results/pages/plain.{dataset}.html"}
    assert each.labels("html")["dataset"] == each.subcategory == "{dataset}"


def test_data_sets_are_those_with_the_annotations(monkeypatch):
    monkeypatch.setattr(Plain, "needs", frozenset({"label_maps", "boxes"}))
    known = {"camvid": {"label_maps"}, "ships": {"label_maps", "boxes", "identities"}}
    monkeypatch.setattr("patchprobe.analyses.declaring.annotations", lambda adapter, name: known[adapter])
    config = CONFIG | {"datasets": {"a": {"adapter": "camvid"}, "b": {"adapter": "ships"}}}
    plain = Plain()
    plain.name = "plain"
    assert plain.datasets(config) == ["b"]
    assert not [path for path in plain.report_files(config) if "plain.a" in path]


def test_options_are_the_values_that_rows_depend_on():
    assert Plain().options(CONFIG, "a", "m") == {"bootstrap": {"level": 0.9}, "seed": 3}
    assert Plain().notes(CONFIG, TABLE) == {"interval": 0.9, "models": ["m", "n"]}
    assert Plain().notes(CONFIG, POINTS) == {"models": ["m", "n"]}


def test_the_names_of_all_analyses_are_those_of_their_folders(monkeypatch):
    monkeypatch.undo()
    names = [analysis.name for analysis in analyses()]
    assert names == sorted(names) and {"layers", "protocols", "variance_overlap"} <= set(names)
    measuring = {analysis.name for analysis in analyses() if analysis.measures}
    assert "protocols" not in measuring and "capi" in measuring


@pytest.mark.parametrize("analysis", [a for a in analyses() if a.measures or a.shows], ids=lambda a: a.name)
def test_functions_that_declarations_name_are_there(analysis, monkeypatch):
    monkeypatch.undo()
    named = {"measure": ["measure"] * analysis.measures, "report": [w.function for w in analysis.shows]}
    for module, functions in named.items():
        for function in functions:
            found = importlib.import_module(f"patchprobe.analyses.{analysis.name}.{module}")
            assert callable(getattr(found, function))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An analysis in a package of its own, whole; returns its folder."""
    monkeypatch.undo()
    place = tmp_path / "own_analyses/drift"
    place.mkdir(parents=True)
    (place.parent / "__init__.py").touch()
    (place / "__init__.py").touch()
    (place / "declaration.py").write_text(DECLARED)
    (place / "measure.py").write_text("def measure():\n    pass\n")
    (place / "report.py").write_text("def table():\n    pass\n\n\ndef lines():\n    pass\n")
    for name in ("table.rst", "lines.rst"):
        (place / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(declaring, "_FOLDER", place.parent)
    monkeypatch.setattr(declaring, "package", SimpleNamespace(__name__="own_analyses"))
    analyses.cache_clear()
    yield place
    analyses.cache_clear()
    for name in [name for name in sys.modules if name.startswith("own_analyses")]:
        del sys.modules[name]


def test_a_whole_folder_is_an_analysis(folder):
    (found,) = analyses()
    assert (found.name, [found.rule(what) for what in found.shows]) == ("drift", ["drift_table", "lines"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "declaration.py").rename(f / "declarations.py"), r"drift has no declaration\.py: add it to"),
        (
            lambda f: (f / "report.py").unlink(),
            r"drift/report\.py has no function lines, which the declaration or a caption",
        ),
        (lambda f: (f / "lines.rst").unlink(), r"the analysis drift has no lines\.rst: add the caption to"),
        (lambda f: (f / "more.rst").touch(), r"report\.py has no function more"),
        (lambda f: replace(f / "report.py", "def lines", "def linse"), r"no function lines.*did you mean linse"),
        (
            lambda f: replace(f / "measure.py", "def measure", "def measures"),
            r"measure\.py has no function measure: add it",
        ),
        (lambda f: replace(f / "declaration.py", "DECLARATION = Drift()", ""), r"no DECLARATION that is an Analysis"),
        (
            lambda f: replace(f / "declaration.py", "Drift()", "Drift"),
            r"declaration\.py has no DECLARATION that is an Analysis",
        ),
        (
            lambda f: replace(f / "declaration.py", "TABLE, LINES)", "TABLE)"),
            r"shows has to be a tuple of tables and figures",
        ),
        (
            lambda f: replace(f / "declaration.py", '"label_maps"', '"box"'),
            r"needs 'box', which no data set can have: take some",
        ),
        (
            lambda f: replace(f / "declaration.py", 'file="more"', 'file="drift", each_dataset=True'),
            "",
        ),
        (lambda f: shutil.copytree(f, f.with_name("later")), r"lines is both of analysis drift and of later"),
    ],
)
def test_an_incomplete_or_contradictory_folder_is_refused(folder, change, message):
    change(folder)
    if not message:
        analyses()
        return
    with pytest.raises(PatchprobeError, match=message):
        analyses()


def test_a_caption_of_nothing_is_refused(folder):
    replace(folder / "report.py", "def table", "def more():\n    pass\n\n\ndef table")
    (folder / "more.rst").touch()
    with pytest.raises(PatchprobeError, match=r"has the caption more\.rst of nothing that it shows"):
        analyses()


def test_a_folder_that_makes_nothing_is_refused(folder):
    for name in ("measure.py", "report.py", "table.rst", "lines.rst"):
        (folder / name).unlink()
    replace(folder / "declaration.py", "shows = (TABLE, LINES)", "")
    with pytest.raises(PatchprobeError, match=r"drift has no measure\.py and shows nothing"):
        analyses()


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_inputs_arrive_as_functions_expect_them(tmp_path):
    row = {
        "dataset": "d", "model": "m", "variant": "", "layer": 1, "corruption": "clean", "level": 0.0, "method": "",
        "protocol": "variance-spectrum-v1", "class": "", "metric": "feature_variance", "value": 1.0,
        "ci_low": np.nan, "ci_high": np.nan, "n": 1, "seed": 0, "spec": "s",
    }  # fmt: skip
    for place in (0, 1):
        measurements.write([row | {"feature": place}], tmp_path / f"{place}.parquet")
    both = opened([tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert both["feature"].tolist() == [0, 1] and len(opened(tmp_path / "0.parquet")) == 1
    assert opened(tmp_path / "setting.json") == tmp_path / "setting.json"
    assert opened([tmp_path / "a.csv"]) == [tmp_path / "a.csv"]


def test_what_measure_returns_is_written(tmp_path):
    outputs = {"rows": tmp_path / "rows.csv", "setting": tmp_path / "setting.json"}
    write_made((pd.DataFrame({"a": [1.5], "b": ["x"]}), {"setting": "text"}), outputs)
    assert outputs["rows"].read_text() == "a,b\n1.5,x\n" and outputs["setting"].read_text() == "text"
    with pytest.raises(StoreError, match=r"rows\.parquet"):
        write_made([{"unknown": 1}], {"rows": tmp_path / "rows.parquet"})
    for nothing in (None, [], pd.DataFrame(), ([], {})):
        with pytest.raises(StoreError, match=r"measure returned (nothing|no rows) for rows\.csv: have it return rows"):
            write_made(nothing, {"rows": tmp_path / "rows.csv"})
