"""Getting a release of a data set into its folder: fetched, checked, unpacked, and whole or absent.

Archives lie in ``<data_root>/downloads`` until the data set is there; then those that were fetched are deleted, those that
somebody put there are kept. A data set grows in a hidden folder beside its root, and a killed unpacking starts again from the
archives. Beside the root ``<root>.fetched.json`` says what was fetched; where nobody publishes a digest it holds that of the
first time, and another one is refused from then on.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from patchprobe.datasets.hub_files import with_files
from patchprobe.datasets.publishers_tools import called, find_tool, run_tool
from patchprobe.datasets.released import (
    DOWNLOADS,
    MARKER,
    Archive,
    Release,
    is_absent,
    lock_file,
    missing,
    slug,
    tree_state,
)
from patchprobe.downloads.addresses import is_offline, mirrored, without_secrets
from patchprobe.downloads.contents import is_web_page, no_archive
from patchprobe.downloads.fetching import Patience, fetch
from patchprobe.downloads.unpacking import ArchiveError, merge, need_space, unpack, unpacked_size
from patchprobe.downloads.wanted import KINDS, Keys, Wanted
from patchprobe.errors import DownloadError
from patchprobe.files import disk_errors, file_digests, folder_content, locked, write_atomic


@dataclass(frozen=True)
class Obtained:
    """A release that is to be in ``root``; ``name`` is that of the data set in the configuration, ``mirror`` the address of a
    folder with all archives, in place of their own addresses."""

    name: str
    release: Release
    root: Path
    data_root: Path
    mirror: str | None = None

    @property
    def key(self) -> str:
        """The key that asks for it."""
        return f"datasets.{self.name}.download"


def obtain(wanted: Obtained, patience: Patience | None = None) -> None:
    """Fetch and unpack a release into its root, unless something is there.

    Raises DownloadError, saying what to do, and leaves the root as it is: absent or empty.
    """
    root, downloads = wanted.root, wanted.data_root / DOWNLOADS
    waiting = f"{root}: another run fetches it; waiting for its end"
    with disk_errors(root):
        for folder in (root.parent, downloads):
            folder.mkdir(parents=True, exist_ok=True)
        # Of the root, and of the archives, which another root may be made from.
        locks = (root.with_name(f".{root.name}.unpacking.lock"), downloads / f".{slug(wanted.release.name)}.lock")
        with locked(locks[0], waiting=waiting), locked(locks[1], waiting=waiting):
            try:
                if is_absent(root):
                    _obtain(wanted, patience)
                else:
                    print(f"{root} is there: taken as it is", file=sys.stderr)
            finally:
                for lock in locks:
                    lock.unlink()


def _obtain(wanted: Obtained, patience: Patience | None) -> None:
    root = wanted.root
    hidden = root.with_name(f".{root.name}.unpacking")
    _remove(hidden)
    known = _known(wanted)
    if wanted.release.hub:
        wanted = replace(wanted, release=with_files(wanted.release, wanted.key))
    archives = _archives(wanted, known)
    _need_space(wanted, archives)
    _get(wanted, archives, patience)
    total = 0
    for archive, file in archives.items():
        with _bad_ones_dropped(wanted, file):
            total += 0 if archive.plain else unpacked_size(file.path)
    need_space(root.parent, total, f"{wanted.release.title}, unpacked,")
    # Nobody else can put links where files are written.
    hidden.mkdir(mode=0o700)
    try:
        _unpack_all(wanted, archives, hidden)
        facts = _facts(wanted, archives, hidden, known)
        _publish(wanted, hidden, facts)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    for file in archives.values():
        _drop_fetched(file)
    print(f"{root}: {wanted.release.title} is there; please cite {wanted.release.citation}", file=sys.stderr)


def _remove(hidden: Path) -> None:
    """Delete what a killed unpacking left."""
    if hidden.is_symlink() or hidden.is_file():
        hidden.unlink()
    elif hidden.exists():
        shutil.rmtree(hidden)


def _archives(wanted: Obtained, known: Mapping[str, Any]) -> dict[Archive, Wanted]:
    """Return the files of a release with where they lie; digests that nobody publishes are those of the first time."""
    found: dict[Archive, Wanted] = {}
    for archive in wanted.release.archives:
        first = known.get("files", {}).get(archive.name, {})
        digests = dict(archive.digests)
        whose = "published"
        if not digests and not archive.repacked and first:
            digests, whose = {"sha256": first["sha256"]}, f"first ({lock_file(wanted.root)})"
        addresses = (mirrored(wanted.mirror, archive.name),) if wanted.mirror else archive.addresses
        keys = Keys(
            address=wanted.key,
            digest=dict.fromkeys(KINDS, f"{wanted.key}: the {whose} digest of {archive.name}"),
            place=wanted.key,
            root="data_root",
            correct=dict.fromkeys(KINDS, "Take another mirror"),
            unchecked=f"recorded in {lock_file(wanted.root).name}, and compared from now on",
        )
        path = wanted.data_root / DOWNLOADS / archive.name
        own = archive.addresses[0] if archive.addresses else None
        found[archive] = Wanted(keys, path, addresses, digests, archive.bytes, "an archive", no_archive, own)
    return found


def _get(wanted: Obtained, archives: Mapping[Archive, Wanted], patience: Patience | None) -> None:
    """Have all archives of a release, each whole and the right one."""
    absent = {archive: file for archive, file in archives.items() if not file.path.exists()}
    own = [file for file in absent.values() if not file.addresses]
    if own and (tool := find_tool(wanted.release.tool)) and not is_offline():
        _call_tool(wanted, tool, own)
        absent = {archive: file for archive, file in absent.items() if not file.path.exists()}
        own = []
    local = bool(wanted.mirror) and str(wanted.mirror).startswith("file:")
    if own or not wanted.release.archives or (absent and is_offline() and not local):
        raise DownloadError(_by_hand(wanted, absent))
    for file in archives.values():
        there = file.path.exists()
        if not there:
            fetch(file, patience)
        # One that was fetched was checked, also in an earlier run.
        if not file.record.exists():
            _check(file)


def _check(file: Wanted) -> None:
    """Raise DownloadError if an archive that somebody put there is not the right one."""
    wrong = file.differs(file_digests(file.path, file.digests)) if file.digests else None
    if wrong:
        raise DownloadError(
            f"{wrong.name} is {wrong.expected}, but {file.path} ({file.path.stat().st_size} bytes), which was put there by hand, has "
            f"{wrong.found}: it is another file or damaged; delete it and run again"
        )


def _call_tool(wanted: Obtained, program: str, files: list[Wanted]) -> None:
    """Let the program of a release's publisher fetch its files; it has the name and the password, we never do."""
    tool = wanted.release.tool
    folder = wanted.data_root / DOWNLOADS / f".{tool}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        part = folder / file.path.name
        for _ in range(2):
            if part.exists() and not file.differs(file_digests(part, file.digests)):
                part.rename(file.path)
                break
            print(f"calling {tool} for {file.path.name}", file=sys.stderr, flush=True)
            why = run_tool([program, "-d", str(folder), "-r", file.path.name])
            if why:
                left = [one for one in files if not one.path.exists()]
                raise DownloadError(
                    f"{wanted.key}: {tool} did not fetch {file.path.name} ({why}): {wanted.release.steps(called(program))} "
                    f"{_put(wanted, left)}"
                )
        else:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{wanted.key}: {tool} fetched another {file.path.name} than the one with "
                f"{', '.join(f'{kind} {digest}' for kind, digest in file.digests.items())}, which was deleted: run again"
            )


