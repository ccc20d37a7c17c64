"""Results that are there and that nothing can make any more.

Snakemake takes a file for a source if it is there and the job that would make it lacks an input. So after a mistake in a
declaration, or in what inputs of a rule are called, everything behind it would look up to date for ever.
"""

from pathlib import Path
from typing import Any

from snakemake.exceptions import MissingRuleException

from patchprobe.run.records import RESULTS


async def unmade(dag: Any) -> str | None:
    """Return which result no job of the graph makes although a rule is for it, and what is missing; None if there is none.

    ``dag`` is Snakemake's graph of jobs. A file that no rule is for is the user's own.
    """
    settings = dag.workflow.dag_settings
    if settings.allowed_rules or settings.omit_from or settings.until:
        return None
    made = {str(path) for job in dag.jobs for path in job.output}
    asked = {str(path) for job in dag.jobs for path in job.input} | set(map(str, dag.targetfiles))
    for path in sorted(asked - made):
        if Path(path).parts[:1] != RESULTS.parts:
            continue
        missing = await _missing(dag, path, set())
        if missing is not None:
            return (
                f"{path} is there, and nothing can make it any more: {missing} is missing, and no rule makes it; correct what asks "
                f"for it (the declaration of an analysis, or the configuration), or delete {path}"
            )
    return None


async def _missing(dag: Any, path: str, seen: set[str]) -> str | None:
    """Return a file without which a file cannot be made; None if it can be, or if it is there and no rule is for it."""
    if path in seen:
        return None
    seen.add(path)
    try:
        jobs = await dag.file2jobs(path)
    except MissingRuleException:
        return None if Path(path).exists() else path
    missing = None
    for job in jobs:
        for given in job.input:
            missing = await _missing(dag, str(given), seen)
            if missing is not None:
                break
        else:
            return None
    return missing
