"""A store for zarr that writes so that a power cut spoils nothing."""

import asyncio
import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Self

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from patchprobe.errors import StoreError
from patchprobe.files import sync
from patchprobe.stores.file_list import FileRecord, file_record


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

    def take_over(self, key: str, source: Path, record: FileRecord) -> None:
        """Give a synced file of the same file system a second name here, in place of writing it; a copy where there are no links."""
        path, temporary = self.root / key, self._temporary / str(next(self._numbers))
        try:
            os.link(source, temporary)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, temporary)
            sync(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)
        # Two names of one file: then the one is not moved onto the other.
        temporary.unlink(missing_ok=True)
        with self._lock:
            self.records[key] = record
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
