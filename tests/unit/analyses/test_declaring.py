"""Declarations of analyses: what is asked for, of which files, and how inputs arrive."""

import numpy as np
import pytest

from patchprobe import measurements
from patchprobe.analyses.declaring import Analysis, analyses
from patchprobe.analyses.opened import opened, parted
from patchprobe.errors import PatchprobeError

CONFIG = {
    "seed": 3,
    "datasets": {"b": {}, "a": {}},
    "models": {"n": {}, "m": {}},
    "patch_classification": {"bootstrap": {"level": 0.9}},
}


class Plain(Analysis):
    """What there is without saying anything."""

    title = "plain"
    section = "plain"


class OfRun(Plain):
    """One file for each model."""

    rows = "results/models/{model}.{analysis}.parquet"


@pytest.fixture(autouse=True)
def with_files(monkeypatch):
    monkeypatch.setattr(Analysis, "has", lambda self, part: True)


def test_files_are_those_of_data_sets_and_models_that_are_asked_for():
    plain = Plain()
    plain.name = "plain"
    assert plain.files(CONFIG) == [f"results/{d}/plain/{m}.parquet" for d in "ab" for m in "mn"]
    assert plain.files(CONFIG, ["b", "c"], ["n"]) == ["results/b/plain/n.parquet"]
    assert plain.files(CONFIG, ["a"], ["n"], suffix="json") == ["results/a/plain/n.json"]
    assert plain.shown(CONFIG, ["a"]) == plain.files(CONFIG, ["a"])
    of_run = OfRun()
    of_run.name = "overlap"
    assert of_run.files(CONFIG) == ["results/models/m.overlap.parquet", "results/models/n.overlap.parquet"]


def test_options_are_the_values_that_rows_depend_on():
    assert Plain().options(CONFIG, "a", "m") == {"bootstrap": {"level": 0.9}, "seed": 3}
    assert Plain().notes(CONFIG) == {"interval": 0.9}


def test_the_names_of_all_analyses_are_those_of_their_folders(monkeypatch):
    monkeypatch.undo()
    names = [analysis.name for analysis in analyses()]
    assert names == sorted(names) and {"layers", "protocols", "variance_overlap"} <= set(names)
    measuring = {analysis.name for analysis in analyses() if analysis.has("measure")}
    assert "protocols" not in measuring and "capi" in measuring


@pytest.mark.parametrize(
    ("files", "missing"), [(["table.rst"], "report.py"), (["report.py"], "table.rst or figure.rst"), ([], "measure.py")]
)
def test_an_incomplete_folder_is_refused(tmp_path, monkeypatch, files, missing):
    monkeypatch.undo()
    (tmp_path / "layers").mkdir()
    for name in ("declaration.py", *files):
        (tmp_path / "layers" / name).touch()
    monkeypatch.setattr("patchprobe.analyses.declaring._FOLDER", tmp_path)
    analyses.cache_clear()
    try:
        with pytest.raises(PatchprobeError, match=f"the analysis layers has no {missing}"):
            analyses()
    finally:
        analyses.cache_clear()


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


def test_measure_may_return_other_texts_or_none():
    assert parted([{"a": 1}]) == ([{"a": 1}], {}) and parted(([], {"setting": "text"})) == ([], {"setting": "text"})
