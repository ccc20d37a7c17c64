"""Getting a model's checkpoint from its address, see :mod:`patchprobe.downloads.fetching`; here is what is about weights."""

from dataclasses import dataclass
from pathlib import Path

from patchprobe.downloads import fetching
from patchprobe.downloads.fetching import Patience
from patchprobe.downloads.wanted import Keys, Wanted
from patchprobe.models.checkpoints.files import format_of, stranger


@dataclass(frozen=True)
class Checkpoint:
    """The file of a model: where it belongs, where it can be had, and the SHA-256 (or its first digits) if known."""

    model: str
    path: Path
    url: str | None
    sha256: str | None


def fetch(checkpoint: Checkpoint, patience: Patience | None = None) -> None:
    """Get a checkpoint, unless it is there; raises DownloadError if it cannot be had, is another file than its SHA-256
    says or, where none is known, begins like no file of weights."""
    key = f"models.{checkpoint.model}"
    wanted = Wanted(
        keys=Keys(
            address=f"{key}.url",
            digest=f"{key}.sha256",
            place=f"{key}.checkpoint",
            root="checkpoint_root",
            correct="Correct the url or, if this is the file you want, the sha256",
            unchecked=f"set {key}.sha256 to have it checked",
        ),
        path=checkpoint.path,
        addresses=(checkpoint.url,) if checkpoint.url else (),
        digests={"sha256": checkpoint.sha256} if checkpoint.sha256 else {},
        content="weights",
        foreign=_no_weights,
    )
    fetching.fetch(wanted, patience)


def _no_weights(beginning: bytes) -> str:
    return stranger(beginning) or ("" if format_of(beginning) else "of no known format")
