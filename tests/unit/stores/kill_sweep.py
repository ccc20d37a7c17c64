"""Build a small store, killed before its n-th change of the file system, for every n; then build it again.

Run as a program: ``python kill_sweep.py FOLDER STRIDE``. ``FOLDER/whole`` gets the undisturbed store,
``FOLDER/<kind>-<n>`` one that was killed at the n-th change. After a ``cut`` the power fails too: what was not synced by
then is lost, files are of length zero and, every other time, names gone. Everything runs in forks of one process that
has imported the library and started no thread.
"""

import json
import os
import signal
import stat
import sys
import traceback
from pathlib import Path

# Imported before the forks, not in each of them: what a store needs when it is read.
import dask.array  # noqa: F401
import distributed  # noqa: F401
import numpy as np

from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def build(folder: Path) -> None:
    """Build ``a.zarr`` of two units, go on where an earlier build stopped, and read it."""
    store = folder / "a.zarr"
    with build_store(store, spec='{"a": 1}', code="c") as made:
        tokens = made.array("tokens", (2, 3), (1, 3), np.float32, ("tile", "feature"))
        maps = made.array("label", (2, 8), (1, 8), np.uint8, ("tile", "x"), compress=True)
        made.coordinate("tile", ["one", "two"], ("tile",))
        made.attributes(model="toy")
        for unit in made.pending(["0", "1"]):
            tokens[int(unit)], maps[int(unit)] = int(unit) + 1, int(unit) + 1
            made.finish(unit)
    data = open_store(store)
    assert data.tokens.values.tolist() == [[1, 1, 1], [2, 2, 2]] and data.label.values[1].tolist() == [2] * 8


def forked(act) -> int:
    """Run ``act`` in a fork and return how it ended: 0, the exit code, or minus the signal."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_before(change: int, root: Path, log: Path) -> None:
    """Kill this process before its ``change``-th change below ``root``, and write what it syncs into ``log``."""
    seen = 0
    line_of = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def audit(event, args):
        nonlocal seen
        if event == "open":
            if not isinstance(args[0], str) or not (args[2] or 0) & _WRITING:
                return
        elif event not in _CHANGES:
            return
        if str(args[1] if event == "os.symlink" else args[0]).startswith(str(root)):
            seen += 1
            if seen > change:
                os.kill(os.getpid(), signal.SIGKILL)

    def note(descriptor):
        status = os.fstat(descriptor)
        content = status.st_size
        if stat.S_ISDIR(status.st_mode):
            content = {name: os.lstat(name, dir_fd=descriptor).st_ino for name in os.listdir(descriptor)}  # noqa: PTH208
        os.write(line_of, json.dumps([status.st_ino, content]).encode() + b"\n")

    os.fsync = note
    sys.addaudithook(audit)


def cut_power(folder: Path, log: Path, *, names: bool) -> None:
    """Take from ``folder`` what is not in the ``log`` of syncs; unsynced ``names`` stay or go."""
    synced = dict(json.loads(line) for line in log.read_text().splitlines())
    for path in list(folder.iterdir()):
        status = path.lstat()
        if not names and (synced.get(folder.stat().st_ino) or {}).get(path.name) != status.st_ino:
            remove(path)
        elif path.is_symlink():  # a name and nothing else
            continue
        elif path.is_dir():
            cut_power(path, log, names=names)
        elif synced.get(status.st_ino) != status.st_size:
            os.truncate(path, 0)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    else:
        path.unlink()


def main(root: Path, stride: int) -> None:
    """Do what this module says; exit with 1 if a second build fails."""
    (root / "whole").mkdir()
    assert forked(lambda: build(root / "whole")) == 0
    for kind in ("kill", "cut"):
        change, ended = 0, -signal.SIGKILL
        while ended == -signal.SIGKILL:
            folder = root / f"{kind}-{change}"
            folder.mkdir()
            log = root / f"{kind}-{change}.log"

            def killed(change=change, folder=folder, log=log):
                die_before(change, folder, log)
                build(folder)

            ended = forked(killed)
            if ended == -signal.SIGKILL and kind == "cut":
                cut_power(folder, log, names=change // stride % 2 == 0)
            if forked(lambda folder=folder: build(folder)) != 0:
                sys.exit(f"the build after {folder.name} failed")
            change += stride
        print(kind, change, ended)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
