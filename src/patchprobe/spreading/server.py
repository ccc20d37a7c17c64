"""A process that holds the scheduler and the workers of a run, on this machine or as jobs of SLURM, and ends with who started it.

It reads the settings on standard input, answers with one line of JSON, the address or what is wrong, and closes all when its input ends,
which it does however its parent ends. Workers are processes of their own with one thread and a limit of memory, at which their nanny
replaces them; they inherit the library of this process.
"""

import atexit
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from patchprobe.errors import ConfigError
from patchprobe.spreading.cluster import ANNOUNCED, SLURM

# A worker at its limit is replaced, and a task that ends four of them fails. Without this it would write to disk or stop taking work,
# and nothing would go on.
_MEMORY = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}
_running: list[subprocess.Popen[str]] = []


def start(settings: Mapping[str, Any], log: Path | None = None) -> str:
    """Start scheduler and workers as the configuration's ``dask`` says; return the address. They end with this process.

    ``log`` is where their own messages go, or None for standard error. Raises ConfigError with what is wrong.
    """
    check(settings)
    environment = {key: value for key, value in os.environ.items() if key != ANNOUNCED}
    library = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([library, *filter(None, [environment.get("PYTHONPATH")])])
    with contextlib.ExitStack() as stack:
        errors = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            errors = stack.enter_context(log.open("w"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            preexec_fn=_ignore_interrupts,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(dict(settings)) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    said = json.loads(answer) if answer else {"error": "its process ended before it answered"}
    if "address" not in said:
        process.stdin.close()
        where = f"see {log} for more" if log is not None else "see above for more"
        raise ConfigError(
            f"dask.scheduler: {settings['scheduler']} cannot be started ({said['error']}); {where}, or set dask.scheduler: threads"
        )
    _running.append(process)
    atexit.register(stop)
    return str(said["address"])


def stop() -> None:
    """End what this process has started, and wait until it has."""
    while _running:
        process = _running.pop()
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError if what a scheduler needs is not installed."""
    if settings["scheduler"] == SLURM and find_spec("dask_jobqueue") is None:
        raise ConfigError(
            "dask.scheduler: slurm needs dask-jobqueue, which is not installed: run `make dask`, or start `dask scheduler` and "
            "`dask worker` in jobs of your own and set dask.scheduler to the address"
        )


def _ignore_interrupts() -> None:
    # Control-C is for the run; this process ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cluster(settings: Mapping[str, Any], folder: str) -> Any:
    import dask

    dask.config.set({"distributed.scheduler.allowed-failures": 3, **_MEMORY})
    if settings["scheduler"] == SLURM:
        return _slurm_cluster(settings)
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=settings["workers"] or len(os.sched_getaffinity(0)),
        threads_per_worker=1,
        processes=True,
        memory_limit=settings["memory_mb"] * 10**6,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:8787",
        local_directory=folder,
    )


def _slurm_cluster(settings: Mapping[str, Any]) -> Any:
    from dask_jobqueue import SLURMCluster

    own = settings["slurm"]
    library = shlex.quote(str(Path(__file__).parents[2]))
    # As dask reads settings from the environment.
    memory = [f"export DASK_{key.upper().replace('.', '__')}={value}" for key, value in _MEMORY.items()]
    cluster = SLURMCluster(
        queue=own["partition"],
        account=own["account"],
        cores=1,
        processes=1,
        memory=f"{settings['memory_mb']}MB",
        walltime=f"{own['runtime'] // 60:02d}:{own['runtime'] % 60:02d}:00",
        interface=own["interface"],
        python=sys.executable,
        job_name="patchprobe-dask",
        job_extra_directives=list(own["directives"]),
        job_script_prologue=[f"export PYTHONPATH={library}", *memory],
        log_directory="logs/dask",
        local_directory="/tmp",
    )
    cluster.scale(jobs=settings["workers"] or 1)
    return cluster


def main() -> None:
    """Hold a cluster until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is for the log
    settings = json.loads(sys.stdin.readline() or "{}")
    folder = tempfile.mkdtemp(prefix="patchprobe-dask-")
    try:
        cluster = _cluster(settings, folder)
    except Exception as error:
        print(json.dumps({"error": " ".join(f"{type(error).__name__}: {error}".split())}), file=answers, flush=True)
        raise
    print(json.dumps({"address": cluster.scheduler_address}), file=answers, flush=True)
    answers.close()
    sys.stdin.read()
    with contextlib.suppress(Exception):
        cluster.close(timeout=10)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
