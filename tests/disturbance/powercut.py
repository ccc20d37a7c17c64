"""A power cut, played on the files of a run that was killed: what was not synced may be gone.

The hook has noted what was synced. Every other file may have lost its bytes, all or from some place on, or have zeros in
their place. Every change of a folder's names since it was last synced may be undone, each by itself: a new file is gone, a
replaced one is the old one again, a deleted one is back. What was there before the run counts as synced. That is what
POSIX permits; file systems lose less, each in its own way.
"""

import contextlib
import json
import os
import random
import shutil
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path

TOPS = ("results", "logs", ".snakemake")
Names = dict[str, list]


@dataclass
class Disk:
    """What is on the disk for certain."""

    kept: Path
    # The names of a folder, by its number, each with number, whether it is a folder, and time.
    folders: dict[int, Names] = field(default_factory=dict)
    files: set[tuple[int, int, int]] = field(default_factory=set)
    # Size and check sum of what was synced last of a file, by its number.
    synced: dict[int, tuple[int, int]] = field(default_factory=dict)


def remember(project: Path) -> None:
    """Before the run: note all that is there as synced, and keep copies."""
    folder = project / ".disturbance"
    with (folder / "syncs.jsonl").open("a") as log:
        for top in TOPS:
            for place, _, _ in os.walk(project / top):
                names = {}
                for path in Path(place).iterdir():
                    state, names[path.name] = path.lstat(), _entry(path)
                    if path.is_file():
                        shutil.copy2(path, folder / "kept" / f"{state.st_ino}-{state.st_mtime_ns}")
                        entry = {"file": state.st_ino, "size": state.st_size, "mtime": state.st_mtime_ns}
                        entry["check"] = zlib.crc32(path.read_bytes())
                        log.write(json.dumps(entry) + "\n")
                log.write(json.dumps({"folder": Path(place).stat().st_ino, "names": names}) + "\n")
        project_names = {top: [(project / top).stat().st_ino, True, 0] for top in TOPS if (project / top).exists()}
        log.write(json.dumps({"folder": project.stat().st_ino, "names": project_names}) + "\n")


def play(project: Path, rng: random.Random) -> list[str]:
    """Lose what was not synced; returns what was lost, a line each. No process may work in the project."""
    disk = _read(project / ".disturbance")
    loss = rng.choice([0.2, 0.5, 0.8, 1.0])
    cut = _Cut(project, disk, rng, loss)
    for top in TOPS:
        if (project / top).is_dir():
            cut.folder(project / top)
    return cut.lost


def synced_files(project: Path) -> int:
    """How many files and folders the hook saw synced."""
    path = project / ".disturbance/syncs.jsonl"
    return sum(1 for line in path.read_text().splitlines() if '"names": {}' not in line) if path.exists() else 0


def _read(folder: Path) -> Disk:
    disk = Disk(folder / "kept")
    path = folder / "syncs.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):  # the last line of a killed process
            entry = json.loads(line)
            if "folder" in entry:
                disk.folders[entry["folder"]] = entry["names"]
            elif "file" in entry:
                disk.files.add((entry["file"], entry["size"], entry["mtime"]))
                disk.synced[entry["file"]] = entry["size"], entry["check"]
            elif (entry["timed"], entry["size"], entry["old"]) in disk.files:
                disk.files.add((entry["timed"], entry["size"], entry["mtime"]))
    return disk


def _entry(path: Path) -> list:
    state = path.lstat()
    return [state.st_ino, stat.S_ISDIR(state.st_mode), state.st_mtime_ns]


def _key(entry: list) -> tuple[int, int]:
    number, is_folder, mtime = entry
    return number, 0 if is_folder else mtime


class _Cut:
    def __init__(self, project: Path, disk: Disk, rng: random.Random, loss: float) -> None:
        self._project, self._disk, self._rng, self._loss = project, disk, rng, loss
        # Numbers of files that are removed are used again, so the time tells too which file it is.
        self._there = {_key(_entry(path)) for top in TOPS for path in (project / top).rglob("*")}
        self.lost: list[str] = []

    def folder(self, folder: Path) -> None:
        synced = self._disk.folders.get(folder.stat().st_ino, {})
        now = {path.name: path for path in folder.iterdir()}
        for name in sorted(synced.keys() | now.keys()):
            path = folder / name
            there, was = name in now, synced.get(name)
            same = there and was is not None and was[:2] == _entry(path)[:2]
            if not same and self._rng.random() < self._loss:
                self._undo(path, there, was)
            elif there and path.is_dir() and not path.is_symlink():
                self.folder(path)
            elif there and path.is_file():
                self._data(path)

    def _undo(self, path: Path, there: bool, was: list | None) -> None:
        """Bring a name back to what it was when its folder was last synced."""
        # What has another name by now is not at the old one too.
        restorable = was is not None and _key(was) not in self._there
        if was is not None and not restorable:
            return
        if there:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if restorable:
            self._restore(path, was)
        self._say(path, "is the old one again" if restorable and there else "is back" if restorable else "is gone")

    def _restore(self, path: Path, was: list) -> None:
        number, is_folder, mtime = was
        if is_folder:
            path.mkdir()
            for name, entry in self._disk.folders.get(number, {}).items():
                if self._rng.random() < 0.8 and _key(entry) not in self._there:
                    self._restore(path / name, entry)
            return
        kept = self._disk.kept / f"{number}-{mtime}"
        if kept.exists():
            shutil.copy2(kept, path)
            if (number, kept.stat().st_size, mtime) not in self._disk.files:
                self._lose(path, 0)

    def _data(self, path: Path) -> None:
        state = path.stat()
        if (state.st_ino, state.st_size, state.st_mtime_ns) in self._disk.files or self._rng.random() >= self._loss:
            return
        # What was written further has what was synced before.
        size, check = self._disk.synced.get(state.st_ino, (0, 0))
        self._lose(path, size if zlib.crc32(path.read_bytes()[:size]) == check and size <= state.st_size else 0)

    def _lose(self, path: Path, least: int) -> None:
        """Lose the bytes of a file from some place on; its time is that of its last change, as far as names tell."""
        state = path.stat()
        if state.st_size == least:
            return
        size = self._rng.choice([least, self._rng.randint(least, state.st_size - 1)])
        zeros = self._rng.random() < 0.4
        with path.open("r+b") as file:
            file.truncate(size)
            if zeros:
                file.truncate(state.st_size)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        self._say(path, f"has {size} of {state.st_size} bytes" + (" and zeros" if zeros else ""))

    def _say(self, path: Path, what: str) -> None:
        self.lost.append(f"{path.relative_to(self._project)} {what}")
