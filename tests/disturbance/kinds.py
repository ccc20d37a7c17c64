"""The kinds of disturbance: each starts a run, disturbs it at a moment, and returns when the run has ended.

A kind gets a :class:`Scene` and may return a later configuration than the one it was given, which the following runs have.
"""

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from projects import Project

from disturbance import powercut
from disturbance.runs import HangError, JobProcess, Run, arm, kill_all, send, send_group, wait_for_orphans


class NotRefusedError(Exception):
    """A second run was not kept out of a folder in which one works."""


@dataclass
class Scene:
    """A project with its line, a moment and the generator for what else is random; notes say what was done."""

    project: Project
    line: tuple[str, ...]
    python: Path
    rng: random.Random
    # The share of the run that is over, or the rule that is running.
    moment: float | str
    notes: list[str] = field(default_factory=list)
    disturbed: bool = True
    # The folder of the hook is made already.
    armed: bool = False
    # What is to be undone once the trial is over.
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> Run:
        if not self.armed:
            arm(self.project)
        return Run(self.project, self.line, python=self.python, name="disturbed")

    def start_until_moment(self) -> Run:
        """Start the run and wait for the moment; a run that ends before was not disturbed."""
        run = self.start()
        if isinstance(self.moment, float):
            reached = run.wait_for_moment(self.moment)
        else:
            reached = run.wait_until(lambda: self._working(run), f"a job of {self.moment}")
            time.sleep(self.rng.random() * 0.3)
        self.disturbed = reached and not run.ended()
        self.notes.append(f"after {run.steps()} of {run.total()} steps")
        return run

    def job(self, run: Run) -> JobProcess | None:
        """One of the processes of jobs that are running; waits for one."""
        if run.wait_until(lambda: self._working(run), "a job") and (jobs := self._working(run)):
            job = self.rng.choice(sorted(jobs, key=lambda job: job.pid))
            self.notes.append(f"job of {job.rule}" + (" (the process that waits)" if job.waits else ""))
            return job
        self.disturbed = False
        return None

    def _working(self, run: Run) -> list[JobProcess]:
        jobs = run.jobs()
        return [job for job in jobs if isinstance(self.moment, float) or job.rule == self.moment]


def _end(scene: Scene, run: Run) -> None:
    run.wait()
    wait_for_orphans(scene.project.folder)


def kill_job(scene: Scene) -> None:
    run = scene.start_until_moment()
    if job := scene.job(run):
        send(job.pid, signal.SIGKILL)
    _end(scene, run)


def kill_server(scene: Scene) -> None:
    run = scene.start_until_moment()
    if server := run.fork_server():
        send(server, signal.SIGKILL)
    elif scene.disturbed:
        raise HangError("there is no fork server to be killed")
    _end(scene, run)


def kill_snakemake(scene: Scene) -> None:
    """Its jobs go on as orphans while the next run starts."""
    run = scene.start_until_moment()
    send(run.pid, signal.SIGKILL)
    run.wait()
    scene.notes.append(f"orphans: {', '.join(sorted({job.rule for job in run.jobs()})) or 'none'}")


def kill_snakemake_and_wait(scene: Scene) -> None:
    """Its jobs end as orphans before the next run starts."""
    kill_snakemake(scene)
    wait_for_orphans(scene.project.folder)


def kill_everything(scene: Scene) -> None:
    run = scene.start_until_moment()
    send_group(run, signal.SIGKILL)
    run.wait()
    kill_all(scene.project.folder)


def signalled(number: signal.Signals, *, group: bool) -> Callable[[Scene], None]:
    def disturb(scene: Scene) -> None:
        run = scene.start_until_moment()
        if group:
            send_group(run, number)
        else:
            send(run.pid, number)
        run.wait()

    return disturb


def stop_job(scene: Scene) -> None:
    """A job stands still for a while, in which a second run is refused; then all goes on."""
    run = scene.start_until_moment()
    if job := scene.job(run):
        _stop(scene, run, job.pid)
    _end(scene, run)


def stop_snakemake(scene: Scene) -> None:
    run = scene.start_until_moment()
    if scene.disturbed:
        _stop(scene, run, run.pid)
    _end(scene, run)


def _stop(scene: Scene, run: Run, pid: int) -> None:
    send(pid, signal.SIGSTOP)
    try:
        # Where it has not ended, it holds its lock, and cannot give it back now.
        if not run.ended():
            second = Run(scene.project, scene.line, name="second")
            status = second.wait()
            if not status or "another run" not in second.text():
                raise NotRefusedError(f"a second run in the folder ended with {status}, not refused")
    finally:
        send(pid, signal.SIGCONT)


def notes_deleted(scene: Scene) -> None:
    """Snakemake's own notes are deleted after a kill."""
    kill_everything(scene)
    shutil.rmtree(scene.project.folder / ".snakemake", ignore_errors=True)


def partial_deleted(scene: Scene) -> None:
    """Half-written stores are deleted after a kill."""
    kill_everything(scene)
    scene.notes.append(f"{_delete_partial(scene.project)} folders .partial")


def partial_deleted_while_written(scene: Scene) -> None:
    run = scene.start_until_moment()
    # Often enough to meet a store while it is built, whichever it is.
    count, until = 0, time.monotonic() + scene.rng.uniform(1, 3)
    while not run.ended() and (time.monotonic() < until or not count):
        count += _delete_partial(scene.project)
        time.sleep(0.01)
    scene.notes.append(f"{count} folders .partial")
    _end(scene, run)


def _delete_partial(project: Project) -> int:
    folders = [path for path in (project.folder / "results").rglob(".partial") if any(path.iterdir())]
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    return len(folders)


def disk_full(scene: Scene) -> None:
    """From the moment on nothing can be written, by no process of the run; then there is space again."""
    run = scene.start_until_moment()
    full = scene.project.folder / ".disturbance/full"
    with contextlib.suppress(FileNotFoundError):
        full.touch()
    _end(scene, run)
    full.unlink(missing_ok=True)


def power_cut(scene: Scene) -> None:
    arm(scene.project)
    powercut.remember(scene.project.folder)
    scene.armed = True
    kill_everything(scene)
    lost = powercut.play(scene.project.folder, scene.rng)
    results = [line for line in lost if line.startswith("results/")]
    scene.notes.append(f"{len(lost)} losses, {len(results)} in results")
    (scene.project.folder.with_name(f"{scene.project.folder.name}.lost.txt")).write_text("\n".join(lost) + "\n")


KINDS: dict[str, Callable[[Scene], None]] = {
    "kill-job": kill_job,
    "kill-server": kill_server,
    "kill-snakemake": kill_snakemake,
    "kill-snakemake-and-wait": kill_snakemake_and_wait,
    "kill-everything": kill_everything,
    "term-snakemake": signalled(signal.SIGTERM, group=False),
    "term-group": signalled(signal.SIGTERM, group=True),
    "int-snakemake": signalled(signal.SIGINT, group=False),
    "int-group": signalled(signal.SIGINT, group=True),
    "hup-snakemake": signalled(signal.SIGHUP, group=False),
    "hup-group": signalled(signal.SIGHUP, group=True),
    "stop-job": stop_job,
    "stop-snakemake": stop_snakemake,
    "notes-deleted": notes_deleted,
    "partial-deleted": partial_deleted,
    "partial-deleted-while-written": partial_deleted_while_written,
    "disk-full": disk_full,
    "power-cut": power_cut,
    # Its orphan meets a run of another configuration; trials make it of this one.
    "orphan-of-another": kill_snakemake,
}
