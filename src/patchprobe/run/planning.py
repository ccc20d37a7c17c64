"""What a run has to make again because it is not what the records say, beyond what Snakemake notices.

Snakemake remembers what it ran in ``.snakemake`` alone, deletes the outputs of a failed job, and takes a missing
intermediate file for no reason to run. So what lies behind a failed job of a changed configuration looks up to date.
Here each job's recipe is compared with the record beside its results, through all jobs, whether their outputs are there
or not; and what a failed run had planned and not reached is made by the next.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake.io import is_flagged

from patchprobe.run.records import (
    RESULTS,
    Plan,
    Record,
    Wanted,
    content,
    outside_content,
    params_digest,
    plan_lock,
    read_plan,
    read_record,
    recipe,
    sha256,
    write_plan,
)
from patchprobe.stores.file_list import drop_spares

# The flag of an input that only has to be there.
AWAITED = "awaited"
# The flag of such an input that is there in some configurations and not in others.
PREPARED = "prepared"
_OTHER_INPUT = "it was made from another "


@dataclass(frozen=True)
class Step:
    """A job as it is planned: its outputs, the digest of its params, and its inputs, each with the job that makes it.

    ``given`` holds the fingerprints of those inputs that no job makes and whose time does not count; empty where one is
    absent. ``follows`` names the jobs after which Snakemake runs this one too.
    """

    outputs: Sequence[str]
    params: str
    inputs: Mapping[str, str | None]
    given: Mapping[str, str] = field(default_factory=dict)
    follows: Set[str] = frozenset()

    @property
    def name(self) -> str:
        """The job's name in plan and records: its first output."""
        return self.outputs[0]


@dataclass(frozen=True)
class Finding:
    """What became of a step: the recipe its outputs have or would have, whether some are missing, and why they are stale
    (empty if they are not)."""

    recipe: str
    missing: bool
    stale: str
    record: Record | None

    @property
    def fresh(self) -> bool:
        """Whether all outputs are there and what the step would make."""
        return not self.missing and not self.stale


def assess(steps: Iterable[Step]) -> dict[str, Finding]:
    """Return what became of each step, by name; ``steps`` in an order in which makers come before takers.

    An output is stale if another of its job is missing, if its record is missing or has other params or other inputs, if
    it was changed since, or if an input differs from the one it was made from: in content where that is there and fresh, else in recipe.
    """
    found: dict[str, Finding] = {}
    known: dict[str, str] = {}
    for step in steps:
        record = read_record(step.name)
        recipes = {path: found[made].recipe if made else step.given.get(path) for path, made in step.inputs.items()}
        would_be = recipe(step.params, recipes)
        there = [Path(path).exists() for path in step.outputs]
        missing = not all(there)
        stale = (
            _difference(step, record, found, known) if not missing else "a part of it is missing" if any(there) else ""
        )
        kept = record is not None and not missing and not stale
        found[step.name] = Finding(record.recipe if record and kept else would_be, missing, stale, record)
    return found


def _difference(step: Step, record: Record | None, found: Mapping[str, Finding], known: dict[str, str]) -> str:
    """Return in what a record differs from a step whose outputs are there; empty if in nothing."""
    if record is None:
        return "nothing says what it was made from"
    if record.params != step.params:
        return "it was made with another configuration or other code"
    if record.inputs.keys() != step.inputs.keys():
        return "it was made from other files"
    if any(record.outputs.get(path) != sha256(Path(path)) for path in step.outputs):
        return "it was changed since it was made"
    for path, maker in step.inputs.items():
        then_recipe, then_content = record.inputs[path]
        if maker is None:
            # One that is gone is still what the result was made from.
            if step.given.get(path, "") not in ("", then_content):
                return f"{path} is not the file it was made from"
            continue
        if found[maker].fresh:
            if path not in known:
                known[path] = content(Path(path))
            same = then_content == known[path]
        else:
            same = then_recipe == found[maker].recipe
        if not same:
            return f"{_OTHER_INPUT}{path}"
    return ""


