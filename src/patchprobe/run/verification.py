"""Check finished results whole: every byte against the checksum that was recorded when it was written."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from patchprobe.errors import StorageError, StoreError
from patchprobe.files import file_sha256, folder_content
from patchprobe.own_files import read_mapping
from patchprobe.progress import Progress
from patchprobe.run.records import recorded_files
from patchprobe.stores.file_list import (
    FORMAT,
    GROUP,
    first_difference,
    manifest_path,
    read_list,
    read_manifest,
    sizes,
    summary,
)
from patchprobe.stores.located import read_location, stored_sizes

_PARTIAL = ".partial"
_SUFFIX = ".manifest.json"


@dataclass(frozen=True)
class RecordedFile:
    """A file as it was recorded: its size in bytes and SHA-256; ``remedy`` says what to do where it is another now."""

    path: Path
    bytes: int
    sha256: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """What was checked, and one line with the remedy for each result that is damaged or unfinished."""

    stores: int
    files: int
    bytes: int
    seconds: float
    problems: tuple[str, ...]


def verify(folder: Path, *, others: Iterable[RecordedFile] = (), threads: int | None = None) -> Report:
    """Check every store and generated data set below a folder, and ``others``, which are files that belong to no store.

    Reads everything, with as many threads as there are processors unless told; nothing is changed. Progress goes to
    stderr. A store is damaged if its manifest, its list of files or a file is missing or has changed, and unfinished if
    it has no manifest, or only a hidden folder that a stopped run left. Raises StorageError if stores lie on object storage that
    does not answer or refuses.
    """
    began = time.monotonic()
    problems, recorded, stores = [], list(others), 0
    for store in find_stores(folder):
        stores += 1
        try:
            recorded += store_files(store)
        except StorageError:
            raise
        except StoreError as error:
            problems.append(str(error))
    for manifest in folder.glob(f"*/*{_SUFFIX}"):
        problems += _generated(manifest)
    problems += changed(recorded, threads=threads)
    size = sum(file.bytes for file in recorded)
    return Report(stores, len(recorded), size, time.monotonic() - began, tuple(sorted(problems)))


def single_files(folder: Path) -> Iterator[RecordedFile]:
    """Yield the results below a folder that are single files, as the records of their jobs know them."""
    for path, known in recorded_files(folder):
        yield RecordedFile(path, path.stat().st_size, known, f"delete {path} and run again")


def find_stores(folder: Path) -> list[Path]:
    """Return the stores below a folder: those that are there, those that have a manifest, those under construction."""
    return sorted(set(_stores_below(folder)))


def store_files(store: Path) -> list[RecordedFile]:
    """Return the files of a store as its manifest vouches for them.

    Of a store on object storage there are none to read: number and size of its files are compared here. Raises StoreError if manifest and list
    do not fit, or files are missing, of another size or not listed.
    """
    if not store.exists() and not manifest_path(store).exists():
        raise StoreError(
            f"{store} is unfinished: a run was stopped while writing it; run again or, if it is not wanted any more, delete "
            f"its folders in {store.parent / _PARTIAL}"
        )
    remedy = f"delete {store.name} and {manifest_path(store).name} and run again"
    manifest = read_manifest(store)
    if not store.exists():
        raise StoreError(f"{store} is missing and has a manifest; delete {manifest_path(store).name} and run again")
    listed = read_list(store, manifest["file_list_sha256"])
    if summary(listed) != (manifest["files"], manifest["bytes"], manifest["sha256"]):
        raise StoreError(f"{store} does not match its manifest; {remedy}")
    url = read_location(store)
    difference = first_difference(listed, sizes(store / GROUP) if url is None else stored_sizes(url))
    if difference is not None:
        raise StoreError(f"{store}: {difference}; {remedy}")
    if url is not None:
        # Their bytes are checked whenever they are read; here it would mean to fetch all of them.
        return []
    return [
        RecordedFile(store / GROUP / path, record.bytes, record.sha256, f"{store} is damaged; {remedy}")
        for path, record in sorted(listed.items())
    ]


def changed(files: Sequence[RecordedFile], *, threads: int | None = None) -> list[str]:
    """Return one line for each ``remedy`` of files that are missing or have other bytes, naming the first of them."""
    lines: dict[str, str] = {}
    total = sum(file.bytes for file in files)
    with (
        ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool,
        Progress(file=sys.stderr, total=total, desc="checking", unit="B", unit_scale=True) as progress,
    ):
        for file, what in zip(files, pool.map(_problem, files), strict=True):
            progress.update(file.bytes)
            if what:
                lines.setdefault(file.remedy, f"{file.path} {what}: {file.remedy}")
    return list(lines.values())


def main(words: Sequence[str]) -> int:
    """Check the folder that is named, or ``results``, print what is wrong and what was checked; 1 if anything is."""
    folder = Path(words[0]) if words else Path("results")
    if not folder.is_dir():
        print(f"there is no folder {folder}: name the folder of results, or run in the folder above it")
        return 1
    try:
        report = verify(folder, others=single_files(folder))
    except StorageError as error:
        print(f"{error}; nothing was checked")
        return 1
    for line in report.problems:
        print(line)
    print(
        f"checked {report.stores} stores in {folder}, {report.files} files with {report.bytes:,} bytes, in "
        f"{report.seconds:.1f} s: {len(report.problems) or 'none'} damaged or unfinished"
    )
    if not report.files and not report.problems:
        print("nothing there can be checked: name the folder `results` of a run itself")
        return 1
    return 1 if report.problems else 0


def _generated(manifest: Path) -> list[str]:
    """Return a line if a generated folder is not what its manifest says."""
    folder = manifest.with_name(manifest.name.removesuffix(_SUFFIX))
    if not folder.is_dir():
        return []
    try:
        vouched = read_mapping(manifest)
    except StoreError as error:
        return [str(error)]
    if {**vouched, **folder_content(folder)} == vouched:
        return []
    return [f"{folder} has changed since it was written: delete {folder.name} and {manifest.name} and run again"]


def _problem(file: RecordedFile) -> str | None:
    try:
        if file.path.stat().st_size == file.bytes and file_sha256(file.path) == file.sha256:
            return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "has changed since it was written"


def _stores_below(folder: Path) -> Iterator[Path]:
    for current, folders, files in os.walk(folder):
        here = Path(current)
        if _PARTIAL in folders:
            yield from _unfinished(here)
        yield from (here / name for name in folders if name.endswith(".zarr"))
        for name in files:
            if name.endswith(_SUFFIX) and _is_of_store(here / name):
                yield here / f"{name.removesuffix(_SUFFIX)}.zarr"
        folders[:] = [name for name in folders if not name.startswith(".") and not name.endswith(".zarr")]


def _unfinished(folder: Path) -> Iterator[Path]:
    """Yield the stores that are only under construction; what a finished one has beside it does not count."""
    for entry in (folder / _PARTIAL).iterdir():
        name = entry.name.rpartition("-")[0]
        if entry.is_dir() and name.endswith(".zarr"):
            yield folder / name


def _is_of_store(manifest: Path) -> bool:
    """Tell manifests of stores from those of generated folders."""
    if (manifest.parent / f"{manifest.name.removesuffix(_SUFFIX)}.zarr").exists():
        return True
    try:
        return str(read_mapping(manifest).get("format", "")).startswith(FORMAT.rpartition("-")[0])
    except StoreError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
