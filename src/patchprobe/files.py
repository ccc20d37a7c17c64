"""Files that are whole or absent, also after a power cut, and locks that end with the process that holds them."""

import ast
import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from patchprobe.errors import ConfigError, StoreError

# Less would fit into the rest of a block where no block is free.
_BLOCK = 4096
# A file of up to _SAMPLES * _SAMPLE bytes is sampled whole.
_SAMPLES, _SAMPLE = 128, 1 << 15
# What the file system says when it takes no more, and what helps.
_PERMISSION = ("permission is denied", "permit writing")
REMEDIES = {
    errno.ENOSPC: ("the disk is full", "free some space (df) or files (df -i)"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EFBIG: ("a file would be larger than allowed", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "mount it for writing"),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
}


def write_atomic(path: Path, content: str | bytes | Callable[[Path], object], *, lasting: bool = True) -> None:
    """Write a file so that it is whole or absent; ``content`` may be a function that writes the path it is given.

    Bytes and name are on the disk when it returns, unless not ``lasting``, for what may be lost in a power cut. Raises
    StoreError naming the file when it cannot be written.
    """
    # The suffix stays last because many writers choose their format by it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_new(temporary)
            if callable(content):
                content(temporary)
            else:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            if lasting:
                sync(temporary)
            temporary.replace(path)
            if lasting:
                sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _make_new(path: Path) -> None:
    """Make an empty file in place of whatever has the name, so that nothing is written through another's link."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have nothing to sync for a folder.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all files below a folder, and the lists of their names, are on the disk."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            sync(path)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(path: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Return digests of a file's bytes in hexadecimal, by kind as hashlib calls it, in one reading."""
    digests = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for digest in digests.values():
                digest.update(chunk)
    return {kind: digest.hexdigest() for kind, digest in digests.items()}


def fingerprint(path: Path) -> str:
    """Return a digest of a file's size and of 128 samples of 32 KiB, evenly spread from its first to its last byte.

    A copy or a touched file has the same one, another training has another. A file of up to 4 MiB is covered whole;
    of a larger one a change of a few bytes may be missed. Raises OSError if the file cannot be read.
    """
    facts = path.stat()
    return _fingerprint(path, facts.st_size, facts.st_mtime_ns)


def folder_content(folder: Path) -> dict[str, int | str]:
    """Return number and bytes of all files below a folder, and one SHA-256 of their paths and bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files), "sha256": digest.hexdigest()}


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the errors of a disk that takes no more into a StoreError that names ``target`` and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        what, remedy = REMEDIES[error.errno]
        raise StoreError(
            f"{what} while writing {target}{_at(error, target)}; {remedy} and run again: what is finished is kept and "
            "the run goes on from there"
        ) from error


def explain(error: OSError) -> str:
    """Return one line that says what an error of the operating system means and, where it is known, what helps."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{error.filename} is, or is below, a file where a folder has to be; remove it and run again"
    where = f" at {error.filename}" if error.filename is not None else ""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"there is no file {error.filename}; correct the name, or put it there, and run again"
    what, remedy = REMEDIES.get(error.errno or 0, (error.strerror or str(error), ""))
    if (what, remedy) == _PERMISSION:
        remedy = "permit reading and writing"
    return f"{what}{where}" + (f"; {remedy} and run again" if remedy else "")


def check_writable(folders: Iterable[Path]) -> None:
    """Write and delete a small file in each folder, or in the nearest one above that is there.

    Raises StoreError that names the folder and the remedy if one takes no file, or is none.
    """
    there = set()
    for folder in folders:
        while not os.path.lexists(folder):
            folder = folder.parent
        there.add(folder)
    for folder in sorted(there):
        if not folder.is_dir():
            raise StoreError(f"{folder} is no folder, and files have to be written below it; remove it and run again")
        probe = folder / f".{os.getpid()}.patchprobe-probe"
        with disk_errors(folder):
            try:
                probe.write_bytes(bytes(_BLOCK))
            finally:
                # The error of the writing is the one to tell.
                with contextlib.suppress(OSError):
                    probe.unlink(missing_ok=True)


def is_below(path: Path, root: Path) -> bool:
    """Tell whether ``path`` is ``root`` or lies below it, by text alone: links may lead elsewhere."""
    return Path(os.path.normpath(Path.cwd() / path)).is_relative_to(os.path.normpath(Path.cwd() / root))


def folder_below(key: str, given: str, root: Path) -> Path:
    """Return the folder ``given`` relative to ``root``, whether it is there or not.

    Raises ConfigError naming ``key`` if the path leads out of ``root``, also if it is absolute.
    """
    path = root / given
    if not is_below(path, root):
        raise ConfigError(
            f"{key}: {given} lies outside {root}; put the folder there, or link it, and name it from there"
        )
    return path


def _at(error: OSError, target: Path) -> str:
    return f" (at {error.filename})" if error.filename not in (None, str(target)) else ""


@contextlib.contextmanager
def locked(path: Path, *, waiting: str = "") -> Iterator[bool]:
    """Hold the lock of ``path``, which is created if need be, until the block ends or the process does.

    Where another process holds it, says ``waiting`` on stderr and waits; yields whether it had to. Raises StoreError as
    :func:`try_lock`.
    """
    descriptor = try_lock(path)
    waited = descriptor is None
    if descriptor is None:
        if waiting:
            print(waiting, file=sys.stderr, flush=True)
        descriptor = _lock(path, wait=True)
    assert descriptor is not None
    try:
        yield waited
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take the lock of ``path`` and return the descriptor that holds it, or None if another process has it.

    Links are not followed; raises StoreError if ``path`` is anything but a regular file. Who deletes a lock file has to
    hold its lock: a lock on a file that has lost its name meanwhile is not taken for one.
    """
    return _lock(path, wait=False)


def _lock(path: Path, *, wait: bool) -> int | None:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise StoreError(f"{path} is no plain file, as a lock has to be; remove it and run again") from None
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path} is no plain file, as a lock has to be; remove it and run again")
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_file(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@functools.cache
def _fingerprint(path: Path, size: int, _modified: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _SAMPLES * _SAMPLE:
            digest.update(file.read())
        else:
            for sample in range(_SAMPLES):
                file.seek((size - _SAMPLE) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:16]


def constant(module: Path, name: str) -> Any:
    """Return what a module's text gives a name at its top level, written out, or None; the module is not imported.

    Importing one that computes takes a second; the workflow asks for such facts whenever it is parsed. Raises ValueError
    if the value is not written out.
    """
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and name in [t.id for t in node.targets if isinstance(t, ast.Name)]:
            return ast.literal_eval(node.value)
    return None
