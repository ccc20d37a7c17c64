"""The hidden file that a download grows in, held by one process at a time.

``.<name>.partial`` lies beside the file it will become, ``.<name>.partial.json`` says what it is a part of. The lock is
on the partial file itself and ends with its process, so nothing has to be unlocked after a kill.

Others may be able to write to the folder. So links are not followed, and a hidden file that is another user's, or has a
second name, is refused: what is written into it would end elsewhere, or could be changed after it was checked.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from patchprobe.errors import StoreError
from patchprobe.files import file_digests, locked, write_atomic

_LONGEST_NOTE = 1 << 16
# No links, and no waiting for the other end of a FIFO.
_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@contextlib.contextmanager
def partial_file(path: Path) -> Iterator["PartialFile | None"]:
    """Hold the partial file of ``path`` alone, after waiting for another run; yield None if ``path`` is there.

    Raises StoreError if the hidden file is no plain file of this user's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.partial")
    while not path.exists():
        with contextlib.suppress(FileNotFoundError):
            # Before a lock of theirs is waited for.
            _refuse_foreign(hidden, hidden.lstat())
        with locked(hidden, waiting=f"{path.name}: another run is fetching it; waiting for its end"):
            # The other run may be done.
            if not path.exists():
                with FileIO(os.open(hidden, os.O_RDWR | _PLAIN), "r+") as file:
                    _refuse_foreign(hidden, os.fstat(file.fileno()))
                    partial = PartialFile(path, hidden, file)
                    try:
                        yield partial
                    finally:
                        if not partial.size:
                            partial.discard()
                return
    hidden.unlink(missing_ok=True)
    _note(hidden).unlink(missing_ok=True)
    yield None


class PartialFile:
    """The locked hidden file that a download grows in, with what is known of the whole."""

    def __init__(self, path: Path, hidden: Path, file: FileIO) -> None:
        self._path, self._hidden, self._file = path, hidden, file
        self._note = _note(hidden)
        self.size = file.seek(0, os.SEEK_END)
        self.pieced = self.size > 0
        try:
            known: dict[str, Any] = json.loads(_read_plain(self._note))
            self._url, self._validator, self.total = known["url"], known["validator"], known["total"]
        except (OSError, ValueError, KeyError, TypeError):
            self._url = self._validator = self.total = None

    def restart(self, url: str | None, validator: str | None, total: int | None) -> None:
        """Drop what is there and note what comes."""
        self._file.truncate(0)
        self.size, self.pieced = self._file.seek(0), False
        self._url, self._validator, self.total = url, validator, total
        write_atomic(self._note, json.dumps({"url": url, "validator": validator, "total": total}))

    def range_headers(self, url: str, *, anyway: bool) -> dict[str, str] | None:
        """Return the headers that ask for the rest, or None if there is none.

        A part is continued if the server can say whether it is of the same file, or ``anyway``, when a known digest
        will tell; else the whole is asked for.
        """
        valid = self._validator if url == self._url else None
        if not self.size or not (valid or anyway):
            return {}
        if self.size == self.total:
            return None
        return {"Range": f"bytes={self.size}-"} | ({"If-Range": valid} if valid else {})

    def need_space(self) -> None:
        """Raise the error of a full disk if the rest cannot fit."""
        if self.total is not None and shutil.disk_usage(self._hidden.parent).free < self.total - self.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self, data: bytes) -> None:
        """Write all of ``data``; unbuffered, so that what a kill or a full disk leaves is what was counted."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.size += written
            view = view[written:]

    def digests(self, kinds: Iterable[str]) -> dict[str, str]:
        """Return digests of what is there, in hexadecimal, by kind (what hashlib calls it)."""
        # By the descriptor: the name may be another file's by now.
        return file_digests(Path(f"/proc/self/fd/{self._file.fileno()}"), kinds)

    def beginning(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        return os.pread(self._file.fileno(), size, 0)

    def discard(self) -> None:
        """Delete the part."""
        self._note.unlink(missing_ok=True)
        self._hidden.unlink(missing_ok=True)

    def place(self) -> None:
        """Give the file its name. Raises FileExistsError if somebody else has put a file there meanwhile."""
        os.fsync(self._file.fileno())
        try:
            os.link(self._hidden, self._path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            self._hidden.rename(self._path)
        self.discard()


def _note(hidden: Path) -> Path:
    return hidden.with_name(f"{hidden.name}.json")


def _refuse_foreign(path: Path, facts: os.stat_result) -> None:
    if stat.S_ISREG(facts.st_mode) and (facts.st_uid != os.geteuid() or facts.st_nlink > 1):
        whose = "belongs to another user" if facts.st_uid != os.geteuid() else "has a second name"
        raise StoreError(f"{path}, in which a download would go on, {whose}: remove it and run again")


def _read_plain(path: Path) -> bytes:
    """Read a short file; raises OSError or ValueError for anything else, without following links or waiting."""
    descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is no plain file")
        return file.read(_LONGEST_NOTE)
