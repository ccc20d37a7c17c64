"""Kill -9 at bad moments: the next run ends with the same tables and extracts nothing twice."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import FORKSERVER, environment, make_project

pytestmark = pytest.mark.workflow

# Extraction has to last long enough to be killed in the middle: some seconds in several units.
SLOW = {
    "seed": 0,
    "device": "cpu",
    "datasets": {
        "streets": {
            "adapter": "synthetic",
            "options": {"images": 64, "height": 64, "width": 128},
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val", "images": 32}},
            "tiling": {"size": 64, "resize": 64},
        }
    },
    "models": {"vit": {"source": "random", "architecture": "vit_small_patch8_224.dino", "arguments": {"depth": 6}}},
    "corruptions": {},
    "extraction": {"layers": {"clean": "last"}},
    "patch_classification": {"linear": {"steps": 20}, "bootstrap": {"resamples": 100}},
    "report": {"images": 1},
}
STORE = Path("results/streets/features/vit/clean.zarr")
LINE = ("--cores", "2", "--resources", "gpu=1", "results/tables/patch_classification.csv")
# Runs that nothing is killed in fork their jobs, which saves the imports of each; those that are killed have processes of jobs.
FORKED = ("--config", "fork_jobs=True", *LINE)


@pytest.fixture(scope="module")
def undisturbed(repository, tmp_path_factory):
    project = make_project(repository, tmp_path_factory.mktemp("undisturbed") / "project", SLOW)
    project.snakemake(*FORKED)
    return project


@pytest.fixture
def tiled(undisturbed, tmp_path):
    """The project as it is before extraction."""
    project = undisturbed.copy(tmp_path / "project")
    results = project.folder / "results"
    for path in [results / "tables", results / "models", results / "figures", *results.glob("streets/*")]:
        if path.is_dir() and path.name not in ("tiles", "labels.zarr", "features"):
            shutil.rmtree(path)
    shutil.rmtree(project.folder / STORE)
    (project.folder / STORE).with_suffix(".manifest.json").unlink()
    return project


def finished_units(project) -> list[str]:
    done = list(project.folder.glob(f"{STORE.parent}/.partial/{STORE.name}-*/finished-units.txt"))
    return done[0].read_text().splitlines() if done else []


def start(project, *line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        project.command(*(line or LINE)),
        cwd=project.folder,
        env=environment() | FORKSERVER,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    deadline = time.time() + 300
    while not condition():
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.time() < deadline, "the job did not start"
        time.sleep(0.01)


def start_and_wait_for_units(project, count=2) -> subprocess.Popen[bytes]:
    run = start(project)
    wait_for(lambda: len(finished_units(project)) >= count, run)
    return run


def job_process(project) -> int:
    """The process of the extraction script."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                folder = (entry / "cwd").resolve()
            except OSError:
                continue
            if (
                folder == project.folder.resolve()
                and b"python" in words[0]
                and b".snakemake/scripts" in b" ".join(words)
            ):
                return int(entry.name)
    raise AssertionError("no job is running")


def wait_for_end(process: int) -> None:
    while Path(f"/proc/{process}").exists():
        time.sleep(0.1)


def assert_same_as_undisturbed(project, undisturbed, *, at_least: int):
    log = (project.folder / "logs/extract/streets.vit.clean.log").read_text()
    match = re.search(r"resuming: (\d+) of (\d+)", log)
    taken_over = "taken over" in log
    assert taken_over or (match and int(match[1]) >= at_least), log
    assert project.tables() == undisturbed.tables()
    manifest = STORE.with_suffix(".manifest.json")
    assert (project.folder / manifest).read_bytes() == (undisturbed.folder / manifest).read_bytes()


def test_extraction_killed_and_a_second_run_in_the_same_folder_refused(tiled, undisturbed):
    run = start_and_wait_for_units(tiled)
    job = job_process(tiled)
    os.kill(job, signal.SIGSTOP)  # so that it is there as long as the second run needs
    second = tiled.snakemake(*LINE, check=False)
    assert second.returncode != 0
    assert f"another run (process {run.pid}) works in {tiled.folder.resolve()}" in second.stdout
    os.kill(job, signal.SIGKILL)
    assert run.wait(120) != 0
    assert not (tiled.folder / STORE).exists()
    tiled.snakemake(*FORKED)
    assert_same_as_undisturbed(tiled, undisturbed, at_least=2)


def test_snakemake_killed_while_its_job_goes_on(tiled, undisturbed):
    run = start_and_wait_for_units(tiled)
    run.kill()
    run.wait(30)
    tiled.snakemake(*FORKED)  # while the orphan still writes
    assert_same_as_undisturbed(tiled, undisturbed, at_least=2)


def test_snakemake_killed_and_its_job_finishes_alone(tiled, undisturbed):
    run = start_and_wait_for_units(tiled)
    orphan = job_process(tiled)
    run.kill()
    run.wait(30)
    wait_for_end(orphan)
    assert (tiled.folder / STORE).exists()
    tiled.snakemake(*FORKED)
    assert_same_as_undisturbed(tiled, undisturbed, at_least=2)


def test_both_killed_and_snakemakes_notes_deleted(tiled, undisturbed):
    run = start_and_wait_for_units(tiled)
    orphan = job_process(tiled)
    run.kill()
    os.kill(orphan, signal.SIGKILL)
    run.wait(30)
    units = len(finished_units(tiled))
    shutil.rmtree(tiled.folder / ".snakemake")
    tiled.snakemake(*FORKED)
    assert_same_as_undisturbed(tiled, undisturbed, at_least=units)
