"""Programs with which publishers let their data sets be fetched; they have the name and the password, we never do."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from patchprobe.errors import shown
from patchprobe.files import is_below

_TRACEBACK = "Traceback (most recent call last)"


def find_tool(name: str) -> str | None:
    """Return the path of a program, on the PATH or in the environment that this one runs in; None if there is none."""
    # The environment may be used without being activated.
    return (shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))) if name else None


def called(program: str) -> str:
    """Return how to call a program that was found, from the folder that the run is in."""
    if shutil.which(Path(program).name) == program:
        return Path(program).name
    return os.path.relpath(program) if is_below(Path(program), Path()) else program


def run_tool(command: list[str]) -> str:
    """Run a program without a keyboard, since it would ask for name and password and wait; return why it failed, or nothing.

    What it writes goes on to stderr as it comes, but for the traceback of one in Python: its last line is the reason.
    """
    last, tracing = "", False
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:  # its first line names an interpreter that is gone, or it is for another machine
        return f"{command[0]} cannot be started: {error.strerror}"
    with process:
        assert process.stdout is not None
        # Ends of lines as they are: bars of progress write over theirs.
        for line in io.TextIOWrapper(process.stdout, encoding="utf-8", errors="replace", newline=""):
            said, found, _ = line.partition(_TRACEBACK)
            last = line.strip() or last
            if not tracing:
                print(said, end="", file=sys.stderr, flush=True)
            if found and not tracing:
                print(file=sys.stderr)
                tracing = True
    if not process.returncode:
        return ""
    if last.startswith("EOFError"):
        return "it asked for name and password, so that it knows none yet"
    return f"it ended with {process.returncode}" + (f": {shown(last)}" if last else "")
