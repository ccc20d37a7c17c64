"""Stores whose files lie on object storage: where they are, and how they are read.

Of such a store ``X.zarr``, the folder holds the list of files and, in place of the group ``data``, a file
``location.json`` with the address below which the group lies, ``<address>/data``. The manifest is the one that it would have on
the disk. The address ends in the digest of the build, so that objects of two builds never meet; ``<address>/files.json``
is the list again, for readers on other machines, and ``<address>/manifest.json`` was put there last.
"""

from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from patchprobe.errors import StoreError
from patchprobe.own_files import read_mapping
from patchprobe.stores.file_list import GROUP, LIST_FILE, FileRecord, crc32c, parse_list
from patchprobe.stores.listed import ListedFiles
from patchprobe.stores.objects import ObjectStorage

LOCATION_FILE = "location.json"
MANIFEST_FILE = "manifest.json"


def read_location(store: Path) -> str | None:
    """Return the address of a store's files on object storage; None if they are on the disk."""
    path = store / LOCATION_FILE
    return str(read_mapping(path, {"url": str})["url"]) if path.exists() else None


def stored_sizes(url: str) -> dict[str, int]:
    """Return the size of every file of a store's group that lies below an address, by its path in the group."""
    start = f"{GROUP}/"
    found = ObjectStorage(url).entries()
    return {path.removeprefix(start): facts.bytes for path, facts in found.items() if path.startswith(start)}


class VerifiedObjects(ListedFiles, Store):
    """The group of a finished store on object storage, read-only; each object is checked against the list as it is read.

    ``url`` is the address of the store and ``list_sha256`` the SHA-256 of its list of files. It knows no objects but those
    listed. Reading raises StoreError for one that is missing or has other bytes. It can be pickled; the process that
    unpickles it reads the list from there.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, url: str, list_sha256: str, *, files: Mapping[str, FileRecord] | None = None) -> None:
        super().__init__(read_only=True)
        self._url, self._sha256, self._files = url, list_sha256, files
        self._storage = ObjectStorage(url)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        # Without the list, which is long and would travel with every block of tokens.
        return type(self), (self._url, self._sha256)

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return type(self).__name__, self._url, self._sha256

    def __str__(self) -> str:
        return self._url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifiedObjects) and (self._url, self._sha256) == (other._url, other._sha256)

    async def set(self, key: str, value: Buffer) -> None:
        """Raise ValueError."""
        raise ValueError(f"{key}: a finished store is not written again")

    async def delete(self, key: str) -> None:
        """Raise ValueError."""
        raise ValueError(f"{key}: a finished store is not written again")

    async def list(self) -> AsyncIterator[str]:
        """Yield all listed keys."""
        for key in self._listed():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the listed keys that begin with a prefix."""
        for key in self._listed():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {key.removeprefix(start).partition("/")[0] for key in self._listed() if key.startswith(start)}
        for name in sorted(names):
            yield name

    def _listed(self) -> Mapping[str, FileRecord]:
        # Not on unpickling: errors of a worker are passed on as they are only from its computation.
        if self._files is None:
            self._files = _list_of(self._url, self._sha256)
        return self._files

    def _read(self, key: str, prototype: BufferPrototype | None, byte_range: ByteRequest | None) -> Buffer | None:
        record = self._listed().get(key)
        if record is None:
            return None
        content = self._storage.get(f"{GROUP}/{key}")
        if content is None:
            raise _damaged(self._url, f"{GROUP}/{key}", "is missing")
        if crc32c(content) != record.crc32c:
            raise _damaged(self._url, f"{GROUP}/{key}", "has changed since it was written")
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content[_part(byte_range, len(content))])


def _part(byte_range: ByteRequest | None, size: int) -> slice:
    match byte_range:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix):
            return slice(max(0, size - suffix), None)
    return slice(None)


@lru_cache(maxsize=64)
def _list_of(url: str, sha256: str) -> Mapping[str, FileRecord]:
    content = ObjectStorage(url).get(LIST_FILE)
    if content is None:
        raise _damaged(url, LIST_FILE, "is missing")
    files = parse_list(content, sha256)
    if files is None:
        raise _damaged(url, LIST_FILE, "has changed since it was written")
    return files


def _damaged(url: str, path: str, what: str) -> StoreError:
    return StoreError(
        f"{url}: {path} {what}; delete the store and its manifest in the folder of results, and run again"
    )
