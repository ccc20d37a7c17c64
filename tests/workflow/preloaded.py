"""The command ``snakemake`` in a process forked from one that has imported what it needs, which is two thirds of a short run.

What is imported before is no code of this project: the copy of a test brings its own, which may have been edited.
"""

import atexit
import gc
import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest

LIBRARIES = (
    "google_crc32c",
    "jsonschema",
    "pandas",
    "smart_open",
    "snakemake.cli",
    "snakemake.report.html_reporter",
    "tqdm",
    "xarray",
    "yaml",
    "yte",
)
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([*LIBRARIES, "plugins_found"])


def snakemake(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float
) -> CompletedProcess[str]:
    """Run a line of Snakemake in ``folder``; stdout and stderr come back together.

    Raises TimeoutExpired after ``patience`` seconds; the process is killed then.
    """
    _ensure_server()
    with tempfile.NamedTemporaryFile() as output:
        process = SERVER.Process(target=_main, args=(words, folder, environment, output.name))
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(["snakemake", *words], patience, Path(output.name).read_bytes())
        return CompletedProcess(["snakemake", *words], process.exitcode, Path(output.name).read_text())


@cache
def _ensure_server() -> None:
    """Start the server where it finds the modules beside this one, which Python 3.11 does not tell it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ensure_running()


def _main(words: Sequence[str], folder: Path, environment: Mapping[str, str], output: str) -> None:
    """Become what the shell would have started: its folder, environment, output, and ways to end."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    tests = str(Path(__file__).resolve().parents[1])
    sys.path[:] = [path for path in sys.path if path and not path.startswith(tests)]
    sys.argv = ["snakemake", *words]
    # What was imported before stays, and looking through it for objects to free would copy its pages.
    gc.freeze()
    from patchprobe.run.launcher import main

    try:
        sys.exit(main())
    finally:
        # Processes of multiprocessing leave these out.
        threading._shutdown()
        atexit._run_exitfuncs()
