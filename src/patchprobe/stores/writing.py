"""Writing zarr stores that are complete or absent.

A store ``X.zarr`` is a folder that holds one zarr v3 group, ``X.zarr/data``, and the list of its files with their
checksums, ``X.zarr/files.json``; its manifest is ``X.manifest.json`` beside the folder. While a job builds it,
everything lies in a hidden folder ``.partial/X.zarr-<digest>`` whose digest covers the spec, the code and the inputs,
so a killed job is resumed by the next one with the same digest and never mixed with another. A file lock keeps
writers of one digest apart, even across runs, and another one those that publish. Everything is synced before a name
vouches for it, so the same holds after a power cut. When all is written the files are linked into place by one rename
and the manifest is written last; readers refuse a store whose files do not match it. Where object storage is announced
(:mod:`patchprobe.stores.objects`), the files are put there before, and the folder says where.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from patchprobe.files import disk_errors, file_sha256, locked, sync, write_atomic
from patchprobe.own_files import read_mapping
from patchprobe.stores.build import Build, add_links, check_whole, link_sealed, strip_sealed
from patchprobe.stores.file_list import (
    BUILD_FILE,
    FORMAT,
    lock_of,
    manifest_path,
    remove_partial,
    remove_shards,
    shard_folder,
    staged,
)
from patchprobe.stores.objects import announced
from patchprobe.stores.uploading import address, delete_others, stage_located, upload

_DIGITS = 20


@contextlib.contextmanager
def build_store(
    store: Path,
    *,
    spec: str,
    code: str,
    inputs: Sequence[Path] = (),
    publishing: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[Build]:
    """Build a store in a hidden folder and move it into place, whole, when the block ends without an error.

    ``spec`` is the canonical JSON of the config values used, ``code`` the digest of the code, ``inputs`` the
    files made from (manifests count by the content they vouch for, other files by their bytes). Whatever a killed
    run with the same three had finished is kept. Waits for another writer with the same three; one with others goes
    on beside. What ``publishing()`` returns is entered around the publication, one publication of a store at a time; it
    may raise StoreError to refuse, and what was built stays for the next run. Raises StoreError when the disk is full,
    with what is finished by then kept, and when the hidden folder or its lock was deleted meanwhile.
    """
    partial = partial_of(store, spec, code, inputs)
    with disk_errors(store), opened(store, partial) as build:
        if build.sealed:
            print(f"{store.name}: an earlier run finished it; taken over as it is", file=sys.stderr)
        yield build
        build.check_held()
        if not build.sealed:
            build.seal(spec, code)
        try:
            prefix = announced()
            url = prefix and address(prefix, store, partial.name[-_DIGITS:])
            if url:
                upload(partial, url)
            with _turn(store), publishing():
                build.check_held()
                _publish(partial, store, url)
        except FileNotFoundError:
            build.check_held()
            raise
        remove_shards(partial)
        if not partial.exists():
            lock_of(partial).unlink(missing_ok=True)
    if url:
        delete_others(url)


def partial_of(store: Path, spec: str, code: str, inputs: Sequence[Path]) -> Path:
    """Return the hidden folder in which a store is built from these, as for :func:`build_store`."""
    return store.parent / ".partial" / f"{store.name}-{_digest(spec, code, inputs)}"


@contextlib.contextmanager
def opened(store: Path, partial: Path, shard: str | None = None) -> Iterator[Build]:
    """Open the hidden folder of a store, or of one of its shards, for the one job that may write there; waits for another."""
    folder = partial if shard is None else shard_folder(partial, shard)
    lock, name = lock_of(folder), store.name if shard is None else f"shard {shard} of {store.name}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    sync(store.parent)
    with locked(lock, waiting=f"{name}: another job is writing it; waiting for that job to end"):
        holding = lock.lstat()
        _remove_other_partials(partial)
        yield Build(folder, partial.name[-_DIGITS:], lambda: os.path.samestat(lock.lstat(), holding))


def _digest(spec: str, code: str, inputs: Sequence[Path]) -> str:
    contents = [_content(path) if path.name.endswith(".manifest.json") else file_sha256(path) for path in inputs]
    return hashlib.sha256("\0".join([FORMAT, spec, code, *contents]).encode()).hexdigest()[:_DIGITS]


def _content(manifest: Path) -> str:
    """Return the checksum that a manifest, of a store or a generated folder, gives for what it describes."""
    return str(read_mapping(manifest, {"sha256": str})["sha256"])


@contextlib.contextmanager
def _turn(store: Path) -> Iterator[None]:
    """Wait until no other job publishes the store, and keep others waiting until the block ends."""
    lock = store.parent / ".partial" / f"{store.name}.lock"
    with locked(lock, waiting=f"{store.name}: another job is publishing it; waiting for that job to end"):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _remove_other_partials(partial: Path) -> None:
    """Delete what builds of the same store with other digests left, but for those that go on."""
    prefix, own = partial.name.rsplit("-", 1)
    names = (
        re.fullmatch(rf"{re.escape(prefix)}-([0-9a-f]{{20}})(\..*)?", entry.name) for entry in partial.parent.iterdir()
    )
    for digest in sorted({match[1] for match in names if match} - {own}):
        remove_partial(partial.with_name(f"{prefix}-{digest}"))


def _publish(partial: Path, store: Path, url: str | None) -> None:
    """Put the finished files in place with one rename, or what says where on object storage they are, then the manifest.

    The hidden folder stays as hard links until a reader opens the store: Snakemake deletes the outputs of a job
    whose end it did not see (it was killed itself), and then the next run links them again instead of making them.
    """
    linked = staged(partial)
    shutil.rmtree(linked, ignore_errors=True)
    manifest = (partial / BUILD_FILE).read_bytes()
    if url is not None:
        stage_located(partial, linked, url)
    else:
        try:
            link_sealed(partial, linked)
        except OSError:  # a file system without hard links: there is no spare then
            shutil.rmtree(linked, ignore_errors=True)
            strip_sealed(partial)
            linked = partial
        add_links(linked)
        check_whole(linked)
    for folder, _, _ in os.walk(linked):  # the files are synced already
        sync(Path(folder))
    for stray in store.parent.glob(f".*.{manifest_path(store).name}"):  # of a writer that was killed
        stray.unlink(missing_ok=True)
    manifest_path(store).unlink(missing_ok=True)
    if store.exists():
        shutil.rmtree(store)
    # On the disk too, the old manifest is gone before the new files are there.
    sync(store.parent)
    linked.rename(store)
    sync(store.parent)
    sync(partial.parent)
    write_atomic(manifest_path(store), manifest)
