"""The state of a training run on disk, so that a killed run goes on where its last snapshot was taken.

A snapshot holds tensors and plain values only and is read with torch's ``weights_only``. It lies in a hidden folder,
under a name with a digest of all that decides about the weights; a run with another digest never sees it.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from patchprobe.errors import StoreError
from patchprobe.files import locked, write_atomic


class Snapshots:
    """The snapshot of one run; made by :func:`open_snapshots`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, state: dict[str, Any]) -> None:
        """Write a snapshot over the last one; a kill leaves one of the two whole."""
        write_atomic(self.path, lambda file: torch.save(state, file))

    def load(self, device: str) -> dict[str, Any] | None:
        """Return the last snapshot, None if there is none; raises StoreError if it cannot be read."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:  # torch, pickle and zipfile each raise their own kinds
            raise StoreError(f"{self.path} cannot be read ({type(error).__name__}); delete it and run again") from error
        return state


@contextlib.contextmanager
def open_snapshots(folder: Path, name: str, *parts: str) -> Iterator[Snapshots]:
    """Yield the snapshots of the run ``name`` that the texts ``parts`` decide about.

    Snapshots of other runs of this name are deleted. Waits for another job that trains the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    path = folder / f"{name}-{digest}.pt"
    with locked(folder / f"{name}.lock", waiting=f"{name}: another job trains it; waiting for that job to end"):
        # Also the half-written ones of killed jobs.
        of_this_name = re.compile(rf"(\.\d+\.)?{re.escape(name)}-[0-9a-f]{{20}}\.pt")
        for other in folder.iterdir():
            if of_this_name.fullmatch(other.name) and other != path:
                other.unlink()
        yield Snapshots(path)
