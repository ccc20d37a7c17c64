"""How zarr reads a finished store, wherever it lies: the files of its list and no others, each checked, none written."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from patchprobe.stores.file_list import FileRecord


class ListedFiles(ABC):
    """The reading half of a store of zarr, from a list of files and a way to read one of them."""

    @abstractmethod
    def _listed(self) -> Mapping[str, FileRecord]:
        """Return the files by their keys."""

    @abstractmethod
    def _read(self, key: str, prototype: BufferPrototype | None, byte_range: ByteRequest | None) -> Buffer | None:
        """Return the content of a file, or a part of it, or None if it is not listed; raises StoreError if it is damaged."""

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

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of files, None for those that are not listed."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether a file is listed."""
        return key in self._listed()
