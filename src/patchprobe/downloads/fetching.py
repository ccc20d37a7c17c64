"""Getting a file from its addresses: resumed, checked, and whole or absent.

A download grows in a hidden file beside its place (:mod:`patchprobe.downloads.partial_file`), and the next run goes on
from whatever is there. Only a file whose length and digests are right gets its name, and never in place of another file.

Libraries do less: pooch starts a broken download over, knows one address and one digest of a file; huggingface_hub
resumes, but only files of the hub, and compares no digest with one that was known before; fsspec has neither. The hub's
addresses and lists of files come from huggingface_hub, HTTP from requests, archives from the standard library.
"""

import contextlib
import errno
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from patchprobe.downloads.contents import BEGINNING
from patchprobe.downloads.partial_file import PartialFile, partial_file
from patchprobe.downloads.transfers import BrokenError, RefusedError, Source, attempt, sources
from patchprobe.downloads.wanted import Wanted
from patchprobe.errors import DownloadError, StoreError
from patchprobe.files import write_atomic

_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: seconds without a byte, attempts in all, seconds before the second attempt
    (doubled before each further one)."""

    timeout: float = 60.0
    attempts: int = 6
    pause: float = 2.0


def fetch(wanted: Wanted, patience: Patience | None = None) -> None:
    """Get ``wanted.path`` from the first of its addresses that has it, unless it is there, and record origin and SHA-256
    beside it.

    An address is ``https://``, ``http://``, ``file://`` or ``hf://[datasets/]<organisation>/<repository>[@<revision>]/<file>``
    on the Hugging Face hub, to which alone the token in the environment's ``HF_TOKEN`` is sent; ``HF_ENDPOINT`` names
    another hub. With ``HF_HUB_OFFLINE`` set nothing is fetched but ``file://``. A file that broke off is gone on with at
    the next address if a digest is known, which tells whether the parts belong together.

    A file that is there is left as it is, also one that somebody puts there meanwhile. The record is
    ``<name>.fetched.json``. Raises DownloadError, saying what to put where, if the file cannot be had or is not the
    right one: it has another digest or, where none is known, begins like a file of another kind.
    """
    if wanted.path.is_symlink() and not wanted.path.exists():
        raise DownloadError(
            f"{wanted.keys.place}: {wanted.path} is a link to {wanted.path.readlink()}, which is not there; "
            "correct the link, or remove it to fetch the file"
        )
    try:
        with _readable_disk_errors(wanted), partial_file(wanted.path) as partial:
            if partial is not None:
                _fetch(wanted, partial, patience or Patience())
                return
    except DownloadError as error:
        if not wanted.path.exists():
            raise
        print(error, file=sys.stderr)
    print(f"{wanted.path} is there: taken as it is", file=sys.stderr)


def _fetch(wanted: Wanted, partial: PartialFile, patience: Patience) -> None:
    left, said, pieced_before = sources(wanted), list[str](), False
    while (source := _receive(left, wanted, partial, patience, said)) is not None:
        found = partial.digests({"sha256", *wanted.digests})
        wrong = wanted.differs(found)
        if wrong and partial.pieced and not pieced_before:
            print("the pieces do not make the right file: starting again from the first byte", file=sys.stderr)
            pieced_before = True
            partial.restart(None, None, None)
            continue
        what = wanted.foreign(partial.beginning(BEGINNING))
        if wrong:
            said.append(
                f"{wrong.name} is {wrong.expected} but the file from {source.shown} has {wrong.found} "
                f"({partial.size} bytes): it is {what or 'another file, or was damaged on the way'}, and was deleted. "
                f"{wanted.keys.correct[wrong.kind]}"
            )
        elif what and not wanted.digests:
            said.append(
                f"{wanted.keys.address}: what {source.shown} answers with is {what}, not {wanted.content} "
                f"({partial.size} bytes, deleted); name the address of the file itself"
            )
        else:
            _place(wanted, partial, source, found["sha256"])
            return
        left.remove(source)
        pieced_before = False
        if left:
            print(f"{said[-1]}; trying the next address", file=sys.stderr)
            partial.restart(None, None, None)
        else:
            partial.discard()
    if len(said) == 1:
        raise DownloadError(f"{said[0]}; or {wanted.by_hand}")
    listed = "; ".join(f"({number}) {text}" for number, text in enumerate(said, 1))
    raise DownloadError(f"no address gave {wanted.path.name}: {listed}; or {wanted.by_hand}")


def _place(wanted: Wanted, partial: PartialFile, source: Source, sha256: str) -> None:
    """Give the file its name, with the record of its origin."""
    size = partial.size
    record = {"url": source.shown, "sha256": sha256, "bytes": size}
    # Before the file has its name: a job that ends without a record has no file either.
    write_atomic(wanted.record, json.dumps(record, indent=1) + "\n")
    try:
        partial.place()
    except FileExistsError:
        wanted.record.unlink()
        partial.discard()
        raise DownloadError(f"{wanted.path} was put there during the download, which is dropped: run again") from None
    known = f"{' and '.join(wanted.digests)} as expected" if wanted.digests else wanted.keys.unchecked
    print(f"{wanted.path}: {size} bytes, sha256 {sha256} ({known})", file=sys.stderr)


@contextlib.contextmanager
def _readable_disk_errors(wanted: Wanted) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space and run again: what has come is kept and the download goes on from there"
        else:
            remedy = f"set {wanted.keys.root} to a folder that you can write"
        raise DownloadError(f"{wanted.path} cannot be written ({error.strerror}): {remedy}") from error
    except StoreError as error:
        raise DownloadError(f"{wanted.keys.place}: {error}") from error


def _receive(
    left: list[Source], wanted: Wanted, partial: PartialFile, patience: Patience, said: list[str]
) -> Source | None:
    """Fill the partial file, in as many attempts as it takes and patience allows, and return the address that ended it.

    Addresses that have not the file leave ``left``, and ``said`` gets what they said; returns None if none is left.
    """
    # Without a digest nobody could tell whether parts of two addresses belong together.
    for together in [list(left)] if wanted.digests else [[source] for source in left]:
        pause = patience.pause
        for number in range(1, patience.attempts + 1):
            reasons, wait = {}, pause
            for source in list(together):
                try:
                    attempt(source, wanted, partial, patience.timeout)
                    return source
                except RefusedError as refused:
                    said.append(str(refused))
                    together.remove(source)
                    left.remove(source)
                except BrokenError as broken:
                    reasons[source] = str(broken)
                    wait = min(max(wait, broken.pause), _LONGEST_PAUSE)
            if not together or number == patience.attempts:
                break
            for source, reason in reasons.items():
                print(
                    f"{source.shown}: {reason}; {partial.size} bytes are there, going on in {wait:g} s "
                    f"(attempt {number + 1} of {patience.attempts})",
                    file=sys.stderr,
                )
            time.sleep(wait)
            pause *= 2
        for source in together:
            said.append(
                f"{wanted.keys.address}: {source.shown} failed {patience.attempts} times, at last: {reasons[source]}. The "
                f"{partial.size} bytes that came are kept and the next run goes on from there"
            )
            left.remove(source)
    return None