def _by_hand(wanted: Obtained, absent: Mapping[Archive, Wanted]) -> str:
    """Say what to get from where and to put where."""
    release = wanted.release
    if is_offline() and not release.login:
        why = "nothing is fetched because HF_HUB_OFFLINE is set"
    else:
        why = "its files are not to be had without a log-in"
    program = find_tool(release.tool)
    login = f" {release.steps(called(program) if program else '')}" if release.login else ""
    if release.tool and not program:
        login += f" {release.tool} is not installed here."
    return f"{wanted.key}: {release.title} is not in {wanted.root.resolve()}, and {why}.{login} {_put(wanted, list(absent.values()))}"


def _put(wanted: Obtained, files: list[Wanted]) -> str:
    if not files:
        parts = [*wanted.release.expects, wanted.release.also]
        return f"Put it into {wanted.root.resolve()}, so that it has {' and '.join(filter(None, parts))}, and run again"
    listed = []
    for file in files:
        origin = f" from {file.origin}" if file.origin else ""
        facts = [f"{kind} {digest}" for kind, digest in file.digests.items()]
        facts += [f"{file.size} bytes"] if file.size else []
        listed.append(f"{file.path.name}{origin}" + (f" ({', '.join(facts)})" if facts else ""))
    return f"Put into {files[0].path.parent.resolve()}: {'; '.join(listed)}; and run again"


def _need_space(wanted: Obtained, archives: Mapping[Archive, Wanted]) -> None:
    """Raise DownloadError if what is to be fetched cannot fit, unpacked beside its archives."""
    sizes = {archive: archive.bytes or archive.about or 0 for archive in archives}
    absent = sum(sizes[archive] for archive, file in archives.items() if not file.path.exists())
    begun = (file.path.with_name(f".{file.path.name}.partial") for file in archives.values())
    there = sum(path.stat().st_size for path in begun if path.is_file())
    need_space(wanted.root.parent, absent - there + sum(sizes.values()), f"{wanted.release.title}, with its archives,")


