"""Stores that several jobs write, each a shard of its own: chunks that no other one writes.

A shard is built in a hidden folder beside that of the store, ``.partial/X.zarr-<digest>.shard-<index>-of-<number>``, by
the rules of :mod:`patchprobe.stores.writing`: locked, resumed, never mixed with another digest. When it is whole, a list
of its files is written into it, and a mark elsewhere that vouches for the list. The job that builds the store gives the
files of all shards their second names in its own hidden folder and publishes; how many shards there were is nowhere in
the store.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchprobe.errors import StoreError
from patchprobe.files import disk_errors, locked, write_atomic
from patchprobe.own_files import read_mapping
from patchprobe.stores.build import Build
from patchprobe.stores.file_list import GROUP, FileRecord, first_difference, lock_of, read_list, shard_folder, sizes
from patchprobe.stores.writing import opened, partial_of


@dataclass(frozen=True)
class Shard:
    """One of ``of`` parts of a store's chunks; ``index`` counts from 1."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}-of-{self.of}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard with this name; raises ValueError if there is none."""
        match = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
        if match is None or int(match[1]) > int(match[2]):
            raise ValueError(f"{text!r} is no shard, such as 1-of-4")
        return cls(int(match[1]), int(match[2]))

    def share(self, number: int) -> slice:
        """Return which of ``number`` things in a row are this shard's: all shards have as many, to within one."""
        return slice((self.index - 1) * number // self.of, self.index * number // self.of)


@contextlib.contextmanager
def build_shard(
    store: Path, mark: Path, shard: Shard, *, spec: str, code: str, inputs: Sequence[Path] = ()
) -> Iterator[Build]:
    """Build a shard of a store, and write its ``mark`` when the block ends without an error.

    ``spec``, ``code`` and ``inputs`` are those that the store itself is built with. The block lays out all arrays, writes
    all coordinates and attributes, and of the units those of the shard. What a killed run had finished is kept.
    """
    partial = partial_of(store, spec, code, inputs)
    with disk_errors(store), opened(store, partial, str(shard)) as build:
        yield build
        facts = {"folder": build.folder.name, "file_list_sha256": build.close()}
        write_atomic(mark, json.dumps({**facts, "shard": shard.index, "of": shard.of}, indent=1, sort_keys=True) + "\n")


def take_over_shards(build: Build, marks: Sequence[Path]) -> None:
    """Put all shards of a store under construction together; nothing is written but names, where the file system has links.

    Raises StoreError if a shard is damaged or gone, and drops its mark so that the next run makes it, and no other;
    and if shards do not fit together, and drops all.
    """
    if build.sealed:
        return
    with contextlib.ExitStack() as held:
        taken: dict[str, tuple[FileRecord, Path]] = {}
        for mark in marks:
            folder, files = _whole_shard(build, mark, held)
            for path, record in files.items():
                if taken.setdefault(path, (record, folder))[0] != record:
                    raise _unlike(build, marks, path, [taken[path][1], folder])
        for folder in {folder for _, folder in taken.values()}:
            build.take_over(folder, {path: record for path, (record, of) in taken.items() if of == folder})
    # Those of another number of shards, whose run was stopped: their folders go with the others.
    for mark in {other for one in marks for other in one.parent.glob("*-of-*.json")} - set(marks):
        mark.unlink(missing_ok=True)


def _whole_shard(build: Build, mark: Path, held: contextlib.ExitStack) -> tuple[Path, Mapping[str, FileRecord]]:
    """Return folder and files of a shard, and keep its lock as long as ``held``."""
    try:
        facts = read_mapping(mark, {"shard": int, "of": int, "file_list_sha256": str})
        shard = Shard(facts["shard"], facts["of"])
        folder = shard_folder(build.folder, str(shard))
        held.enter_context(locked(lock_of(folder), waiting=f"shard {shard}: another job is writing it; waiting for it"))
        files = read_list(folder, facts["file_list_sha256"])
        wrong = first_difference(files, sizes(folder / GROUP))
    except StoreError as error:
        wrong = str(error)
    if wrong is None:
        return folder, files
    mark.unlink(missing_ok=True)
    raise StoreError(
        f"{build.folder.name}: the shard of {mark} is not what was written ({wrong}); run again, which makes that shard anew "
        "and no other"
    )


def _unlike(build: Build, marks: Sequence[Path], path: str, folders: Sequence[Path]) -> StoreError:
    for mark in marks:
        mark.unlink(missing_ok=True)
    for folder in build.folder.parent.glob(f"{shard_folder(build.folder, '').name}*"):
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
    one, other = (folder.name.rpartition(".")[2] for folder in folders)
    return StoreError(
        f"{build.folder.name}: {one} and {other} do not fit together, {path} is not the same in both: their jobs ran on other "
        "kinds of devices or with other versions of libraries; say which device in the key device (cuda or cpu), see that "
        "all machines have one environment, and run again, which makes all shards anew"
    )
