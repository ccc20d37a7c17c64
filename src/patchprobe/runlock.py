"""One run at a time in a working folder, by a lock that ends with the process that holds it.

Snakemake's own lock stays behind when Snakemake is killed and has to be removed by hand; the profiles switch it off.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from patchprobe.errors import PatchprobeError

_held: list[IO[str]] = []


class FolderInUseError(PatchprobeError):
    """Another run works in the folder."""


def hold(folder: Path) -> None:
    """Hold the lock of ``folder`` until this process ends; raises FolderInUseError naming the other process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "patchprobe.lock"
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise FolderInUseError(
            f"another run (process {owner}) works in {folder.resolve().parent}: wait for its end, "
            "or run in another folder with --directory"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held.append(file)
