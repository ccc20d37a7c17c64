"""A run whose results lie on object storage, on a real server: the same tables, and nothing but whole results there."""

import shutil
import sys

import pytest
from object_server import SECRET, ObjectServer
from projects import TINY, make_project

pytestmark = pytest.mark.workflow

URL = "s3://bucket/study"
CONFIG = TINY | {
    "models": {"pixels-a": TINY["models"]["pixels-a"]},
    "corruptions": {"noise": {"levels": [10]}},
    "fork_jobs": True,
    "threads": 1,
}
LINE = ("--cores", "4", "--resources", "gpu=1", "results/tables/patch_classification.csv")


def manifests(project):
    found = sorted(project.folder.glob("results/**/*.manifest.json"))
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in found}


def test_results_on_object_storage_are_those_on_the_disk_and_are_taken_over_elsewhere(
    repository, tmp_path, monkeypatch
):
    project = make_project(repository, tmp_path / "project", CONFIG)
    project.snakemake(*LINE)
    tables, vouched = project.tables(), manifests(project)
    assert tables and vouched
    with ObjectServer(tmp_path / "objects") as server:
        server.use(monkeypatch)
        project.write_config(CONFIG | {"object_storage": URL})
        assert not project.plan(*LINE), "where results lie makes none stale"
        shutil.rmtree(project.folder / "results")

        # Before the first job.
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        refused = project.snakemake(*LINE, check=False)
        assert refused.returncode and "the credentials are refused (SignatureDoesNotMatch)" in refused.stdout
        assert not list(project.folder.glob("results/**/*.manifest.json")) and not server.objects()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

        project.snakemake(*LINE)
        assert project.tables() == tables
        assert manifests(project) == vouched
        assert not list(project.folder.glob("results/**/data/zarr.json")), "a group lies on the disk"
        stored = server.objects()
        assert all(stored[f"study/tables/{name}"] == content for name, content in tables.items())
        assert sum(name.endswith("/data/zarr.json") for name in stored) == len(vouched)

        elsewhere = make_project(repository, tmp_path / "elsewhere", CONFIG | {"object_storage": URL})
        pulled = elsewhere.run(sys.executable, "-m", "patchprobe.run.mirror", "pull", URL)
        assert pulled.returncode == 0, pulled.stdout
        assert elsewhere.tables() == tables and not elsewhere.plan(*LINE)
        # A table that has to read the stores again.
        parquet = "results/streets/patch_classification/pixels-a.noise.parquet"
        (elsewhere.folder / parquet).unlink()
        elsewhere.snakemake(*LINE)
        assert elsewhere.tables() == tables
