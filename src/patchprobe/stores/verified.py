"""A store for zarr that checks what it reads."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from patchprobe.stores.file_list import FileRecord, crc32c, damaged, read_list
from patchprobe.stores.listed import ListedFiles

# The files of a group by path, and the paths of those that this process has checked.
_Opened = tuple[Mapping[str, FileRecord], set[str]]


class VerifiedStore(ListedFiles, LocalStore):
    """The group of a finished store, read-only; a file is checked against the list when it is first read.

    ``root`` is the folder of the group and ``list_sha256`` the SHA-256 of the list of files beside it. Files that are
    not listed are not there. Reading raises StoreError for a listed file that is missing or has other bytes. It can be
    pickled; the process that unpickles it reads the list again and checks for itself.
    """

    def __init__(self, root: Path | str, list_sha256: str, *, files: Mapping[str, FileRecord] | None = None) -> None:
        super().__init__(root, read_only=True)
        self._sha256 = list_sha256
        self._opened: _Opened | None = None if files is None else (files, set())

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        # Without the list, which is long and would travel with every block of tokens.
        return type(self), (self.root, self._sha256)

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return type(self).__name__, str(self.root), self._sha256

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, VerifiedStore) and self._sha256 == other._sha256

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the content of a file, or a part of it, or None if it is not listed."""
        return self._read(key, prototype, byte_range)

    def _listed(self) -> Mapping[str, FileRecord]:
        return self._open_list()[0]

    def _open_list(self) -> _Opened:
        # Not on unpickling: errors of a worker are passed on as they are only from its computation.
        if self._opened is None:
            self._opened = _list_of(self.root, self._sha256)
        return self._opened

    def _read(self, key: str, prototype: BufferPrototype | None, byte_range: ByteRequest | None) -> Buffer | None:
        files, checked = self._open_list()
        record = files.get(key)
        if record is None:
            return None
        prototype = prototype or default_buffer_prototype()
        store, path = self.root.parent, f"{self.root.name}/{key}"
        try:
            if byte_range is not None and key in checked:
                return super().get_sync(key, prototype=prototype, byte_range=byte_range)
            content = (self.root / key).read_bytes()
        except OSError as error:
            raise damaged(store, path, f"cannot be read ({error.strerror})") from error
        if key not in checked:
            if crc32c(content) != record.crc32c:
                raise damaged(store, path, "has changed since it was written")
            checked.add(key)
        if byte_range is not None:
            return super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return prototype.buffer.from_bytes(content)


@lru_cache(maxsize=64)
def _list_of(root: Path, sha256: str) -> _Opened:
    return read_list(root.parent, sha256), set()
