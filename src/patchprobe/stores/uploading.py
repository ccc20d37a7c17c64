"""Putting finished stores on object storage: every file, then the list of files, then the manifest.

What an interrupted upload left has no manifest and no reader knows its address, since the store gets its name on the
disk afterwards. The next upload of the same store goes on from there.
"""

import contextlib
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from patchprobe.errors import StoreError
from patchprobe.files import write_atomic
from patchprobe.own_files import read_mapping
from patchprobe.progress import Progress
from patchprobe.stores.file_list import BUILD_FILE, GROUP, LIST_FILE, FileRecord, crc32c, first_difference, read_list
from patchprobe.stores.located import LOCATION_FILE, MANIFEST_FILE, stored_sizes
from patchprobe.stores.objects import ObjectFacts, ObjectStorage

_RESULTS = Path("results")
_THREADS = 8


def address(prefix: str, store: Path, digest: str) -> str:
    """Return where a store of this digest lies below a prefix, by its path below ``results``."""
    inside = store.relative_to(_RESULTS) if _RESULTS in store.parents else Path(store.name)
    return f"{prefix}/{inside.as_posix()}/{digest}"


def upload(partial: Path, url: str) -> None:
    """Put the sealed store of a hidden folder below ``url``; what is there already, byte for byte, is not put again.

    Raises StoreError if the storage does not do its part, and if a file is not what was written.
    """
    manifest = (partial / BUILD_FILE).read_bytes()
    files = read_list(partial, str(read_mapping(partial / BUILD_FILE)["file_list_sha256"]))
    storage = ObjectStorage(url)
    there = storage.entries()
    if MANIFEST_FILE in there and storage.get(MANIFEST_FILE) != manifest:
        # Before anything that it vouches for is another.
        storage.delete([MANIFEST_FILE])

    def put(path: str) -> None:
        content = (partial / GROUP / path).read_bytes()
        if crc32c(content) != files[path].crc32c:
            raise StoreError(f"{partial}: {path} was changed while a job wrote it; nothing was published, run again")
        if there.get(f"{GROUP}/{path}") != _facts(content):
            storage.put(f"{GROUP}/{path}", content)

    total = sum(record.bytes for record in files.values())
    with (
        ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool,
        Progress(file=sys.stderr, total=total, desc="uploading", unit="B", unit_scale=True) as progress,
    ):
        waiting = [(path, pool.submit(put, path)) for path in sorted(files)]
        try:
            for path, done in waiting:
                done.result()
                progress.update(files[path].bytes)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    storage.put(LIST_FILE, (partial / LIST_FILE).read_bytes())
    _check(storage, files)
    storage.put(MANIFEST_FILE, manifest)


def stage_located(partial: Path, target: Path, url: str) -> None:
    """Make ``target`` the folder of the sealed store of ``partial`` whose files lie at ``url``."""
    target.mkdir()
    for name in (BUILD_FILE, LIST_FILE):
        write_atomic(target / name, (partial / name).read_bytes())
    write_atomic(target / LOCATION_FILE, f'{{"url": "{url}"}}\n')


def delete_others(url: str) -> None:
    """Delete what earlier builds of a store left beside ``url``; what cannot be deleted stays."""
    parent, _, own = url.rpartition("/")
    with contextlib.suppress(StoreError):
        for digest in ObjectStorage(parent).folders():
            if digest != own:
                other = ObjectStorage(f"{parent}/{digest}")
                other.delete([MANIFEST_FILE])
                other.delete(other.entries())


def _facts(content: bytes) -> ObjectFacts:
    return ObjectFacts(len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def _check(storage: ObjectStorage, files: dict[str, FileRecord]) -> None:
    stored = stored_sizes(storage.url)
    strangers = stored.keys() - files.keys()
    storage.delete(f"{GROUP}/{path}" for path in strangers)
    difference = first_difference(files, {path: size for path, size in stored.items() if path not in strangers})
    if difference is not None:
        raise StoreError(f"{storage.url}: {difference} after it was put there; nothing was published, run again")
