"""Getting a model's checkpoint from its address, see :mod:`patchprobe.downloads.fetching`; here is what is about weights."""

from dataclasses import dataclass
from pathlib import Path

from patchprobe.downloads import fetching
from patchprobe.downloads.fetching import Patience
from patchprobe.downloads.wanted import Keys, Wanted, first_sha256, record_of
from patchprobe.models.checkpoints.files import format_of, stranger


@dataclass(frozen=True)
class Checkpoint:
    """The file of a model: where it belongs, where it can be had, and its SHA-256 and MD5 (or their first digits) if known;
    ``mirror`` is the file's address there if one is asked in place of ``url``."""

    model: str
    path: Path
    url: str | None
    sha256: str | None
    md5: str | None = None
    mirror: str | None = None


def fetch(checkpoint: Checkpoint, patience: Patience | None = None) -> None:
    """Get a checkpoint, unless it is there; raises DownloadError if it cannot be had, is another file than its digests
    say or, where none is known, begins like no file of weights. Where nobody gave a SHA-256 that of the first time counts."""
    key = f"models.{checkpoint.model}"
    digests = {"md5": checkpoint.md5, "sha256": checkpoint.sha256}
    name = {kind: f"{key}.{kind}" for kind in digests}
    otherwise = "Take another mirror" if checkpoint.mirror else "Correct the url"
    correct = {kind: f"{otherwise} or, if this is the file you want, the {kind}" for kind in digests}
    if not checkpoint.sha256 and (first := first_sha256(checkpoint.path)):
        digests["sha256"] = first
        name["sha256"] = f"{key}.checkpoint: the sha256 of the first download ({record_of(checkpoint.path)})"
        correct["sha256"] = "Ask the publisher what changed; if this is the file you want, remove that record"
    address = checkpoint.mirror or checkpoint.url
    wanted = Wanted(
        keys=Keys(
            address=f"{key}.url by mirror" if checkpoint.mirror else f"{key}.url",
            digest=name,
            place=f"{key}.checkpoint",
            root="checkpoint_root",
            correct=correct,
            unchecked=f"recorded, and compared from now on; set {key}.sha256 to have it compared everywhere",
        ),
        path=checkpoint.path,
        addresses=(address,) if address else (),
        digests={kind: digest for kind, digest in digests.items() if digest},
        content="weights",
        foreign=_no_weights,
        own=checkpoint.url,
    )
    fetching.fetch(wanted, patience)


def _no_weights(beginning: bytes) -> str:
    return stranger(beginning) or ("" if format_of(beginning) else "of no known format")
