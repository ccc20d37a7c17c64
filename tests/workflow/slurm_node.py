"""A SLURM of one node, which the tests start for themselves: controller, node daemon and munge, each a process of the test's.

Everything lies in one folder: nothing is read from /etc/slurm or written there, and another SLURM of this machine is not touched.
Memory and time are enforced without cgroups, by what the node daemon counts. The node has four GPUs in name: devices that are there
anyhow, of which SLURM hands out the numbers; it has more processors and memory in name, too, so that jobs need not wait for others.
"""

import ctypes
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
# Where Debian keeps daemons, which is not in everybody's PATH.
PATHS = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=10
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,bf_interval=1
JobRequeue=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
OverTimeLimit=0
KillWait=2
MinJobAge=7200
InactiveLimit=0
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldDebug=info
SlurmdDebug=info
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=131072 Gres=gpu:a100:3,gpu:h100:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpus Nodes={host} MaxTime=INFINITE State=UP
"""
GPUS = """\
NodeName={host} Name=gpu Type=a100 File=/dev/null
NodeName={host} Name=gpu Type=a100 File=/dev/zero
NodeName={host} Name=gpu Type=a100 File=/dev/full
NodeName={host} Name=gpu Type=h100 File=/dev/random
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATHS)]


class Node:
    """The daemons in a folder; ``environment`` lets SLURM's programs find them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{folder / 'bin'}{os.pathsep}{PATHS}"
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        host = socket.gethostname().partition(".")[0]
        values = {
            "host": host,
            "user": getpass.getuser(),
            "folder": self.folder,
            "controller": _free_port(),
            "daemon": _free_port(),
        }
        for name in ("bin", "spool", "state"):
            (self.folder / name).mkdir()
        # The plugin lets no variable of SLURM's through to the srun of its jobs, so that would look into /etc/slurm.
        srun = self.folder / "bin/srun"
        srun.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun", path=PATHS)} "$@"\n'
        )
        srun.chmod(0o755)
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        (self.folder / "gres.conf").write_text(GPUS.format(**values))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        key = self.folder / "munge.key"
        key.touch(mode=0o400)
        key.chmod(0o600)
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        names = {"key-file": key.name, "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        options = [f"--{option}={self.folder / name}" for option, name in names.items()]
        self._run("munged", "--foreground", *options)
        self._await("munge", lambda: self.ask("munge", "-S", str(self.folder / "munge.socket"), "-n"))
        self._run("slurmctld", "-D", "-c")
        self.start_daemon()

    def start_daemon(self) -> None:
        self._run("slurmd", "-D", "-N", socket.gethostname().partition(".")[0])
        self._await("an idle node", self._idle)

    def kill_daemon(self) -> None:
        """Kill the node daemon and nothing else: jobs go on without anybody who looks after them."""
        daemon = self._running.pop("slurmd")
        daemon.kill()
        daemon.wait()

    def ask(self, *command: str) -> str:
        """Return what a program prints; empty if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self, of: str, *states: str) -> list[str]:
        """The numbers, in order, of the jobs whose comment, the plugin's, begins with a text; those in certain states, if any are named."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%i|%T|%k").splitlines()
        parts = sorted((line.split("|", 2) for line in lines), key=lambda part: int(part[0]))
        return [number for number, state, what in parts if what.startswith(of) and (not states or state in states)]

    def stop(self) -> None:
        self.ask("scancel", "--user", str(os.getuid()))
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self._running:
                self._running[name].terminate()
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            process.kill()

    def _idle(self) -> bool:
        state = self.ask("sinfo", "--noheader", "--format=%T", "--partition=main").strip()
        if state.startswith(("down", "drain")):
            self.ask("scontrol", "update", f"NodeName={socket.gethostname().partition('.')[0]}", "State=RESUME")
        return state == "idle"

    def _run(self, name: str, *words: str) -> None:
        program = shutil.which(name, path=PATHS)
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [program, *words],
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_end_with_the_tests,
            )

    def _await(self, what: str, there) -> None:
        end = time.monotonic() + 60
        while not there():
            dead = [name for name, process in self._running.items() if process.poll() is not None]
            if dead or time.monotonic() > end:
                logs = "".join(f"\n{p.name}: {p.read_text()[-3000:]}" for p in sorted(self.folder.glob("*.log")))
                raise RuntimeError(f"SLURM has no {what}; ended: {dead}{logs}")
            time.sleep(0.2)


@contextmanager
def running() -> Iterator[Node]:
    """A node in a folder below /tmp, since the address of a socket may have 107 bytes only."""
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        node = Node(Path(folder))
        try:
            node.start()
            yield node
        finally:
            node.stop()


def _end_with_the_tests() -> None:
    """Let a process be ended when the thread that started it is, so that killed tests leave no daemons."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