def wanted(steps: Iterable[Step], found: Mapping[str, Finding], to_run: set[str]) -> dict[str, Wanted]:
    """Return what a run that runs the jobs ``to_run`` wants of every step: their recipes, and of others what is there."""
    recipes: dict[str, str | None] = {}
    jobs: dict[str, Wanted] = {}
    for step in steps:
        inputs = {path: [made, recipes[made] if made else step.given.get(path)] for path, made in step.inputs.items()}
        record = found[step.name].record
        if step.name in to_run or found[step.name].missing:
            recipes[step.name] = recipe(step.params, {path: made[1] for path, made in inputs.items()})
        else:
            recipes[step.name] = record.recipe if record else None
        jobs[step.name] = Wanted(recipes[step.name], step.params, inputs)
    return jobs


class Planning:
    """The planning of one run of Snakemake; ``dag`` is its graph of jobs, ``workflow.dag``."""

    def __init__(self, dag: Any) -> None:
        self._steps = list(_steps(dag))
        self._found = assess(self._steps)
        self._to_run: set[str] = set()

    def forced(self, with_stale: bool = True) -> set[str]:
        """Return an output of each job that has to run, and say so on stderr: missing ones that an earlier run had
        planned and did not reach, and stale ones unless not ``with_stale``. Those that only follow others are Snakemake's
        to find, which says then what they follow."""
        stale = {name: finding.stale for name, finding in self._found.items() if finding.stale and with_stale}
        pending = read_plan().pending
        left = {name for name, finding in self._found.items() if finding.missing and name in pending}
        again = stale.keys() | left
        follows = {step.name: step.follows for step in self._steps}
        first = {
            name: why for name, why in stale.items() if not (why.startswith(_OTHER_INPUT) and follows[name] & again)
        }
        _explain(first, len(left))
        return first.keys() | left

    def begin(self, to_run: Iterable[str]) -> None:
        """Write what this run wants, before its first job; ``to_run`` holds the first outputs of the jobs it runs."""
        self._to_run = self._found.keys() & set(to_run)
        jobs = wanted(self._steps, self._found, self._to_run)
        with plan_lock():
            before = read_plan()
            pending = (before.pending - jobs.keys()) | self._to_run
            write_plan(Plan({**before.jobs, **jobs}, pending))

    def succeed(self) -> None:
        """Note that all jobs of this run have ended well; what was kept in case they had not is not needed any more."""
        for step in self._steps:
            if step.name in self._to_run:
                for path in step.outputs:
                    drop_spares(Path(path))
        with plan_lock():
            now = read_plan()
            write_plan(Plan(now.jobs, now.pending - self._to_run))


def _steps(dag: Any) -> Iterable[Step]:
    """Yield the jobs of a graph whose outputs are results, makers first."""
    for level in dag.toposorted():
        for job in level:
            if not _makes_results(job):
                continue
            makers = {
                str(path): str(maker.output[0])
                for maker, paths in dag.dependencies[job].items()
                if _makes_results(maker)
                for path in paths
            }
            counted = [path for path in job.input if not is_flagged(path, AWAITED)]
            inputs = {str(path): makers.get(str(path)) for path in counted}
            ancient = {str(path) for path in counted if is_flagged(path, "ancient")}
            yield Step(
                [str(path) for path in job.output],
                params_digest(job.non_derived_params),
                inputs,
                given={path: outside_content(Path(path)) for path in ancient - makers.keys()},
                follows={maker for path, maker in makers.items() if path not in ancient},
            )


def _makes_results(job: Any) -> bool:
    return bool(job.output) and RESULTS in Path(job.output[0]).parents


def _explain(stale: Mapping[str, str], left: int, shown: int = 5) -> None:
    for name, why in list(stale.items())[:shown]:
        print(f"{name} is stale: {why}", file=sys.stderr)
    if len(stale) > shown:
        print(f"... and {len(stale) - shown} more", file=sys.stderr)
    if left:
        print(
            f"results of {left} jobs that an earlier run had planned and did not reach are still to be made",
            file=sys.stderr,
        )
