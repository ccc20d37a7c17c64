"""What a finished store says of itself: its manifest, and the list of its files with their checksums.

``X.zarr/files.json`` lists every file of the group ``X.zarr/data`` with its size, a fast checksum (CRC-32C), by which
readers check what they read, and a SHA-256. The manifest ``X.manifest.json`` vouches for the list by its SHA-256.
"""

import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import google_crc32c
import numpy as np

from patchprobe.errors import StoreError
from patchprobe.files import try_lock
from patchprobe.own_files import read_mapping

FORMAT = "patchprobe-store-v2"
GROUP = "data"
BUILD_FILE = "build.json"
LIST_FILE = "files.json"
_KEYS = {"digest": str, "files": int, "bytes": int, "sha256": str, "file_list_sha256": str, "arrays": dict}


class FileRecord(NamedTuple):
    """What is known of one file: its size in bytes, CRC-32C and SHA-256 in hexadecimal."""

    bytes: int
    crc32c: str
    sha256: str


def file_record(content: Any) -> FileRecord:
    """Return the record of a file with this content, a contiguous buffer of bytes."""
    view = memoryview(content).cast("B")
    return FileRecord(view.nbytes, crc32c(view), hashlib.sha256(view).hexdigest())


def crc32c(content: Any) -> str:
    """Return the CRC-32C of a contiguous buffer in hexadecimal, about as fast as memory is copied."""
    # The extension takes bytes and arrays, no memoryviews; its annotation knows bytes only.
    return f"{google_crc32c.value(cast(bytes, np.frombuffer(content, np.uint8))):08x}"


def manifest_path(store: Path) -> Path:
    """Return the manifest file of a store: ``clean.zarr`` has ``clean.manifest.json`` beside it."""
    return store.with_suffix(".manifest.json")


def lock_of(partial: Path) -> Path:
    """Return the lock of the hidden folder that a store is built in."""
    return partial.with_name(f"{partial.name}.lock")


def staged(partial: Path) -> Path:
    """Return the folder that is renamed into the place of a store."""
    return partial.with_name(partial.name + ".publish")


def shard_folder(partial: Path, shard: str) -> Path:
    """Return the hidden folder in which a shard of a store is built."""
    return partial.with_name(f"{partial.name}.shard-{shard}")


def remove_partial(partial: Path) -> None:
    """Delete a hidden folder with those of its shards and their locks, but for what jobs work in."""
    remove_shards(partial)
    _remove_unused(partial)


def remove_shards(partial: Path) -> None:
    """Delete the hidden folders of the shards of a store with their locks, but for those that jobs work in."""
    pattern = shard_folder(partial, "*").name.removesuffix("*")
    found = [entry.name.removesuffix(".lock") for entry in partial.parent.glob(f"{glob.escape(pattern)}*")]
    for name in sorted(set(found)):
        _remove_unused(partial.with_name(name))


def _remove_unused(partial: Path) -> None:
    lock = lock_of(partial)
    descriptor = try_lock(lock)
    if descriptor is None:
        return
    try:
        for folder in (partial, staged(partial)):
            shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def drop_spares(store: Path) -> None:
    """Delete the hidden folders of a store whose job is known to have ended well, but for those that jobs work in."""
    if store.exists():
        for partial in (store.parent / ".partial").glob(f"{store.name}-*"):
            if partial.is_dir() and re.fullmatch(r"[0-9a-f]{20}", partial.name.removeprefix(f"{store.name}-")):
                remove_partial(partial)


def read_manifest(store: Path) -> dict[str, Any]:
    """Read the manifest of a store; raises StoreError naming the file if it is missing or not one of ours."""
    path = manifest_path(store)
    if not path.exists():
        raise StoreError(f"{store} has no manifest {path.name}: it was never finished; run again")
    manifest = read_mapping(path)
    if manifest.get("format") != FORMAT:
        raise StoreError(f"{path} has format {manifest.get('format')!r}, expected {FORMAT!r}; delete it and run again")
    wrong = sorted(key for key, kind in _KEYS.items() if not isinstance(manifest.get(key), kind))
    if wrong:
        raise StoreError(f"{path} lacks {', '.join(wrong)}; delete it and {store.name} and run again")
    return manifest


def write_list(files: Mapping[str, FileRecord]) -> str:
    """Return the text of a list of files: one line for each, in order of their paths in the group."""
    lines = [f"{json.dumps(path)}: {json.dumps(list(files[path]))}" for path in sorted(files)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_list(folder: Path, sha256: str) -> dict[str, FileRecord]:
    """Read the list of the files of a group, by path in it, from the folder of a store.

    Raises StoreError if it is missing or has another SHA-256 than ``sha256``.
    """
    try:
        content = (folder / LIST_FILE).read_bytes()
    except FileNotFoundError:
        raise damaged(folder, LIST_FILE, "is missing") from None
    files = parse_list(content, sha256)
    if files is None:
        raise damaged(folder, LIST_FILE, "has changed since it was written")
    return files


def parse_list(content: bytes, sha256: str) -> dict[str, FileRecord] | None:
    """Return the files of a list by path; None if it has another SHA-256."""
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    return {path: FileRecord(*record) for path, record in json.loads(content).items()}


def summary(files: Mapping[str, FileRecord]) -> tuple[int, int, str]:
    """Return the number of files, their bytes, and one SHA-256 of all paths and contents."""
    lines = "".join(f"{path} {files[path].sha256}\n" for path in sorted(files))
    return len(files), sum(record.bytes for record in files.values()), hashlib.sha256(lines.encode()).hexdigest()


def sizes(folder: Path) -> dict[str, int]:
    """Return the size of every file below a folder by its path in it; none where there is no folder."""
    found: dict[str, int] = {}
    waiting = [(folder, "")]
    while waiting:
        current, prefix = waiting.pop()
        try:
            entries = list(os.scandir(current))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
            else:
                found[prefix + entry.name] = entry.stat(follow_symlinks=False).st_size
    return found


def first_difference(files: Mapping[str, FileRecord], found: Mapping[str, int]) -> str | None:
    """Say what is wrong with the first file that is missing, of another size or not listed; None if nothing is."""
    for path in sorted(files):
        if path not in found:
            return f"{path} is missing"
        if found[path] != files[path].bytes:
            return f"{path} has {found[path]} bytes in place of {files[path].bytes}"
    return next((f"{path} is not one of its files" for path in sorted(found) if path not in files), None)


def damaged(store: Path, path: str, what: str) -> StoreError:
    """Return the error for a file of a finished store, and the remedy."""
    return StoreError(f"{store}: {path} {what}; delete {store.name} and {manifest_path(store).name} and run again")


def check_content(store: Path, paths: Iterable[str], files: Mapping[str, FileRecord]) -> list[str]:
    """Return those of the listed ``paths`` of a store's group that are missing or whose CRC-32C is another."""
    return [path for path in paths if not _intact(store / GROUP / path, files[path])]


def _intact(path: Path, record: FileRecord) -> bool:
    try:
        return path.stat().st_size == record.bytes and crc32c(path.read_bytes()) == record.crc32c
    except OSError:
        return False
