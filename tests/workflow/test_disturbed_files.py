"""Runs whose files suffered, or that stood still, end in the bytes of undisturbed ones: the rest of ``test_disturbed``."""

import json
import random
import shutil

import pytest
import test_disturbed
from disturbance import powercut
from disturbance.cases import CHANGES
from disturbance.kinds import KINDS
from disturbance.runs import Run, arm, make_environment
from disturbance.trials import Trial, run_trial
from projects import Project

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("own_forkserver")]

TRIALS = (
    Trial("stop-job", 0, "patch-size", moment="extract"),
    Trial("stop-snakemake", 0, "patch-size", moment=0.4),
    Trial("notes-deleted", 0, "patch-size", moment=0.6),
    Trial("partial-deleted", 0, "patch-size", from_nothing=True, moment="patch_classification"),
    Trial("partial-deleted-while-written", 0, "tiling", moment=0.1),
    Trial("disk-full", 0, "patch-size", moment="extract"),
    Trial("power-cut", 0, "tiling", moment=0.6),
    Trial("orphan-of-another", 0, "patch-size", moment="extract", other="tiling"),
)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.kind}-{trial.seed}")
def test_the_same_line_repairs(chain, tmp_path, trial):
    verdict = run_trial(trial, chain, tmp_path)
    print(verdict.describe())
    assert not verdict.problem, verdict.describe()


def test_every_kind_is_tried():
    # To kill everything is the beginning of others, and each signal is sent once: to Snakemake alone or to its group.
    left_out = {"kill-everything", "int-snakemake", "term-group", "hup-group"}
    assert {trial.kind for trial in (*TRIALS, *test_disturbed.TRIALS)} == KINDS.keys() - left_out


def test_the_hook_is_in_every_process(chain, tmp_path):
    """Without it syncs would be missed, and a power cut would look worse than it is."""
    project = chain.new(tmp_path / "project")
    control = arm(project)
    text = '\nimport os; os.fsync(os.open("results", os.O_RDONLY))\n'
    for path in ("Snakefile", "workflow/scripts/index.py"):
        with (project.folder / path).open("a") as file:
            file.write(text)
    (project.folder / "results").mkdir()
    run = Run(
        project,
        (*chain.line[:-1], "results/streets/images.csv"),
        python=make_environment(tmp_path / "environment"),
    )
    assert run.wait() == 0, run.text()
    notes = [json.loads(line) for line in (control / "syncs.jsonl").read_text().splitlines()]
    folder = (project.folder / "results").stat().st_ino
    # When the rules are read, there is no data set yet; when the job ends, there is.
    listings = [list(note["names"]) for note in notes if note.get("folder") == folder]
    assert [] in listings and any("streets" in names for names in listings)
    jobs = [json.loads(line) for line in (control / "jobs.jsonl").read_text().splitlines()]
    assert sorted(job["waits"] for job in jobs) == [False, True]


def test_a_power_cut_loses_what_was_not_synced(tmp_path):
    folder, found = tmp_path / "results", set()
    for seed in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("kept", "replaced", "deleted"):
            (folder / name).write_text(f"old {name}")
        arm(Project(tmp_path))
        powercut.remember(tmp_path)
        (folder / ".new").write_text("new replaced")
        (folder / ".new").rename(folder / "replaced")
        (folder / "deleted").unlink()
        (folder / "added").write_text("new added")
        powercut.play(tmp_path, random.Random(seed))
        found |= {(path.name, path.read_text().rstrip("\0")) for path in folder.iterdir()}
        found |= {(name, None) for name in ("added", "deleted") if not (folder / name).exists()}
    # All that can be seen afterwards, but for files that lost some of their bytes.
    whole = {(name, text) for name, text in found if text is None or text.endswith(name)}
    assert whole == {
        ("kept", "old kept"),
        ("replaced", "old replaced"),
        ("replaced", "new replaced"),
        ("deleted", "old deleted"),
        ("deleted", None),
        ("added", "new added"),
        ("added", None),
    }
    assert {name for name, text in found - whole} == {"replaced", "added"}


def test_changes_reach_what_they_name(chain):
    for name in ("patch-size", "tiling"):
        assert chain.right(CHANGES[name]) != chain.right()
