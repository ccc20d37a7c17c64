"""Time by stage of a finished run, from the benchmark files that Snakemake writes for each job."""

import csv
from collections.abc import Mapping
from pathlib import Path

_SUFFIX = ".benchmark.tsv"


def stage_times(logs: Path, stages: Mapping[str, str], *, since: float) -> dict[str, tuple[int, float]]:
    """Return the number of jobs and their seconds together, in the order of ``stages``, for each stage that ran.

    ``stages`` names the stage of each rule. Benchmark files are ``logs/<rule>.benchmark.tsv`` and
    ``logs/<rule>/<wildcards>.benchmark.tsv``; those older than ``since``, a time as :func:`time.time` gives it, belong
    to other runs. One that is damaged, as a full disk or a power cut leaves it, is left out.
    """
    times = dict.fromkeys(stages.values(), (0, 0.0))
    for path in logs.rglob(f"*{_SUFFIX}"):
        rule = path.relative_to(logs).parts[0].removesuffix(_SUFFIX)
        if rule in stages and path.stat().st_mtime >= since:
            try:
                with path.open(newline="") as file:
                    seconds = sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
            except (OSError, ValueError, KeyError, TypeError, csv.Error):
                continue
            jobs, before = times[stages[rule]]
            times[stages[rule]] = (jobs + 1, before + seconds)
    return {stage: found for stage, found in times.items() if found[0]}


def describe(times: Mapping[str, tuple[int, float]], seconds: float) -> str:
    """Return :func:`stage_times` as a table to print; ``seconds`` is what the whole run took."""
    width = max(map(len, [*times, "stage"]))
    rows = [f"{stage:{width}}  {jobs:5}  {spent:8.1f}" for stage, (jobs, spent) in times.items()]
    head = f"{'stage':{width}}   jobs   seconds"
    return "\n".join([head, *rows, f"The run took {seconds:.0f} s; jobs ran side by side."])
