"""Runs whose evaluations are spread over workers of dask."""

import os
import re
import signal
import subprocess
import time

import psutil
import pytest
from distributed import LocalCluster
from projects import environment

pytestmark = pytest.mark.workflow
TARGET = "results/streets/patch_classification/pixels-b.noise.parquet"
DISTRIBUTED = {"dask": {"scheduler": "distributed", "workers": 2, "memory_mb": 1500}}
SPREAD = ["patch_classification", "global_context", "token_contents", "hummingbird"]
TABLES = [
    f"results/tables/{name}.csv" for name in ("patch_classification", "global_context", "token_contents", "protocols")
]


def results(project):
    files = sorted((project.folder / "results").rglob("*"))
    return {
        p.relative_to(project.folder).as_posix(): p.read_bytes()
        for p in files
        if p.is_file() and ".records" not in p.parts
    }


def test_a_run_with_workers_of_its_own_makes_the_same_bytes_while_one_is_killed(project):
    before = results(project)
    project.write_config(project.config() | DISTRIBUTED)
    assert not project.plan("all")  # nothing is stale
    words = ["--config", "fork_jobs=True", "threads=1", "--cores", "2", "--forcerun", *SPREAD, "--", *TABLES]
    with (project.folder / "out.txt").open("w") as out:
        run = subprocess.Popen(
            project.command(*words), cwd=project.folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
        )
        killed = None
        while run.poll() is None and killed is None:
            time.sleep(0.1)
            found = workers(run.pid)
            if found and any("dashboard" in log.read_text() for log in logs(project)):
                killed = found[0]
                os.kill(killed, signal.SIGKILL)
        assert run.wait(timeout=600) == 0, (project.folder / "out.txt").read_text()[-6000:]
    assert killed
    assert results(project) == before
    assert re.search(r"[Rr]estarting worker", (project.folder / "logs/dask.log").read_text())
    (line,) = {line for log in logs(project) for line in re.findall("dask: 2 workers of .*", log.read_text())}
    assert re.fullmatch(r"dask: 2 workers of tcp://127\.0\.0\.1:\d+, dashboard http://127\.0\.0\.1:\d+/status", line)
    assert not list((project.folder / ".snakemake/patchprobe-dask").iterdir())
    assert not workers(run.pid)


def logs(project):
    return [log for rule in SPREAD for log in (project.folder / "logs" / rule).glob("*.log")]


def workers(run):
    """The processes of workers of the cluster that a run has started."""
    found = []
    try:
        for process in psutil.Process(run).children(recursive=True):
            words = " ".join(process.cmdline())
            if "spawn_main" in words and "patchprobe.spreading.server" in " ".join(process.parent().cmdline()):
                found.append(process.pid)
    except (psutil.NoSuchProcess, AttributeError):
        pass  # one that ends while it is looked at
    return found


def test_results_are_those_of_a_run_without_a_cluster(project):
    before = (project.folder / TARGET).read_bytes()
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        project.write_config(project.config() | {"dask": {"scheduler": cluster.scheduler_address}})
        project.snakemake("--cores", "2", "--forcerun", "patch_classification", "--", TARGET)
        assert cluster.scheduler.transition_counter > 0
    assert (project.folder / TARGET).read_bytes() == before


def test_a_cluster_that_is_gone_is_named(project):
    project.write_config(project.config() | {"dask": {"scheduler": "tcp://127.0.0.1:9"}})
    done = project.snakemake("--cores", "2", "--forcerun", "patch_classification", "--", TARGET, check=False)
    assert done.returncode
    assert "dask.scheduler: no scheduler answers at tcp://127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stdout
