"""What every Python process of a disturbed run loads at its start: it notes jobs and syncs, and fails as planned.

It is imported by a ``.pth`` file of an environment that is otherwise the project's own (``runs.make_environment``), so that it
is there in Snakemake, in the fork server and, by its fork or by itself, in each job, whatever their environment variables. A
``sitecustomize`` would not do: a system's Python may have one already, which comes first.
It does nothing where the folder it starts in has no ``.disturbance``. In that folder lie

``jobs.jsonl``   a line for each process that runs the script of a job, or waits for the fork that does
``syncs.jsonl``  a line for each file or folder that was synced, made or given another time
``kept/``        the files that synced folders named, as copies, for a power cut to bring back
``plan.json``    what is to fail: by rule the way and the number of the write at which it does
``fired.jsonl``  a line for each planned failure that happened
``full``         while it exists, nothing more can be written: the disk is full
``really``       if it exists, syncs are done and not only noted

Without pathlib, which makes events of its own and would have to be imported by every process first.
"""
# ruff: noqa: PTH109, PTH110, PTH112, PTH116, PTH118, PTH123

import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import sys
import zlib

_HERE = os.getcwd()
_FOLDER = os.path.join(_HERE, ".disturbance")
_RESULTS = os.path.join(_HERE, "results", "")
_SCRIPT = re.compile(r"\.snakemake/scripts/[^/]*?\.\w+\.py$")
# What Snakemake puts at the head of a script names the log, and logs are named by rules; several rules share a script.
_LOG = re.compile(rb"logs/(\w+)[/.]")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_NAMING = ("os.mkdir", "os.rename", "os.link", "os.symlink")
# A script that finds a fork server only waits for it.
_waits = "PATCHPROBE_FORKSERVER" in os.environ
_state = {"pid": 0, "rule": None, "writes": 0, "failed": False}
_real = {"fsync": os.fsync, "mkdir": os.mkdir, "utime": os.utime}


def _note(name, **values):
    """Append a line to a file of the folder in one write, so that lines of several processes do not mix."""
    with contextlib.suppress(OSError):
        descriptor = os.open(os.path.join(_FOLDER, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        try:
            os.write(descriptor, json.dumps(values).encode() + b"\n")
        finally:
            os.close(descriptor)


def _job():
    """The rule whose script this process runs, or None; notes the process when it becomes one."""
    if _state["pid"] != os.getpid():
        if not getattr(sys, "argv", None) or not _SCRIPT.search(sys.argv[0]):
            return None
        # First, since to read the script is an event too.
        _state.update(pid=os.getpid(), rule=None, writes=0, failed=False)
        with open(sys.argv[0], "rb") as file:
            match = _LOG.search(file.read())
        if match:
            _state["rule"] = match[1].decode()
            _note("jobs.jsonl", pid=os.getpid(), rule=_state["rule"], waits=_waits)
    return _state["rule"]


def _audit(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        job = _job()
        writing = bool(flags & _WRITING) if isinstance(flags, int) else bool(mode and set(mode) & set("wax+"))
        if not writing or not isinstance(path, (str, bytes, os.PathLike)):
            return
    elif event in _NAMING:
        job = _job()
        path = arguments[0] if event == "os.mkdir" else arguments[1]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
    else:
        return
    path = os.path.join(_HERE, os.fsdecode(path))
    if not path.startswith(os.path.join(_HERE, "")) or path.startswith(_FOLDER):
        return
    if os.path.exists(os.path.join(_FOLDER, "full")):
        _disk_is_full(path)
    if job and not _waits and path.startswith(_RESULTS):
        _fail_as_planned(job, path)


def _fail_as_planned(rule, path):
    try:
        with open(os.path.join(_FOLDER, "plan.json")) as file:
            planned = json.load(file).get(rule)
    except (OSError, ValueError):
        return
    if not planned:
        return
    _state["writes"] += 1
    if _state["failed"] and planned["way"] == "full":
        _disk_is_full(path)
    if _state["failed"] or _state["writes"] < planned["at"]:
        return
    _state["failed"] = True
    _note("fired.jsonl", rule=rule, way=planned["way"], at=_state["writes"], path=path)
    if planned["way"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif planned["way"] == "error":
        raise RuntimeError("this job fails on purpose")
    else:
        _disk_is_full(path)


def _disk_is_full(path):
    """No byte more in any file of this process, also from C, and no new name."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _sync(descriptor):
    """In place of fsync: it is noted, and not done where nothing can be lost, which costs less."""
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    if os.path.exists(os.path.join(_FOLDER, "really")):
        _real["fsync"](number)
    else:
        _note_synced(number)


def _note_synced(descriptor):
    found = os.fstat(descriptor)
    if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:
            _note(
                "syncs.jsonl",
                file=found.st_ino,
                size=found.st_size,
                mtime=found.st_mtime_ns,
                check=zlib.crc32(file.read(found.st_size)),
            )
        return
    names = {}
    with os.scandir(descriptor) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                state = entry.stat(follow_symlinks=False)
                names[entry.name] = [state.st_ino, entry.is_dir(follow_symlinks=False), state.st_mtime_ns]
                if entry.is_file(follow_symlinks=False):
                    kept = os.path.join(_FOLDER, "kept", f"{state.st_ino}-{state.st_mtime_ns}")
                    if not os.path.exists(kept):
                        shutil.copy2(f"/proc/self/fd/{descriptor}/{entry.name}", kept)
    _note("syncs.jsonl", folder=found.st_ino, names=names)


def _sync_all():
    for top in ("results", "logs", ".snakemake"):
        for folder, _, files in os.walk(os.path.join(_HERE, top)):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                with contextlib.suppress(OSError):
                    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                    try:
                        _note_synced(descriptor)
                    finally:
                        os.close(descriptor)


def _make_folder(path, mode=0o777, *, dir_fd=None):
    """A new folder may have the number of one that was removed; none of its names is on the disk yet."""
    _real["mkdir"](path, mode, dir_fd=dir_fd)
    with contextlib.suppress(OSError):
        _note("syncs.jsonl", folder=os.stat(path, dir_fd=dir_fd).st_ino, names={})


def _set_time(path, *arguments, **options):
    """A file whose time is set keeps its bytes, and so what is on the disk of them."""
    before = os.stat(path) if isinstance(path, int) or os.path.exists(path) else None
    _real["utime"](path, *arguments, **options)
    if before:
        after = os.stat(path)
        _note("syncs.jsonl", timed=after.st_ino, size=after.st_size, old=before.st_mtime_ns, mtime=after.st_mtime_ns)


if os.path.isdir(_FOLDER):
    os.fsync = os.fdatasync = _sync
    os.sync = _sync_all
    os.mkdir = _make_folder
    os.utime = _set_time
    sys.addaudithook(_audit)
