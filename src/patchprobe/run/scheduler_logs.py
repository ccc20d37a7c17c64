"""What a cluster's scheduler says of a job that it ended: too much memory, too much time, cancelled, a lost node.

Such a job writes nothing of it into its own log. The executor plugin for SLURM has a log of its own for each submission,
``<folder>/rule_<rule>/<wildcards>/<number>.log`` or, of jobs sent together, ``<folder>/group_<name>/<number>.log``, with all that
Snakemake and SLURM print on the node.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from patchprobe.errors import shown

_PART = 1 << 18  # bytes of a log's end that are looked at
_LONGEST = 300  # characters of a line that are shown
_ENDED = re.compile(
    r"exceeded (job )?memory limit|oom[-_ ]?kill|out of memory|time limit|cancelled|node failure|preempt", re.I
)


def scheduler_log(
    folder: Path, rule: str, wildcards: Sequence[str], log: str, *, since: float
) -> tuple[Path, str] | None:
    """Return the last log of a job's submissions below ``folder`` and the line in it that says why the scheduler ended it, empty
    if none does; None if there is no such log.

    ``wildcards`` are the values of the job's wildcards in order, ``log`` is the job's own log, which Snakemake names in that of a
    group. Logs older than ``since``, a time of the file system, are those of earlier runs.
    """
    own = folder / f"rule_{rule}" / "_".join(wildcards).replace("/", "_")
    found = list(own.glob("*.log")) or [path for path in folder.glob("group_*/*.log") if log and log in _end(path)]
    dated = [(time, path) for path in found if (time := _time(path)) >= since]
    if not dated:
        return None
    _, last = max(dated)
    lines = [line.strip() for line in _end(last).splitlines() if _ENDED.search(line)]
    return last, shown(lines[0], _LONGEST) if lines else ""


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _PART))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
