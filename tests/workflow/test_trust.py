"""What a run takes for finished rests on what lies beside the results, and not on Snakemake's memory of it."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from projects import TINY, environment, make_project

pytestmark = pytest.mark.workflow

# Forked where no process of a job is looked for, which saves the imports of each.
FORKED = ("--cores", "2", "--config", "fork_jobs=True", "threads=1", "--")


def change(project, *keys, value):
    config = project.config()
    entry = config
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    project.write_config(config)


CHANGES = {
    "patch size": (("models", "pixels-b", "patch_size"), 8),
    "variant": (("models", "pixels-a", "variants", "no-top-20", "features"), 30),
    "tiling": (("datasets", "streets", "tiling", "resize"), 64),
    "corruption": (("corruptions", "noise", "levels"), [20]),
    "bootstrap": (("patch_classification", "bootstrap", "resamples"), 200),
    "analysis": (("hummingbird", "k"), 5),
    "seed": (("seed",), 1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_snakemakes_notes_deleted_and_a_key_changed(project, what):
    keys, value = CHANGES[what]
    change(project, *keys, value=value)
    expected = project.plan()
    assert expected
    shutil.rmtree(project.folder / ".snakemake")
    assert project.plan() == expected


def test_library_edited_after_snakemakes_notes_were_deleted(project):
    project.edit("src/patchprobe/analyses/hummingbird/measure.py", "PROTOCOL = ", "EDITED = True\nPROTOCOL = ")
    expected = project.plan()
    shutil.rmtree(project.folder / ".snakemake")
    assert expected and project.plan() == expected


def test_snakemakes_notes_deleted_alone(project):
    shutil.rmtree(project.folder / ".snakemake")
    assert not project.plan()


def test_results_copied_without_snakemakes_notes(project, repository, tmp_path):
    other = make_project(repository, tmp_path / "other", project.config())
    shutil.copytree(project.folder / "results", other.folder / "results")
    assert not other.plan()
    change(other, "hummingbird", "k", value=5)
    assert {"hummingbird streets,pixels-a", "hummingbird streets,pixels-b", "protocols_table"} <= set(other.plan())


def test_results_without_records_are_made_again(project):
    shutil.rmtree(project.folder / "results/.records")
    done = project.snakemake("--cores", "2", "--dry-run")
    assert "is stale: nothing says what it was made from" in done.stdout
    assert {"tile streets", "patch_classification_table", "robustness_figure streets"} <= set(project.plan())


def test_a_changed_result_is_made_again_and_named(project):
    table = project.folder / "results/tables/layers.csv"
    before = table.read_bytes()
    table.write_bytes(before.replace(b"0", b"1"))
    done = project.snakemake("--cores", "2")
    assert "results/tables/layers.csv is stale: it was changed since it was made" in done.stdout
    assert table.read_bytes() == before


def test_who_leaves_params_out_of_the_triggers_keeps_results_of_another_configuration(project):
    change(project, "hummingbird", "k", value=5)
    assert not project.plan("--rerun-triggers", "mtime")


def test_a_store_without_its_manifest_is_made_again(project):
    manifest = project.folder / "results/streets/features/pixels-b/noise.manifest.json"
    before = manifest.read_bytes()
    manifest.unlink()
    done = project.snakemake(*FORKED, "all")
    assert "results/streets/features/pixels-b/noise.zarr is stale: a part of it is missing" in done.stdout
    assert manifest.read_bytes() == before


def test_results_are_not_touched(project):
    change(project, "hummingbird", "k", value=5)
    expected = project.plan()
    touched = project.snakemake("--cores", "2", "--touch", check=False)
    assert touched.returncode and "--touch would call results finished that may not be" in touched.stdout
    assert project.plan() == expected


def test_outputs_are_not_deleted_while_a_run_works(repository, tmp_path):
    project = make_project(repository, tmp_path / "project", TINY | {"fork_jobs": False})
    run = subprocess.Popen(
        project.command("--cores", "1"),
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        made = project.folder / "results/streets/images.csv"
        deadline = time.time() + 300
        while not made.exists():
            assert run.poll() is None and time.time() < deadline
            time.sleep(0.1)
        refused = project.snakemake("--cores", "1", "--delete-all-output", check=False)
        assert refused.returncode and f"another run (process {run.pid}) works in" in refused.stdout
        assert "Traceback" not in refused.stdout and made.exists()
        assert "Would delete" in project.snakemake("--cores", "1", "--delete-all-output", "--dry-run").stdout
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(60)
    assert project.snakemake("--cores", "1", "--delete-all-output").returncode == 0 and not made.exists()


TABLE = "results/tables/patch_classification.csv"


def job_of(project, rule):
    """The process of a job of the rule, None if there is none."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
            runs = any(".snakemake/scripts" in word and word.endswith(f".{rule}.py") for word in words)
            if runs and (entry / "cwd").resolve() == project.folder.resolve():
                return int(entry.name)
    return None


@pytest.mark.parametrize("rule", ["fit_probe", "patch_classification"])
def test_a_job_that_outlived_its_run_does_not_overwrite_a_later_run(project, rule):
    before = project.tables()
    # The job's own spec is the same in both runs: only the tokens that it reads are others.
    change(project, "models", "pixels-b", "patch_size", value=4)
    project.snakemake(*FORKED[:-1], "--omit-from", rule, "--", TABLE)
    change(project, "fork_jobs", value=False)
    run = subprocess.Popen(
        project.command("--cores", "1", TABLE),
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    deadline = time.time() + 300
    while (orphan := job_of(project, rule)) is None:
        assert run.poll() is None and time.time() < deadline
        time.sleep(0.01)
    # Until it has its inputs: before, it is no job of the first run yet.
    log = project.folder / f"logs/{rule}"
    while not any(file.suffix == ".log" and file.stat().st_mtime > started(orphan) for file in log.iterdir()):
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(orphan, signal.SIGSTOP)
    run.kill()
    run.wait(30)
    try:
        change(project, "models", "pixels-b", "patch_size", value=8)
        project.snakemake(*FORKED, TABLE)
        tables = project.tables()
        assert tables != before
    finally:
        os.kill(orphan, signal.SIGCONT)
    while Path(f"/proc/{orphan}").exists():
        time.sleep(0.05)
    assert project.tables() == tables
    assert "Nothing to be done" in project.snakemake("--cores", "1", TABLE).stdout
    assert project.tables() == tables
    shutil.rmtree(project.folder / ".snakemake")
    assert not project.plan(TABLE)


def started(process):
    """When a process started, as file times are."""
    return Path(f"/proc/{process}").stat().st_mtime
