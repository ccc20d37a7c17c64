"""The hidden file that a download grows in, held by one process at a time.

``.<name>.partial`` lies beside the file it will become, ``.<name>.partial.json`` says what it is a part of. The lock is
on the partial file itself and ends with its process, so nothing has to be unlocked after a kill.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from patchprobe.errors import StoreError
from patchprobe.files import file_sha256
from patchprobe.own_files import read_mapping


@contextlib.contextmanager
def partial_file(path: Path) -> Iterator["PartialFile | None"]:
    """Hold the partial file of ``path`` alone, after waiting for another run; yield None if ``path`` is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.partial")
    while not path.exists():
        with FileIO(os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{path.name}: another run is fetching it; waiting for its end", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            # The other run may have given this very file its name, or deleted it.
            if not path.exists() and hidden.exists() and hidden.stat().st_ino == os.fstat(file.fileno()).st_ino:
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
            known: dict[str, Any] = read_mapping(self._note)
            self._url, self._validator, self.total = known["url"], known["validator"], known["total"]
        except (StoreError, KeyError):
            self._url = self._validator = self.total = None

    def restart(self, url: str | None, validator: str | None, total: int | None) -> None:
        """Drop what is there and note what comes."""
        self._file.truncate(0)
        self.size, self.pieced = self._file.seek(0), False
        self._url, self._validator, self.total = url, validator, total
        self._note.write_text(json.dumps({"url": url, "validator": validator, "total": total}))

    def range_headers(self, url: str, *, anyway: bool) -> dict[str, str] | None:
        """Return the headers that ask for the rest, or None if there is none.

        A part is continued if the server can say whether it is of the same file, or ``anyway``, when a known SHA-256
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

    def sha256(self) -> str:
        """Return the SHA-256 of what is there, in hexadecimal."""
        return file_sha256(self._hidden)

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
