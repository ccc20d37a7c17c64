"""The other results beside the stores on object storage: put there at the end of a run, and taken from there on another machine.

Stores are there by themselves (:mod:`patchprobe.stores.uploading`). All else below ``results``, tables and manifests and
records, lies there under the same names, and an index, ``.results.json``, says which files with which content belong
together. It is put last; what has another content than it says is not taken. One folder of results belongs to one prefix: the index
names it by the random text of ``results/.identity``, which whoever pulls takes over, so that no folder deletes what it never had.
"""

import hashlib
import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from patchprobe.errors import StoreError
from patchprobe.files import write_atomic
from patchprobe.run.records import RESULTS
from patchprobe.stores.objects import ObjectStorage

INDEX = ".results.json"
IDENTITY = RESULTS / ".identity"
# The identity is this folder's own, and every clone of the project has the page.
_NO_RESULTS = (IDENTITY, RESULTS / "README.md")
_FORMAT = "patchprobe-results-v1"
_HIDDEN = ".partial"


class _Known(NamedTuple):
    """A file as the index knows it: size in bytes, SHA-256, time of the last change in nanoseconds."""

    bytes: int
    sha256: str
    time: int


def check(url: str) -> None:
    """Raise StoreError if the results below ``url`` are those of another folder than this one."""
    _read_index(ObjectStorage(url))


def push(url: str, *, delete: bool = True) -> int:
    """Put every file of ``results`` that is another than the index says below ``url``, then the index; returns how many.

    The parts of stores that lie there already, and what is under construction, are no files of these. Files that are gone
    here are deleted there, or stay in the index without ``delete``. Raises StoreError if there are no results, if those there are of
    another folder, and if the storage does not do its part; then the index is the one of the last time.
    """
    if next(_files(), None) is None:
        raise StoreError(
            f"{RESULTS} holds no files: there is nothing to push; go to the folder above the results of a run"
        )
    storage = ObjectStorage(url)
    before, now, put = _read_index(storage), {}, 0
    for path in _files():
        facts, name = path.stat(), path.relative_to(RESULTS).as_posix()
        known = before.get(name)
        if known is not None and (known.bytes, known.time) == (facts.st_size, facts.st_mtime_ns):
            now[name] = known
            continue
        content = path.read_bytes()
        now[name] = _Known(len(content), hashlib.sha256(content).hexdigest(), facts.st_mtime_ns)
        if known is None or known.sha256 != now[name].sha256:
            storage.put(name, content)
            put += 1
    if not delete:
        now = before | now
    if now != before:
        if not IDENTITY.exists():
            write_atomic(IDENTITY, uuid.uuid4().hex)
        index = {"format": _FORMAT, "results": IDENTITY.read_text(), "files": now}
        storage.put(INDEX, (json.dumps(index, indent=1, sort_keys=True) + "\n").encode())
    storage.delete(before.keys() - now.keys())
    return put


def pull(url: str) -> list[str]:
    """Make ``results`` of what :func:`push` put below ``url``, with the times that the files had.

    Returns the files that were left out, since they were being replaced when a run was stopped; the next run makes them.
    Raises StoreError if there is nothing to take, or ``results`` holds files already.
    """
    if next(_files(), None) is not None:
        raise StoreError(f"{RESULTS} holds files already; move the folder away, or take another one, and pull again")
    storage = ObjectStorage(url)
    known = _read_index(storage, taking=True)
    if not known:
        raise StoreError(f"{url} holds no results: there is no {INDEX}; correct the address, or push there first")
    left_out = []
    for name, facts in sorted(known.items()):
        path = RESULTS / _inside(url, name)
        content = storage.get(name)
        if content is None or hashlib.sha256(content).hexdigest() != facts.sha256:
            left_out.append(name)
            continue
        write_atomic(path, content, lasting=False)
    for name, facts in known.items():
        if name not in left_out:
            os.utime(RESULTS / name, ns=(facts.time, facts.time))
    return left_out


def main(words: Sequence[str]) -> int:
    """Push or pull as the words say, and print what was done; 1 if it could not be."""
    if len(words) != 2 or words[0] not in ("push", "pull") or not words[1].startswith("s3://"):
        print("say: python -m patchprobe.run.mirror push s3://bucket/prefix, or pull, in the folder above results")
        return 1
    try:
        if words[0] == "push":
            print(f"put {push(words[1])} new or changed files there")
            return 0
        left_out = pull(words[1])
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in left_out:
        print(f"{name} was being replaced when a run was stopped, and is left out: run again to make it")
    print(f"{RESULTS} is as it was there" + (f", but for {len(left_out)} files" if left_out else ""))
    return 0


def _files() -> Iterator[Path]:
    """Yield the files below ``results`` in order, without those under construction and those of groups on the disk."""
    for folder, names, files in os.walk(RESULTS):
        names[:] = sorted(name for name in names if name != _HIDDEN)
        for file in sorted(files):
            path = Path(folder) / file
            if path.is_file() and not path.is_symlink() and not file.endswith(".lock") and path not in _NO_RESULTS:
                yield path


def _read_index(storage: ObjectStorage, *, taking: bool = False) -> dict[str, _Known]:
    """Return the files that lie there, none without an index, if they are those of this folder; ``taking`` makes them that."""
    content = storage.get(INDEX)
    if content is None:
        return {}
    try:
        index: Any = json.loads(content)
        known = {str(name): _Known(*facts) for name, facts in index["files"].items()}
        owner = str(index["results"])
    except (ValueError, TypeError, KeyError, AttributeError):
        index, known, owner = {}, {}, ""
    if index.get("format") != _FORMAT:
        raise StoreError(
            f"{storage.url}/{INDEX} is no index of results of this version; delete it there, and push again"
        )
    if taking:
        write_atomic(IDENTITY, owner)
    elif not IDENTITY.exists() or IDENTITY.read_text() != owner:
        raise StoreError(
            f"{storage.url} holds the results of another folder than {RESULTS.absolute()}, and would lose them: run `python -m "
            f"patchprobe.run.mirror pull {storage.url}` in a folder without results and go on there, or take another prefix"
        )
    return known


def _inside(url: str, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise StoreError(f"{url}/{INDEX} names {name}, which lies outside the results; do not use what lies there")
    return path


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
