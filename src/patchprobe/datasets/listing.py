"""Folders as people have them: with links, with what file managers and other systems leave behind, with locked doors."""

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from patchprobe.errors import DataError, printable, several
from patchprobe.files import fingerprint

_Name = TypeVar("_Name", str, tuple[str, str])

_log = logging.getLogger(__name__)

# Beside hidden names: archives of macOS, thumbnails of Synology and Windows, what file systems keep for themselves.
_LEFT_BEHIND = frozenset(
    {"__MACOSX", "@eaDir", "@tmp", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db"}
    | {"ehthumbs.db", "desktop.ini", "#snapshot", "@Recycle", "Network Trash Folder"}
)


def is_left_behind(name: str) -> bool:
    """Return whether a file or folder of this name was made by a system or program and not by who keeps the data."""
    return name.startswith(".") or name in _LEFT_BEHIND


def files_below(folder: Path, suffixes: Collection[str], *, passed_over: list[Path] | None = None) -> list[Path]:
    """Return the files below a folder, at any depth, whose suffix is one of ``suffixes`` (lower case), sorted.

    Links are followed, each real folder once. What systems leave behind is passed over, and added to ``passed_over``, a folder
    that cannot be listed too, with a warning. Raises DataError for a name that is no text in UTF-8.
    """
    left_behind: list[Path] = [] if passed_over is None else passed_over
    return sorted(path for path in _walk(folder, set(), left_behind) if path.suffix.lower() in suffixes)


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder itself, none below it, with a suffix, sorted; what systems leave behind is passed over."""
    return [path for path in sorted(folder.glob(f"*{suffix}")) if path.is_file() and not is_left_behind(path.name)]


def state_of_folders(root: Path, levels: int, names: Collection[str] | None = None) -> str:
    """Return a digest that changes when a file comes or goes in a folder or in those up to ``levels`` below it.

    With ``names`` only these sub-folders count. It is made of the names and times of folders, a fixed size whatever lies
    there; what systems leave behind and what cannot be listed does not count.
    """
    digest = hashlib.sha256()
    for place, time in sorted(_folders(root, "", levels, names)):
        digest.update(f"{len(place)} {place} {time}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def state_of_files(paths: Iterable[Path]) -> str:
    """Return a digest that changes with the content of some files, see :func:`patchprobe.files.fingerprint`, or their names."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = fingerprint(path)
        except OSError:  # the job that reads it will say so
            content = ""
        digest.update(f"{path.as_posix()} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def check_name(path: Path) -> Path:
    """Return the path; raises DataError if its name is no text in UTF-8, since tables hold text."""
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"the name of {printable(str(path))} is not text in UTF-8: rename the file") from None
    return path


def refuse_unpaired(images: Mapping[_Name, Path], labels: Mapping[_Name, Path], label: str = "label map") -> None:
    """Raise DataError that names the images without a label map, or the label maps without an image, by their names.

    ``label`` is what label maps are called, where they are something else.
    """
    for these, others, this, other in ((images, labels, "image", label), (labels, images, label, "image")):
        missing = [f"of {this} {these[name]}" for name in sorted(these.keys() - others.keys())]
        if len(missing) == 1:
            raise DataError(f"the {other} {missing[0]} is missing; copy it there or remove the {this}")
        if missing:
            raise DataError(f"{several(missing, f'{other}s are missing')}; copy them there or remove each {this}")


def _walk(folder: Path, seen: set[str], left_behind: list[Path]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in _entries(folder):
        if is_left_behind(entry.name):
            left_behind.append(folder / entry.name)
            continue
        path = check_name(folder / entry.name)
        if _is_folder(entry):
            yield from _walk(path, seen, left_behind)
        elif path.is_file():
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or leads to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except PermissionError:
        _log.warning("%s cannot be listed and is passed over; permit reading if it belongs to the data", folder)
        return []


def _folders(folder: Path, place: str, levels: int, names: Collection[str] | None) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            inside = [e.name for e in entries if levels and not is_left_behind(e.name) and _is_folder(e)]
        yield place, folder.stat().st_mtime_ns
    except OSError:
        return
    for name in inside:
        if names is None or name in names:
            yield from _folders(folder / name, f"{place}/{name}", levels - 1, None)
