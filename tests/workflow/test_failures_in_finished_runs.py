"""Jobs that fail in a finished run whose configuration was changed: the same line ends in the right results.

``python tests/disturbed.py --failures`` does the same after each change and for each way a job can fail.
"""

import json
from pathlib import Path

import pytest
from disturbance.cases import CHANGES, EVERYTHING
from disturbance.comparison import differences
from disturbance.failures import RULES, fail_every_rule, planned
from disturbance.trials import Trial, Verdict, finish

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def outcome(full, tmp_path_factory):
    """A run in which each rule has failed once, and what it has in place of the right results."""
    folder = tmp_path_factory.mktemp("failures")
    found = fail_every_rule(full, EVERYTHING, folder, rotation=0)
    print(found.describe())
    return found


@pytest.fixture(scope="module")
def rule_of(full):
    """The rule of each output."""
    text = full.finished(EVERYTHING).snakemake("--summary", *full.line).stdout
    lines = [line.split("\t") for line in text.splitlines() if line.startswith("results/")]
    return {Path(columns[0]).relative_to("results").as_posix(): columns[2] for columns in lines}


def test_all_rules_are_known(rule_of):
    assert set(rule_of.values()) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_failed_job_is_made_again(outcome, rule_of, rule):
    way = planned(0)[rule]["way"]
    assert outcome.failed.get(rule) == way, (
        "no job of the rule ran to fail, although its outputs are those of another run"
    )
    own = [path for path, name in rule_of.items() if name == rule]
    wrong = [line for line in outcome.verdict.differing if any(_belongs(line, path) for path in own)]
    assert not wrong, f"{rule}, {way}: " + "; ".join(wrong)


def test_nothing_else_differs_and_no_failure_goes_unnoticed(outcome):
    assert not outcome.verdict.problem and not outcome.unnoticed, outcome.describe()


def _belongs(line: str, output: str) -> bool:
    path = line.partition(": ")[2]
    return path == output or path.startswith(f"{output}/")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def changed(path: Path) -> None:
    """Another value, with which the file is still well formed."""
    if path.suffix == ".json":
        card = json.loads(path.read_text())
        path.write_text(json.dumps(card | {"features": 1, "patch_size": 1}, indent=1))
    else:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:-1]))


CARD, IMAGES = ("features/pixels/card.json", "extraction"), ("images.csv", "tiling")


@pytest.mark.parametrize(
    ("name", "change", "damage"),
    [(*CARD, truncated), (*CARD, changed), (*IMAGES, emptied), (*IMAGES, changed)],
    ids=["card truncated", "card changed", "images emptied", "images changed"],
)
def test_damaged_input_of_a_job_that_has_to_run(chain, tmp_path, name, change, damage):
    project = chain.finished().copy(tmp_path / "project")
    CHANGES[change].apply(project)
    damage(project.folder / "results/streets" / name)
    verdict = Verdict(Trial(f"damaged {name}", 0, change))
    finish(project, chain, CHANGES[change], verdict)
    assert not verdict.problem, verdict.describe()
    assert not differences(project.folder / "results", chain.right(CHANGES[change]), before=chain.right())
