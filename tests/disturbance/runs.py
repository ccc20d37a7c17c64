"""Runs that can be disturbed: started in a session of their own, followed by their output, found and ended by folder."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from projects import FORKSERVER, Project, environment

from patchprobe.run import forkserver

HOOK = Path(__file__).parent / "hook/disturbed_process.py"
# Machines may be slow and shared; what takes longer hangs.
PATIENCE = 900.0
_STEPS = re.compile(r"^(\d+) of (\d+) steps", re.MULTILINE)


class HangError(Exception):
    """Something that has to happen did not."""


@dataclass(frozen=True)
class JobProcess:
    """A process that runs the script of a job, or (``waits``) waits for the fork that does."""

    pid: int
    rule: str
    waits: bool


def make_environment(folder: Path) -> Path:
    """Make an environment with all packages of this one and the hook; returns its Python."""
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    python = folder / "bin/python"
    if not python.exists():
        packages.mkdir(parents=True)
        python.parent.mkdir()
        base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
        (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
        own = sysconfig.get_paths()["purelib"]
        (packages / "packages.pth").write_text(f"import site; site.addsitedir({own!r}); import {HOOK.stem}\n")
        shutil.copy(HOOK, packages)
        python.symlink_to(base)
    return python


def arm(project: Project) -> Path:
    """Make the folder by which the hook knows that a run is to be disturbed."""
    folder = project.folder / ".disturbance"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "kept").mkdir(parents=True)
    return folder


class Run:
    """A run in its own session; its output goes to a file, which orphans may go on to hold open."""

    def __init__(
        self,
        project: Project,
        line: tuple[str, ...],
        *,
        python: Path | None = None,
        server: Path | None = None,
        name: str = "run",
    ):
        """``python`` is that of :func:`make_environment`, for a run with the hook, which starts the server of its jobs itself
        unless there is one at the address ``server``.
        """
        self.project = project
        self.output = project.folder.with_name(f"{project.folder.name}.{name}.txt")
        words = project.command(*line)
        variables = environment() | ({} if python else FORKSERVER)
        if python:
            words = [str(python), *words]
            variables["PATH"] = f"{python.parent}{os.pathsep}{variables['PATH']}"
        if server:
            variables[forkserver.ADDRESS] = str(server)
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                cwd=project.folder,
                env=variables,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_as_from_a_terminal,
            )
        self.pid = self.process.pid

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self) -> int:
        """Wait for Snakemake's end and return its exit status."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise HangError(f"the run did not end within {PATIENCE:.0f} s") from None

    def steps(self) -> int:
        """How many steps are done."""
        found = _STEPS.findall(self.text())
        return int(found[-1][0]) if found else 0

    def total(self) -> int:
        """How many steps the run has; 0 as long as it has not said so."""
        match = re.search(r"^total +(\d+)", self.text(), re.MULTILINE)
        return int(match[1]) if match else 0

    def wait_until(self, condition, what: str) -> bool:
        """Wait for a condition; False if the run ends before."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.ended():
                return bool(condition())
            if time.monotonic() > deadline:
                raise HangError(f"{what} did not happen within {PATIENCE:.0f} s")
            time.sleep(0.02)
        return True

    def wait_for_moment(self, share: float) -> bool:
        """Wait until this share of the run is over, counted in steps; False if the run ends before."""
        if not self.wait_until(lambda: self.total() or "Nothing to be done" in self.text(), "planning"):
            return False
        step, rest = divmod(share * self.total(), 1)
        reached = self.wait_until(lambda: self.steps() >= int(step), f"step {step:.0f}")
        time.sleep(rest * 1.5)
        return reached and not self.ended()

    def jobs(self) -> list[JobProcess]:
        """The processes of jobs that are running, of this run or left by an earlier one."""
        path = self.project.folder / ".disturbance/jobs.jsonl"
        with contextlib.suppress(FileNotFoundError):
            alive = set(processes_in(self.project.folder))
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            return [JobProcess(**line) for line in lines if line["pid"] in alive]
        return []

    def fork_server(self) -> int | None:
        """The process from which jobs are forked: the one of that name that Snakemake started."""
        for pid in processes_in(self.project.folder):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"forkserver" in words and parent(pid) == self.pid:
                    return pid
        return None


def _as_from_a_terminal() -> None:
    """Take signals that whoever started this process ignores, as in the background of a script."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes_in(folder: Path) -> list[int]:
    """All processes that work in a folder or below it; those that have ended and wait to be noticed do not count."""
    found, top = [], str(folder.resolve())
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                place = str((entry / "cwd").readlink())
                if place == top or place.startswith(f"{top}/"):
                    found.append(int(entry.name))
    return found


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def send_group(run: Run, number: int) -> None:
    """Send a signal to all processes of a run's session, as a terminal does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, number)


def kill_all(folder: Path) -> None:
    """Kill everything that works in a folder, also what is stopped, until nothing does."""
    deadline = time.monotonic() + PATIENCE
    while left := processes_in(folder):
        for pid in left:
            send(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise HangError(f"processes {left} cannot be killed")
        time.sleep(0.02)


def wait_for_orphans(folder: Path, *, but: int | None = None) -> None:
    """Wait until nothing works in a folder any more, ``but`` the process of this number."""
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid in processes_in(folder) if pid != but]:
        if time.monotonic() > deadline:
            raise HangError(f"processes {left} went on for more than {PATIENCE:.0f} s after their run")
        time.sleep(0.05)
