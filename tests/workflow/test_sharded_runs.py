"""An extraction in shards, as a user asks for it: the same results, nothing stale, and a killed shard alone is made again."""

import os
import shutil
import signal

import pytest
from projects import make_project
from test_kills import SLOW, STORE, job_process, start, wait_for

pytestmark = pytest.mark.workflow

LINE = (
    "--config",
    "fork_jobs=True",
    "--cores",
    "2",
    "--resources",
    "gpu=1",
    "--",
    str(STORE.with_suffix(".manifest.json")),
)
UNDER_WAY = f"{STORE.parent}/.partial/{STORE.name}-*.shard-?-of-3"
SHARDED = SLOW | {"extraction": SLOW["extraction"] | {"shards": {"streets": 3}}}


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_shards_make_the_store_of_one_job_and_one_that_is_killed_costs_no_other(repository, tmp_path):
    project = make_project(repository, tmp_path / "project", SLOW)
    project.snakemake(*LINE)
    results, store = project.folder / "results", project.folder / STORE
    undisturbed = content(results)
    project.write_config(SHARDED)
    assert not project.plan(*LINE)

    shutil.rmtree(store)
    store.with_suffix(".manifest.json").unlink()
    names = [f"{index}-of-3" for index in (1, 2, 3)]
    shards = {f"extract_shard streets,vit,clean,{name}" for name in names}
    assert set(project.plan(*LINE)) == shards | {"extract streets,vit,clean"}

    run = start(project, *LINE)
    wait_for(lambda: bool(list(project.folder.glob(f"{UNDER_WAY}/finished-units.txt"))), run)
    (folder,) = project.folder.glob(UNDER_WAY)
    os.kill(job_process(project), signal.SIGKILL)
    # The others go on without it.
    assert run.wait(300) != 0 and not store.exists()
    killed = folder.name.partition(".shard-")[2]
    marks = project.folder / ".snakemake/shards/streets/vit/clean"
    assert sorted(mark.stem for mark in marks.glob("*.json")) == [name for name in names if name != killed]

    assert set(project.plan(*LINE)) == {f"extract_shard streets,vit,clean,{killed}", "extract streets,vit,clean"}
    project.snakemake(*LINE)
    assert "resuming: " in (project.folder / f"logs/extract_shard/streets.vit.clean.{killed}.log").read_text()
    assert content(results) == undisturbed
    assert not list(marks.glob("*")) and not list(store.parent.glob(".partial/*"))
    assert not project.plan(*LINE)
    project.write_config(SLOW)
    assert not project.plan(*LINE)
