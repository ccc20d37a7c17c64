"""One run at a time in a working folder, by a lock that ends with the process that holds it.

Snakemake's own lock stays behind when Snakemake is killed and has to be removed by hand; the profiles switch it off.
"""

import os
from pathlib import Path

from patchprobe.errors import PatchprobeError
from patchprobe.files import disk_errors, try_lock


class FolderInUseError(PatchprobeError):
    """Another run works in the folder."""


def hold(folder: Path) -> None:
    """Hold the lock of ``folder`` until this process ends; raises FolderInUseError naming the other process."""
    path = folder / "patchprobe.lock"
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        # Held open until the process ends.
        descriptor = try_lock(path)
        if descriptor is None:
            holder = path.read_text(errors="replace").strip() or "unknown"
            raise FolderInUseError(
                f"another run (process {holder}) works in {folder.resolve().parent}: "
                "wait for its end, or run in another folder with --directory"
            )
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
