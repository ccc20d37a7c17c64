"""How a job's results get their names: all at once, at its end, if the present run still wants them.

A job writes into hidden folders. A job that outlived its run, and whose results a later run wants made from something
else, finds that out before it publishes, and publishes nothing. Two jobs with one recipe never work at once: the second
waits and takes over what the first has made.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from patchprobe.errors import StoreError
from patchprobe.files import disk_errors, locked, sync, try_lock
from patchprobe.run.records import (
    RESULTS,
    Record,
    Wanted,
    content,
    outside_content,
    params_digest,
    plan_lock,
    read_plan,
    read_record,
    sha256,
    write_record,
)


class Publication:
    """The results of one job on their way; made by :func:`publication`."""

    def __init__(self, outputs: Sequence[Path], wanted: Wanted | None) -> None:
        self.outputs = outputs
        self._wanted = wanted

    @property
    def name(self) -> str:
        """The job's name in plan and records: its first output."""
        return str(self.outputs[0])

    def staged(self, path: Path) -> Path:
        """Return where the job has to write an output: a hidden place, or the path itself for a store or folder,
        which are built in a hidden place of their own."""
        direct = self._wanted is None or path.with_suffix(".manifest.json") in self.outputs
        return path if direct else self._folder(path) / path.name

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Hold the plan while something is published; raises StoreError if a later run wants something else."""
        if self._wanted is None:
            yield
            return
        with plan_lock():
            now = read_plan().jobs.get(self.name)
            if now is None or now.recipe != self._wanted.recipe:
                raise StoreError(
                    f"{self.name}: a later run wants this made from other inputs, configuration or code, so nothing "
                    "was published; nothing is to be done"
                    if now
                    else f"{self.name}: the plan of the run (results/.records/plan.json) is gone, so nothing was "
                    "published; run again"
                )
            yield

    def finish(self, inputs: dict[str, list[str]]) -> None:
        """Give all results their names and write the record."""
        if self._wanted is None or self._wanted.recipe is None:
            return
        staged = {path: self.staged(path) for path in self.outputs}
        staged = {path: hidden for path, hidden in staged.items() if hidden != path}
        with self.allowed(), disk_errors(self.outputs[0]):
            # Read after they were checked, an input could have been another by then.
            if _checked_inputs(self._wanted) != inputs:
                raise StoreError(
                    f"an input of {self.name} was made anew while it was read; nothing was published, run again"
                )
            for path, hidden in staged.items():
                if hidden.exists():  # else Snakemake says which output is missing
                    hidden.replace(path)
            for folder in {path.parent for path in staged}:
                sync(folder)
            made = {str(path): sha256(path) for path in self.outputs}
            write_record(self.name, Record(self._wanted.recipe, self._wanted.params, inputs, made))
        self.clear()

    def clear(self) -> None:
        """Delete what was written into hidden folders and not published."""
        for path in self.outputs:
            shutil.rmtree(self._folder(path), ignore_errors=True)

    def taken_over(self) -> bool:
        """Return whether another job has made the same meanwhile."""
        record = read_record(self.name)
        return (
            record is not None
            and self._wanted is not None
            and record.recipe == self._wanted.recipe
            and all(record.outputs.get(str(path)) == sha256(path) != "" for path in self.outputs)
        )

    @property
    def lock(self) -> Path:
        """The lock of jobs with this name and recipe."""
        folder = self._folder(self.outputs[0])
        return folder.with_name(f"{folder.name}.lock")

    def _folder(self, path: Path) -> Path:
        recipe = self._wanted.recipe if self._wanted else None
        return path.parent / ".partial" / f"{self.outputs[0].name}~{recipe}"


@contextlib.contextmanager
def publication(outputs: Sequence[Path], params: Sequence[object]) -> Iterator[Publication | None]:
    """Hold a job's place for the block, check its inputs, and publish what it wrote when the block ends without an error.

    ``outputs`` in the order of the rule; ``params`` all params of the job. Yields None if another job made the same
    results while this one waited for it. Raises StoreError if the run's plan does not want this job as it is, or an
    input is not what the run takes it for; nothing is published then. Files outside ``results`` are the job's own affair.
    """
    if not outputs or RESULTS not in outputs[0].parents:
        yield Publication(outputs, None)
        return
    wanted = read_plan().jobs.get(str(outputs[0]))
    if wanted is None or wanted.params != params_digest(params):
        raise StoreError(
            f"{outputs[0]}: no run has planned this job as it is (results/.records/plan.json); start it by a run, and "
            "without --no-hooks"
        )
    publishing = Publication(outputs, wanted)
    with disk_errors(outputs[0]):
        publishing.lock.parent.mkdir(parents=True, exist_ok=True)
    waiting = f"{outputs[0]}: a job of an earlier run still makes it; waiting for that job to end"
    with locked(publishing.lock, waiting=waiting) as waited:
        if waited and publishing.taken_over():
            publishing.lock.unlink(missing_ok=True)
            yield None
            return
        _remove_leftovers(publishing)
        inputs = _checked_inputs(wanted)
        try:
            yield publishing
            publishing.finish(inputs)
        finally:
            publishing.clear()
            publishing.lock.unlink(missing_ok=True)


def _checked_inputs(wanted: Wanted) -> dict[str, list[str]]:
    """Return recipe and content of each input; raises StoreError if one is not what the run takes it for."""
    found: dict[str, list[str]] = {}
    for path, (maker, recipe) in wanted.inputs.items():
        if maker is None:
            found[path] = ["", "" if recipe is None else outside_content(Path(path))]
            # Empty where the run fetches the file.
            if recipe and found[path][1] != recipe:
                raise StoreError(f"{path} is not the file that was there when this run began; run again")
            continue
        found[path] = [recipe or "", content(Path(path))]
        record = read_record(maker)
        if record is None or recipe is None:
            continue
        if record.recipe != recipe:
            raise StoreError(f"{path} was made anew by a job of another run since this run began; run again")
        if record.outputs.get(path) not in (None, sha256(Path(path))):
            raise StoreError(
                f"{path} was changed since it was made: its SHA-256 is not that of its record; delete it and run again"
            )
    return found


def _remove_leftovers(publishing: Publication) -> None:
    """Delete the hidden folders of jobs of this name that were killed."""
    own = publishing.lock
    for lock in own.parent.glob(f"{publishing.outputs[0].name}~*.lock"):
        descriptor = try_lock(lock) if lock != own else None
        if descriptor is not None:
            shutil.rmtree(lock.with_name(lock.name.removesuffix(".lock")), ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(descriptor)
    publishing.clear()
