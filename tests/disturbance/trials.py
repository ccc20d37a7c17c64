"""One disturbed run from its start to its verdict."""

import random
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from projects import Project

from disturbance.cases import CHANGES, NOTHING, Cases, Change
from disturbance.comparison import differences
from disturbance.kinds import KINDS, NotRefusedError, Scene
from disturbance.mounts import MOUNTED
from disturbance.runs import HangError, kill_all, make_environment, wait_for_orphans

# How often the same line is given again before a run counts as one that does not end.
AGAIN = 3


@dataclass(frozen=True)
class Trial:
    """A disturbed run: what is done to which run, and when."""

    kind: str
    seed: int
    # The configuration that is run; from nothing, or in a finished run of the unchanged one.
    change: str
    from_nothing: bool = False
    # The share of the run that is over, or a rule that is running.
    moment: float | str = 0.5
    # What the run that meets an orphan has.
    other: str = "bootstrap"

    def __str__(self) -> str:
        start = "from nothing" if self.from_nothing else "after a change"
        moment = f"at {self.moment:.3f}" if isinstance(self.moment, float) else f"in {self.moment}"
        return f"{self.kind} of {self.change} {start} {moment}, seed {self.seed}"


@dataclass
class Verdict:
    """How a disturbed run ended: ``problem`` is empty where it ended as it has to."""

    trial: Trial
    problem: str = ""
    # Lines that said what to delete, which was done.
    told: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    disturbed: bool = True
    reruns: int = 0
    seconds: float = 0.0

    def describe(self) -> str:
        """The verdict in a line, and below it what differs."""
        word = "FAILED" if self.problem else "told" if self.told else "same" if self.disturbed else "missed"
        text = f"{word:7} {self.trial} ({'; '.join([*self.notes, f'{self.reruns} reruns'])}; {self.seconds:.0f} s)"
        lines = [f"    {line}" for line in [self.problem, *self.told] if line]
        more = [f"    ... and {len(self.differing) - 12} more"] if len(self.differing) > 12 else []
        return "\n".join([text, *lines, *(f"      {line}" for line in self.differing[:12]), *more])


# Rules that run after a change.
_AFTER = {
    **dict.fromkeys(
        ("patch-size", "tiling", "options", "splits", "extraction", "code"),
        ("extract", "fit_probe", "patch_classification", "removal_sweep", "model_table"),
    ),
    **dict.fromkeys(("linear", "variant"), ("fit_probe", "patch_classification", "model_table")),
    **dict.fromkeys(("bootstrap", "seed"), ("patch_classification", "removal_sweep", "model_table")),
    "levels": ("corrupt", "extract", "patch_classification", "corruption_sheet"),
    "analysis": ("removal_sweep", "removal_sweep_figure", "model_table"),
    "report": ("corruption_sheet",),
}


def draw(seed: int, kind: str) -> Trial:
    """The trial of a kind that belongs to a seed."""
    rng = random.Random(f"{seed} {kind}")
    change, other = rng.sample(sorted(CHANGES), 2)
    from_nothing = rng.random() < 0.25 and kind != "orphan-of-another"
    moment = rng.random() if rng.random() < 0.6 else rng.choice(_AFTER[change])
    return Trial(kind, seed, change, from_nothing, moment, other)


def run_trial(trial: Trial, cases: Cases, folder: Path) -> Verdict:
    """Make a disturbed run in a new folder; nothing of it works on afterwards."""
    began, verdict = time.monotonic(), Verdict(trial)
    change = CHANGES.get(trial.change, NOTHING)
    if trial.from_nothing:
        project = cases.new(folder / "project", change)
    else:
        project = cases.finished().copy(folder / "project")
        change.apply(project)
    python = make_environment(folder / "environment")
    rng = random.Random(f"{trial.seed} {trial.kind} within")
    scene = Scene(project, cases.line, python, rng, trial.moment, verdict.notes)
    try:
        (KINDS | MOUNTED)[trial.kind](scene)
        verdict.disturbed = scene.disturbed
        if trial.kind == "orphan-of-another":
            _meet_orphan(trial, cases, project, verdict)
        else:
            finish(project, cases, change, verdict)
    except (HangError, NotRefusedError) as error:
        verdict.problem = str(error)
    finally:
        kill_all(project.folder)
        if verdict.problem and trial.kind in MOUNTED:
            shutil.copytree(project.folder, folder / "found", symlinks=True)
        scene.closing.close()
    verdict.seconds = time.monotonic() - began
    return verdict


def _meet_orphan(trial: Trial, cases: Cases, project: Project, verdict: Verdict) -> None:
    """Run another configuration while the orphan works, and again after its end: it must not leave a trace."""
    other = CHANGES[trial.other]
    project.write_config(cases.finished(other).config())
    for part in ("src", "workflow"):
        shutil.rmtree(project.folder / part)
        shutil.copytree(cases.finished(other).folder / part, project.folder / part)
    extra = cases.right(CHANGES[trial.change])
    finish(project, cases, other, verdict, extra=extra)
    if not verdict.problem:
        wait_for_orphans(project.folder)
        compare(project, cases, other, verdict, "after the orphan's end", extra=extra)
    if not verdict.problem:
        finish(project, cases, other, verdict, extra=extra)


def finish(
    project: Project, cases: Cases, change: Change, verdict: Verdict, *, extra: dict[str, str] | None = None
) -> None:
    """Give the same line again until it ends well, delete what it says, and compare."""
    for _ in range(AGAIN):
        verdict.reruns += 1
        try:
            run = project.snakemake(*cases.line, check=False)
        except subprocess.TimeoutExpired as error:
            raise HangError(f"the run did not end within {error.timeout:.0f} s") from None
        if run.returncode == 0:
            compare(project, cases, change, verdict, "although the run ended well", extra=extra)
            return
        if lines := advice(run.stdout):
            verdict.told += lines
            for path in named_paths(lines, project.folder):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    verdict.problem = f"the same line fails {AGAIN} times: {_last_words(run.stdout)}"


def compare(
    project: Project,
    cases: Cases,
    change: Change,
    verdict: Verdict,
    when: str,
    *,
    extra: dict[str, str] | None = None,
) -> None:
    before = cases.right() | (extra or {})
    found = differences(project.folder / "results", cases.right(change), before=before)
    if found:
        verdict.problem, verdict.differing = f"{len(found)} files differ {when}", found


def advice(text: str) -> list[str]:
    """The lines of a run's output that say what to delete."""
    lines = [line.strip() for line in text.splitlines() if re.search(r"\bdelete\b", line)]
    return sorted({line for line in lines if "results/" in line})


def named_paths(lines: list[str], project: Path) -> list[Path]:
    """The files and folders of results that such lines name; with a store its manifest."""
    found = set()
    for line in lines:
        for word in re.findall(r"[\w./@~+-]*results/[\w./@~+-]+", line):
            path = project / word.rstrip(".,:;")
            both = {path, path.with_suffix(".manifest.json")} if path.suffix == ".zarr" else {path}
            found |= {one for one in both if one.exists() and (project / "results").resolve() in one.resolve().parents}
    return sorted(found)


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if re.search(r"error|Error|Exception", line)]
    return (lines or text.splitlines() or ["(no output)"])[-1].strip()[:300]
