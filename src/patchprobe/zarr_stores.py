"""Two stores for zarr: one that writes so that a power cut spoils nothing, and one that checks what it reads."""

import asyncio
import itertools
import os
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from patchprobe.errors import StoreError
from patchprobe.files import sync
from patchprobe.store_files import FileRecord, crc32c, damaged, file_record, read_list

# The files of a group by path, and the paths of those that this process has checked.
_Opened = tuple[Mapping[str, FileRecord], set[str]]


class SyncedStore(LocalStore):
    """A folder whose files are on the disk, whole, before they have their names.

    They are written to the folder ``temporary``, on the same file system and outside ``root``, synced and renamed.
    Their names are not on the disk before :meth:`sync_folders`. ``records`` holds what was written, by path. Writing
    raises StoreError if ``temporary`` was deleted.
    """

    def __init__(self, root: Path | str, *, temporary: Path, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.records: dict[str, FileRecord] = {}
        self._temporary = temporary
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._recent: dict[str, FileRecord] = {}
        self._folders = {self.root.parent}
        self._unsynced = {self.root.parent}

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return this store if it is the one asked for; the other one would not know what was written."""
        if read_only != self.read_only:
            raise ValueError("a store under construction is written by one object")
        return self

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file."""
        await asyncio.to_thread(self.set_sync, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it is there."""
        if not await self.exists(key):
            await self.set(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a file; several threads may."""
        self._check_writable()
        content, path = value.as_buffer_like(), self.root / key
        temporary = self._temporary / str(next(self._numbers))
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        except FileNotFoundError:
            raise StoreError(
                f"{self._temporary.parent} was deleted while a job wrote it; nothing was published, run again"
            ) from None
        record = file_record(content)
        with self._lock:
            self.records[key] = self._recent[key] = record
            self._note(path.parent)

    def take_recent(self) -> dict[str, FileRecord]:
        """Return what was written since the last call."""
        with self._lock:
            recent, self._recent = self._recent, {}
            return recent

    def sync_folders(self) -> None:
        """Wait until the names of all files written so far are on the disk."""
        with self._lock:
            unsynced, self._unsynced = self._unsynced, set()
        for folder in unsynced:
            sync(folder)

    def _note(self, folder: Path) -> None:
        self._unsynced.add(folder)
        while folder not in self._folders:
            self._folders.add(folder)
            folder = folder.parent
            self._unsynced.add(folder)


class VerifiedStore(LocalStore):
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

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return this store; raises ValueError if asked for one that can be written."""
        if not read_only:
            raise ValueError("a finished store is not written again")
        return self

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the content of a file, or a part of it, or None if it is not listed."""
        return await asyncio.to_thread(self._read, key, prototype, byte_range)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the content of a file, or a part of it, or None if it is not listed."""
        return self._read(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of files, None for those that are not listed."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether a file is listed."""
        return key in self._open_list()[0]

    def _open_list(self) -> _Opened:
        # Not on unpickling: errors of a worker are passed on as they are only from its computation.
        if self._opened is None:
            self._opened = _listed(self.root, self._sha256)
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
def _listed(root: Path, sha256: str) -> _Opened:
    return read_list(root.parent, sha256), set()
