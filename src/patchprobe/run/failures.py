"""Which jobs of a run failed, where their logs are, and how these end.

Snakemake's own report of a failure stands where the job failed, perhaps thousands of lines before the end of a run that keeps
going, and ``--quiet rules`` leaves it out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchprobe.errors import shown
from patchprobe.run import records
from patchprobe.run.scheduler_logs import scheduler_log

_TAIL = 1 << 16  # bytes of a log in which its last line is looked for
_LONGEST = 600  # characters of a line that are shown


@dataclass(frozen=True)
class Failure:
    """A job that failed: its rule, its wildcards as text, its logs, and the last line that it wrote into each in this run;
    on a cluster the scheduler's log of it, and why the scheduler ended it, empty if it did not."""

    rule: str
    wildcards: str
    logs: tuple[Path, ...]
    last_lines: tuple[str, ...]
    scheduler_log: Path | None = None
    reason: str = ""


def failures(failed: Iterable[Any], *, since: float, scheduler_logs: Path | None = None) -> list[Failure]:
    """Return the failures among Snakemake's jobs, by rule and wildcards.

    ``failed`` are the jobs and groups of jobs that its scheduler gave up. Of a group are taken the jobs that have not recorded
    their results and have something in their logs; where none has, all that have not recorded them. ``since``, a time of the file
    system, is before the first job of this run: what is older was written by another one. ``scheduler_logs`` is the folder of
    the scheduler's logs, on a cluster that has one.
    """
    found = []
    for job in failed:
        for member in _failed_members(job, since) if job.is_group() else [job]:
            logs = tuple(Path(path) for path in member.log)
            lines = tuple(_line_of(path, since) for path in logs)
            wildcards = ", ".join(f"{name}={value}" for name, value in member.wildcards.items() if value)
            values = [str(value) for _, value in member.wildcards.items()]
            ended = scheduler_logs and scheduler_log(
                scheduler_logs, member.rule.name, values, str(next(iter(logs), "")), since=since
            )
            found.append(Failure(member.rule.name, wildcards, logs, lines, *(ended or ())))
    return sorted(found, key=lambda failure: (failure.rule, failure.wildcards))


def _failed_members(group: Any, since: float) -> list[Any]:
    left = [job for job in group if not _recorded(job, since)] or list(group)
    # Snakemake makes empty logs for those that were never begun.
    return [job for job in left if any(_line_of(Path(path), since) for path in job.log)] or left


def _recorded(job: Any, since: float) -> bool:
    """Whether a job has recorded in this run what it made; only results have records."""
    outputs = [str(path) for path in job.output if Path(path).parts[:1] == records.RESULTS.parts]
    return bool(outputs) and _written(records.record_path(outputs[0]), since)


def _written(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since
    except OSError:
        return False


def _line_of(log: Path, since: float) -> str:
    return last_line(log) if _written(log, since) else ""


def last_line(path: Path) -> str:
    """Return the last line of a text that has more than blanks, printable and not long; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return next((shown(line.strip(), _LONGEST) for line in reversed(text.splitlines()) if line.strip()), "")


def describe(found: list[Failure], unfinished: int, *, first: int = 20) -> str:
    """Return what to print of :func:`failures` when a run has ended; ``unfinished`` jobs had been planned too; of many that
    failed only the ``first`` are named."""
    others = f"; {_jobs(unfinished)} not finished" if unfinished else ""
    return "\n".join([f"{_jobs(len(found))} failed{others}:", *_lines(found[:first]), *_rest(found[first:])])


def _lines(found: Iterable[Failure]) -> Iterator[str]:
    for failure in found:
        yield f"  {failure.rule}" + (f" ({failure.wildcards})" if failure.wildcards else "")
        for path, line in zip(failure.logs, failure.last_lines, strict=True):
            yield f"    log: {path}"
            yield f"    {line or 'the job wrote nothing into it in this run: see what is said above of how it was started'}"
        if not failure.logs:
            yield "    its rule names no log: see what is said above"
        if failure.scheduler_log:
            yield f"    log of the scheduler: {failure.scheduler_log}"
        if failure.reason:
            yield f"    {failure.reason}"


def _rest(found: list[Failure]) -> Iterator[str]:
    if found:
        rules = ", ".join(sorted({failure.rule for failure in found}))
        yield f"  and {_jobs(len(found))} more, of {rules}: see logs/<rule>/"


def _jobs(number: int) -> str:
    return f"{number} job" if number == 1 else f"{number} jobs"