def _unpack_all(wanted: Obtained, archives: Mapping[Archive, Wanted], hidden: Path) -> None:
    whole = hidden / "whole"
    for number, (archive, file) in enumerate(archives.items()):
        part = hidden / f"part{number}"
        if archive.plain:
            _copy(file.path, part)
            merge(part, whole / archive.into, file.path)
            continue
        with _bad_ones_dropped(wanted, file):
            unpack(file.path, part, archive.inside)
        merge(part, whole / archive.into, file.path)
    absent = missing(wanted.release, whole)
    if absent:
        raise DownloadError(
            f"{wanted.key}: what was unpacked for {wanted.release.title} has no {', '.join(absent)}, so it is laid out otherwise than "
            f"known; unpack {', '.join(str(file.path) for file in archives.values())} by hand into {wanted.root.resolve()}"
        )


@contextlib.contextmanager
def _bad_ones_dropped(wanted: Obtained, file: Wanted) -> Iterator[None]:
    """Delete an archive that is found to be bad, which will not get better, and say where it came from and what helps."""
    try:
        yield
    except ArchiveError as error:
        origin = _origin(file)
        _drop_fetched(file)
        if origin is None:
            remedy = "it was put there by hand and is kept: replace it by the release's own archive and run again"
        elif wanted.mirror and origin.startswith(without_secrets(wanted.mirror).rstrip("/")):
            own = f" ({without_secrets(file.own)})" if file.own else ""
            remedy = (
                f"it came from {origin} of your mirror and was deleted: put the release's own archive{own} there, or set mirror to "
                "another one or to null, and run again"
            )
        else:
            remedy = f"it came from {origin} and was deleted: run again to fetch it anew or, if it is no better then, {file.by_hand}"
        raise DownloadError(f"{error}; {remedy}") from error


def _origin(file: Wanted) -> str | None:
    """Return the address that an archive was fetched from, None for one that somebody put there."""
    try:
        return str(json.loads(file.record.read_text(encoding="utf-8"))["url"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return file.origin


def _drop_fetched(file: Wanted) -> None:
    """Delete an archive that was fetched; one that somebody put there has no record."""
    if file.record.exists():
        with contextlib.suppress(OSError):
            file.path.unlink()
            file.record.unlink()


def _copy(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, place)


def _no_page(beginning: bytes) -> str:
    return "empty" if not beginning else "a web page" if is_web_page(beginning) else ""


def _known(wanted: Obtained) -> dict[str, Any]:
    """Return what the lock file beside the root holds of this release; empty without one."""
    try:
        known = json.loads(lock_file(wanted.root).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{lock_file(wanted.root)} is not what a download leaves ({type(error).__name__}): restore or remove it"
        ) from None
    return known if isinstance(known, dict) and known.get("release") == wanted.release.name else {}


def _facts(
    wanted: Obtained, archives: Mapping[Archive, Wanted], hidden: Path, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the lock file is to hold; raises DownloadError if the content is not that of the first time."""
    files: dict[str, Any] = {}
    for archive, file in archives.items():
        if file.record.exists():
            files[archive.name] = json.loads(file.record.read_text(encoding="utf-8"))
        else:
            digest = file_digests(file.path, ["sha256"])["sha256"]
            files[archive.name] = {"url": None, "sha256": digest, "bytes": file.path.stat().st_size}
    facts: dict[str, Any] = {"release": wanted.release.name, "licence": wanted.release.licence["name"], "files": files}
    if any(archive.repacked for archive in archives):
        facts["content"] = folder_content(hidden / "whole")
        first = known.get("content")
        if first and first != facts["content"]:
            raise DownloadError(
                f"{wanted.key}: {wanted.release.title} has other content than when it was first fetched (sha256 of all files "
                f"{facts['content']['sha256']}, first {first['sha256']} in {lock_file(wanted.root)}): nothing was changed; remove that "
                "file if you want the new content"
            )
    return facts


def _publish(wanted: Obtained, hidden: Path, facts: Mapping[str, Any]) -> None:
    """Give the folder its name, after the file that says what it is."""
    whole = hidden / "whole"
    (whole / MARKER).write_text(f"{wanted.release.name}\n", encoding="utf-8")
    # All of it at once: a file at a time takes minutes.
    os.sync()
    state = {"state": tree_state(whole), "time": max(time.time_ns(), (whole / MARKER).stat().st_mtime_ns)}
    write_atomic(lock_file(wanted.root), json.dumps({**facts, **state}, indent=1) + "\n")
    # In place of an empty folder, if there is one; never of another.
    whole.rename(wanted.root)
