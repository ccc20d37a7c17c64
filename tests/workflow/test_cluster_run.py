"""A run whose searches are spread over a dask cluster."""

import pytest
from distributed import LocalCluster

pytestmark = pytest.mark.workflow
TARGET = "results/streets/patch_classification/pixels-b.noise.parquet"


def test_results_are_those_of_a_run_without_a_cluster(project):
    before = (project.folder / TARGET).read_bytes()
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        project.write_config(project.config() | {"dask_scheduler": cluster.scheduler_address})
        assert not project.plan("all")
        project.snakemake("--cores", "2", "--forcerun", "patch_classification", "--", TARGET)
        assert cluster.scheduler.transition_counter > 0
    assert (project.folder / TARGET).read_bytes() == before


def test_a_cluster_that_is_gone_is_named(project):
    project.write_config(project.config() | {"dask_scheduler": "tcp://127.0.0.1:9"})
    done = project.snakemake("--cores", "2", "--forcerun", "patch_classification", "--", TARGET, check=False)
    assert done.returncode
    assert "dask_scheduler: no scheduler answers at tcp://127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stdout
