"""A store under construction: units are written, synced and listed, so that the next run goes on after the last one."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from patchprobe.errors import StoreError
from patchprobe.files import sync, write_atomic
from patchprobe.own_files import read_mapping
from patchprobe.stores.file_list import (
    BUILD_FILE,
    FORMAT,
    GROUP,
    LIST_FILE,
    FileRecord,
    check_content,
    first_difference,
    read_list,
    sizes,
    summary,
    write_list,
)
from patchprobe.stores.synced import SyncedStore

_DONE_FILE = "finished-units.txt"
_TEMPORARY = "tmp"
_METADATA = "zarr.json"


class Build:
    """A store under construction; made by :func:`patchprobe.stores.writing.build_store`. One thread may write at a time.

    Of what a killed run left, only the chunks of units that it listed are kept; all else is written again.
    """

    def __init__(self, partial: Path, digest: str, held: Callable[[], bool]) -> None:
        """Open the folder ``partial``; ``held`` says whether its lock is still this job's."""
        self._partial = partial
        self._digest = digest
        self._held = held
        self._lock = threading.Lock()
        partial.mkdir(exist_ok=True)
        sync(partial.parent)
        self._folder = partial.stat()
        _empty(partial / _TEMPORARY)
        self._finished: dict[str, dict[str, FileRecord]] = {}
        self._sealed = self._open_sealed()
        if not self._sealed:
            self._finished = self._kept()
        self._store = SyncedStore(partial / GROUP, temporary=partial / _TEMPORARY, read_only=self._sealed)
        for files in self._finished.values():
            self._store.records.update(files)
        self.group: zarr.Group = zarr.open_group(self._store, mode="r" if self._sealed else "a", zarr_format=3)

    @property
    def folder(self) -> Path:
        """The hidden folder."""
        return self._partial

    @property
    def sealed(self) -> bool:
        """True if an earlier run wrote everything and was killed before its result was taken over; nothing changes."""
        return self._sealed

    def array(
        self,
        name: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: npt.DTypeLike,
        dims: tuple[str, ...],
        *,
        compress: bool = False,
    ) -> zarr.Array:
        """Create an array, or return the one that is there; written region by region, units in whole chunks.

        Stored uncompressed unless ``compress``: tokens and photographs do not compress, label maps do.
        """
        if name in self.group:
            existing = self.group[name]
            assert isinstance(existing, zarr.Array)
            # zarr does not keep this setting in the store.
            return existing.with_config({"write_empty_chunks": True})
        return self.group.create_array(
            name,
            shape=shape,
            chunks=tuple(min(c, s) if s else 1 for c, s in zip(chunks, shape, strict=True)),
            dtype=dtype,
            compressors=ZstdCodec(level=1) if compress else None,
            dimension_names=dims,
            config={"write_empty_chunks": True},
        )

    def coordinate(self, name: str, values: npt.ArrayLike, dims: tuple[str, ...]) -> None:
        """Write a small array whole, before any unit; strings become variable-length UTF-8."""
        values = np.asarray(values)
        dtype: Any = str if values.dtype.kind in "UOT" else values.dtype
        array = self.array(name, values.shape, values.shape, dtype, dims, compress=dtype is str)
        if values.size and not self.sealed:
            array[...] = values.astype(object) if dtype is str else values
            # Every run writes it, so it belongs to no unit.
            self._store.take_recent()

    def attributes(self, **values: Any) -> None:
        """Set attributes of the group; JSON values only, no times and no machine names."""
        if not self.sealed:
            self.group.attrs.update(values)

    def pending(self, units: Sequence[str]) -> list[str]:
        """Return the units that no earlier run finished, in the given order; says so when it resumes."""
        if self.sealed:
            return []
        left = [unit for unit in units if unit not in self._finished]
        if len(left) < len(units):
            print(f"resuming: {len(units) - len(left)} of {len(units)} units are finished", file=sys.stderr)
        return left

    def finish(self, unit: str) -> None:
        """Record that all data of a unit are written; a later run will not make it again.

        The unit's files and their names are on the disk before it is listed. Raises StoreError if the hidden folder
        or its lock was deleted meanwhile.
        """
        with self._lock:
            self.check_held()
            files = {path: record for path, record in self._store.take_recent().items() if not _is_metadata(path)}
            self._store.sync_folders()
            new = not (self._partial / _DONE_FILE).exists()
            with (self._partial / _DONE_FILE).open("ab") as file:
                file.write(_line(unit, files).encode())
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync(self._partial)
            self._finished[unit] = files

    def seal(self, spec: str, code: str) -> None:
        """Check that every file and chunk is there, and write list and manifest into the hidden folder.

        Raises StoreError if anything that was written is gone or of another size, or the lock was deleted.
        """
        self.check_held()
        files, found = self._store.records, sizes(self._partial / GROUP)
        difference = first_difference(files, found)
        if difference is not None:
            raise StoreError(
                f"{self._partial} was changed while a job wrote it ({difference}); nothing was published, run again"
            )
        for name, array in self.group.arrays():
            if array.nchunks_initialized != array.nchunks:
                raise StoreError(
                    f"{self._partial}: array {name!r} has {array.nchunks_initialized} of {array.nchunks} chunks "
                    "written; this is an error in the program, not in your data"
                )
        self._store.sync_folders()
        listed = write_list(files)
        number, size, checksum = summary(files)
        manifest = {
            "format": FORMAT,
            "digest": self._digest,
            "spec": json.loads(spec),
            "code": code,
            "files": number,
            "bytes": size,
            "sha256": checksum,
            "file_list_sha256": hashlib.sha256(listed.encode()).hexdigest(),
            "arrays": {
                name: {"shape": list(array.shape), "dtype": str(array.dtype), "dims": _dims(array)}
                for name, array in sorted(self.group.arrays())
            },
        }
        write_atomic(self._partial / LIST_FILE, listed)
        write_atomic(self._partial / BUILD_FILE, json.dumps(manifest, indent=1, sort_keys=True) + "\n")

    def close(self) -> str:
        """Write the list of all files into the hidden folder, that of a shard, and return its SHA-256.

        Raises StoreError if the folder or its lock was deleted.
        """
        self.check_held()
        self._store.sync_folders()
        listed = write_list(self._store.records)
        write_atomic(self._partial / LIST_FILE, listed)
        return hashlib.sha256(listed.encode()).hexdigest()

    def take_over(self, folder: Path, files: Mapping[str, FileRecord]) -> None:
        """Take over the listed files of the hidden folder of a shard, in place of what is here under their names."""
        for path, record in files.items():
            self._store.take_over(path, folder / GROUP / path, record)
        self.group = zarr.open_group(self._store, mode="a", zarr_format=3)

    def check_held(self) -> None:
        """Raise StoreError if the hidden folder or its lock was deleted, and so may be another job's by now."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._partial.stat(), self._folder) and self._held():
                return
        raise StoreError(
            f"{self._partial} or its lock was deleted while a job wrote it; nothing was published, run again"
        )

    def _open_sealed(self) -> bool:
        """Return whether the folder holds a whole store; where it holds a damaged one, drop what is damaged."""
        try:
            manifest = read_mapping(self._partial / BUILD_FILE)
            files = read_list(self._partial, str(manifest.get("file_list_sha256")))
        except StoreError:
            files = {}
        # All bytes: this happens after a kill only, and the folder shares its files with a store that may be damaged.
        changed = check_content(self._partial, files, files)
        if files and not changed and first_difference(files, sizes(self._partial / GROUP)) is None:
            return True
        for path in changed:
            (self._partial / GROUP / path).unlink(missing_ok=True)
        for name in (BUILD_FILE, LIST_FILE):
            (self._partial / name).unlink(missing_ok=True)
        return False

    def _kept(self) -> dict[str, dict[str, FileRecord]]:
        """Return the finished units whose files are all there, and delete every file that is none of theirs."""
        done = self._partial / _DONE_FILE
        listed = done.read_bytes() if done.exists() else b""
        units = _read_lines(listed)
        group = self._partial / GROUP
        found = sizes(group)
        # Where units share a file, the one that was finished last wrote it.
        latest = {path: record for files in units.values() for path, record in files.items()}
        whole = {path for path, record in latest.items() if found.get(path) == record.bytes}
        kept = {unit: files for unit, files in units.items() if files.keys() <= whole}
        keep = {path for files in kept.values() for path in files}
        for path in found.keys() - keep:
            (group / path).unlink()
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):  # not empty
                Path(folder).rmdir()
        for entry in self._partial.iterdir():
            if entry.name not in (GROUP, _DONE_FILE, _TEMPORARY):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        lines = "".join(_line(unit, files) for unit, files in kept.items()).encode()
        if lines != listed:
            write_atomic(done, lines)
        return kept


def check_whole(folder: Path) -> None:
    """Raise StoreError unless the folder of a sealed store has all its files in their sizes."""
    try:
        files = read_list(folder, str(read_mapping(folder / BUILD_FILE).get("file_list_sha256")))
        difference = first_difference(files, sizes(folder / GROUP))
    except StoreError as error:
        difference = str(error)
    if difference is not None:
        raise StoreError(f"{folder} was changed while a job wrote it ({difference}); nothing was published, run again")


def link_sealed(partial: Path, target: Path) -> None:
    """Make ``target`` the sealed store of ``partial``, by hard links; raises OSError where there are none."""
    shutil.copytree(partial / GROUP, target / GROUP, copy_function=os.link)
    for name in (BUILD_FILE, LIST_FILE):
        os.link(partial / name, target / name)


def add_links(store: Path) -> None:
    """Link what lies in the group of a store from the store itself, so that whoever opens ``X.zarr`` finds the arrays.

    Nothing of this project reads the links; where a file system has none, ``X.zarr/data`` is the group all the same.
    """
    for name in sorted(entry.name for entry in (store / GROUP).iterdir()):
        with contextlib.suppress(OSError):
            (store / name).symlink_to(f"{GROUP}/{name}")


def strip_sealed(partial: Path) -> None:
    """Delete from a sealed folder all that is no part of the store."""
    shutil.rmtree(partial / _TEMPORARY, ignore_errors=True)
    (partial / _DONE_FILE).unlink(missing_ok=True)


def _line(unit: str, files: dict[str, FileRecord]) -> str:
    return json.dumps([unit, files], sort_keys=True) + "\n"


def _read_lines(content: bytes) -> dict[str, dict[str, FileRecord]]:
    """Return the files of every unit that is listed in a whole line."""
    units: dict[str, dict[str, FileRecord]] = {}
    for line in content.split(b"\n"):
        # A cut may leave half a line, or zeros in its place.
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            unit, records = json.loads(line)
            files = {path: FileRecord(*record) for path, record in records.items()}
            units.pop(unit, None)
            units[unit] = files
    return units


def _is_metadata(path: str) -> bool:
    return path.rpartition("/")[2] == _METADATA


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _dims(array: zarr.Array) -> list[str]:
    names = getattr(array.metadata, "dimension_names", None) or ()
    return [str(name) for name in names]
