"""What the workflow catalogue expects: a small run in ``.test``, and a ``workflow/Snakefile`` that is this workflow."""

import shutil

import pytest
from projects import make_project

pytestmark = pytest.mark.workflow
LINE = ("--cores", "2", "--directory", ".test")


@pytest.fixture
def project(repository, tmp_path):
    project = make_project(repository, tmp_path / "project", {})
    shutil.copytree(repository / ".test/config", project.folder / ".test/config")
    return project


def test_small_run_runs_whole_from_either_snakefile(project):
    project.snakemake(*LINE, "all")
    results = project.folder / ".test/results"
    assert "demo-mae" in (results / "tables/patch_classification.csv").read_text()
    assert not (project.folder / "results").exists()
    again = project.snakemake(*LINE, "--snakefile", "workflow/Snakefile", "all")
    assert "Nothing to be done" in again.stdout
