"""Jobs of every rule fail in a finished run whose configuration was changed; the same line has to repair it.

In each run all rules fail that have not failed yet. A job that fails keeps what follows it from running, so the first run
lets the first rules of the graph fail, the next one, after which these are made, those that follow, and so on: each
rule has failed once in as many runs as the graph is deep, with results of the earlier configuration after it.
"""

import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from projects import Project, fork_server

from disturbance.cases import Cases, Change
from disturbance.runs import HangError, Run, arm, kill_all, make_environment, wait_for_orphans
from disturbance.trials import Trial, Verdict, finish

WAYS = ("killed", "error", "full")
# All rules of the configuration "full".
RULES = (
    "index",
    "tile",
    "label",
    "corrupt",
    "inspect_model",
    "extract",
    "fit_probe",
    "patch_classification",
    "variance_spectrum",
    "removal_sweep",
    "training_size",
    "layers",
    "global_context",
    "prepare_full_images",
    "inspect_full_images",
    "extract_full_images",
    "full_images",
    "capi",
    "hummingbird",
    "paired_differences",
    "explorer",
    "model_table",
    "datasets_table",
    "patch_classification_table",
    "variance_spectrum_table",
    "removal_sweep_table",
    "training_size_table",
    "layers_table",
    "global_context_table",
    "full_images_table",
    "protocols_table",
    "paired_differences_table",
    "clean_scores_figure",
    "robustness_figure",
    "class_iou_figure",
    "variance_spectrum_figure",
    "removal_sweep_figure",
    "training_size_figure",
    "layers_figure",
    "global_context_figure",
    "full_images_figure",
    "protocols_figure",
    "corruption_sheet",
    "segmentation_sheet",
    "explorer_page",
    "results_page",
)
# What their jobs do not import.
NEEDLESS = ("timm", "sklearn.cluster")
# Their jobs write many files.
STORES = (
    "tile",
    "label",
    "corrupt",
    "extract",
    "patch_classification",
    "prepare_full_images",
    "extract_full_images",
)


@dataclass
class Outcome:
    """Which rules failed in which way, and how the run after the last failure ended."""

    verdict: Verdict
    failed: dict[str, str] = field(default_factory=dict)
    # Runs that ended well although a job had failed.
    unnoticed: list[str] = field(default_factory=list)

    def describe(self) -> str:
        return f"{self.verdict.describe()}\n    {len(self.failed)} rules failed" + "".join(
            f"\n    {line}" for line in self.unnoticed
        )


def planned(rotation: int, seed: int = 0) -> dict[str, dict[str, object]]:
    """The way of each rule, and the write at which it happens; three rotations give each rule each way."""
    rng = random.Random(f"{seed} {rotation}")
    return {
        rule: {"way": WAYS[(number + rotation) % 3], "at": rng.choice([1, 2, 5, 9] if rule in STORES else [1, 2])}
        for number, rule in enumerate(RULES)
    }


def fail_every_rule(cases: Cases, change: Change, folder: Path, rotation: int) -> Outcome:
    """Change a finished run, let each rule that runs fail once, repair by the same line, and compare."""
    began = time.monotonic()
    outcome = Outcome(Verdict(Trial("failures", rotation, change.name, moment="every rule")))
    project = cases.finished().copy(folder / "project")
    change.apply(project)
    try:
        _fail(project, cases.line, folder, planned(rotation), outcome)
        finish(project, cases, change, outcome.verdict)
    except HangError as error:
        outcome.verdict.problem = str(error)
    finally:
        kill_all(project.folder)
    outcome.verdict.seconds = time.monotonic() - began
    return outcome


def _fail(project: Project, line: tuple[str, ...], folder: Path, plan: dict[str, Any], outcome: Outcome) -> None:
    """Give a line until no rule is left to fail as planned, with one server for the jobs of all these runs."""
    python, address, control = make_environment(folder / "environment"), folder / "server", arm(project)
    with fork_server(address, *NEEDLESS, python=str(python), folder=project.folder) as server:
        while plan:
            (control / "plan.json").write_text(json.dumps(plan))
            run = Run(project, line, python=python, server=address, name=f"failing{len(outcome.failed)}")
            status = run.wait()
            wait_for_orphans(project.folder, but=server)
            fired = _fired(control)
            outcome.failed |= fired
            if fired and status == 0:
                outcome.unnoticed.append(f"a run ended well although jobs failed: {', '.join(fired)}")
            if not fired:
                break
            plan = {rule: entry for rule, entry in plan.items() if rule not in fired}
            control = arm(project)


def _fired(control: Path) -> dict[str, str]:
    path = control / "fired.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {line["rule"]: line["way"] for line in lines}
