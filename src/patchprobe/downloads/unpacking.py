"""Archives made into folders, by the standard library: nothing leaves the folder, no links, no more than the disk takes.

zip, and tar plain or packed with gzip, bzip2 or xz. ``zipfile`` and ``tarfile`` read the formats; what they make of names
that lead outside differs with Python's version, so that names are looked at here, and files are written here.
"""

import contextlib
import errno
import filecmp
import lzma
import os
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from patchprobe.downloads.contents import BEGINNING, no_archive
from patchprobe.errors import DownloadError, shown
from patchprobe.progress import Progress

# An archive of pictures is hardly smaller than they are; text and label maps may be packed twenty times.
_PACKED_AT_MOST, _UNPACKED_FREE = 100, 1 << 30
_MOST_MEMBERS = 5_000_000
_CHUNK = 1 << 20
# What the file system says to names that no files can have, or not together.
_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EILSEQ)


class ArchiveError(DownloadError):
    """An archive is bad and stays so. The text says what is wrong with it; what to do, who knows where it came from adds."""


def unpack(archive: Path, folder: Path, inside: str = "") -> None:
    """Unpack into ``folder``, which need not be there, what lies in the folder ``inside`` of an archive; "" is all of it.

    What lies elsewhere in the archive is not written. Times of files are those of the archive where it is a tar. Raises
    ArchiveError naming the archive if it is damaged, holds a path that leads out of it, a name that no file can have, a
    link, a device or an encrypted file, lists one file twice, has nothing in ``inside``, or claims a size that no such archive
    has; DownloadError if it does not fit on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _readable_errors(archive):
        if zipfile.is_zipfile(archive):
            count = _unpack_zip(archive, folder, inside)
        else:
            count = _unpack_tar(archive, folder, inside)
    if not count:
        raise ArchiveError(f"{archive} has no files in {inside or 'it'}")


def unpacked_size(archive: Path) -> int:
    """Return how many bytes an archive becomes: those that its table says or, without one, its own size at least.

    Raises ArchiveError if it is damaged.
    """
    with _readable_errors(archive):
        if not zipfile.is_zipfile(archive):
            return archive.stat().st_size
        with zipfile.ZipFile(archive) as opened:
            return sum(info.file_size for info in opened.infolist())


def need_space(folder: Path, size: int, what: str) -> None:
    """Raise DownloadError if ``size`` bytes of ``what`` do not fit on the disk of ``folder`` or the nearest one above it."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DownloadError(
            f"{what} needs {_readable(size)} in {folder.resolve()}, where {_readable(free)} are free: free some space and run "
            "again, or set data_root to a folder on another disk"
        )


def _unpack_zip(archive: Path, folder: Path, inside: str) -> int:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _refuse_absurd(archive, len(members), sum(info.file_size for info in members))
        wanted: dict[PurePosixPath, zipfile.ZipInfo] = {}
        for info in members:
            # As it is in the archive: zipfile cuts at a zero byte and turns backslashes on Windows.
            place = _place(archive, info.orig_filename, inside)
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode) or (stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)):
                raise _refused(archive, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "encrypted")
            if place is None or info.is_dir():
                continue
            if place in wanted:
                raise _refused(archive, info.filename, "listed twice")
            wanted[place] = info
        total = sum(info.file_size for info in wanted.values())
        need_space(folder, total, str(archive))
        with _progress(archive, total) as progress:
            for place, info in wanted.items():
                with opened.open(info) as source:
                    _write(folder / place, source, progress.update)
    return len(wanted)


def _unpack_tar(archive: Path, folder: Path, inside: str) -> int:
    seen: set[PurePosixPath] = set()
    total, limit = 0, _limit(archive)
    # As a stream where it is packed: a table would cost unpacking it twice.
    with tarfile.open(archive) as opened, _progress(archive, None) as progress:
        for member in opened:
            place = _place(archive, member.name, inside)
            if not (member.isreg() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
            total += member.size
            if total > limit or len(seen) > _MOST_MEMBERS:
                _refuse_absurd(archive, len(seen), total)
            if place is None or member.isdir():
                continue
            if place in seen:
                raise _refused(archive, member.name, "listed twice")
            seen.add(place)
            need_space(folder, member.size, str(archive))
            source = opened.extractfile(member)
            assert source is not None
            with source:
                _write(folder / place, source, progress.update)
            os.utime(folder / place, (member.mtime, member.mtime))
        # To the end of what was packed, where its own check sum is.
        while opened.fileobj is not None and opened.fileobj.read(_CHUNK):
            pass
    return len(seen)


def _place(archive: Path, name: str, inside: str) -> PurePosixPath | None:
    """Return where a member belongs, relative to ``inside``, or None if it lies elsewhere; refuses what leads outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set("\\\0") & set(name) or (len(name) > 1 and name[1] == ":"):
        raise _refused(archive, name, "a path that leads out of the archive")
    if inside and not path.is_relative_to(inside):
        return None
    return path.relative_to(inside) if inside else path


def _write(path: Path, source: IO[bytes], written: Callable[[int], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never through a link or over a file: the folder is new, and each name comes once.
    with path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
            written(len(chunk))


def _limit(archive: Path) -> int:
    return _PACKED_AT_MOST * archive.stat().st_size + _UNPACKED_FREE


def _refuse_absurd(archive: Path, members: int, total: int) -> None:
    if total > _limit(archive) or members > _MOST_MEMBERS:
        raise ArchiveError(
            f"{archive} would become {_readable(total)} in {members} files, far more than an archive of its size holds: it was "
            "made to fill disks, or is damaged"
        )


def _refused(archive: Path, name: str, what: str) -> ArchiveError:
    return ArchiveError(f"{archive} holds {shown(name)}, which is {what}: nothing of it is used")


def _progress(archive: Path, total: int | None) -> Progress:
    return Progress(
        file=sys.stderr, desc=f"unpacking {archive.name}", total=total, unit="B", unit_scale=True, unit_divisor=1000
    )


@contextlib.contextmanager
def _readable_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise _damaged(archive, error) from error
    except UnicodeDecodeError as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno in _NAMES and error.filename is not None:
            name = Path(error.filename).name
            raise _refused(archive, name, f"a name that no file can have there ({error.strerror})") from error
        # Readers of packed files raise it without a number.
        if error.errno is not None:
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> ArchiveError:
    with archive.open("rb") as file:
        beginning = file.read(BEGINNING)
    reason = shown(error)
    if beginning.startswith(b"PK") and not zipfile.is_zipfile(archive):
        reason = "it begins as a zip file and its end, with the list of its files, is missing"
    elif isinstance(error, tarfile.ReadError) and "\n" in str(error):
        # One line for each kind of packing that tarfile tried.
        kind = no_archive(beginning)
        reason = f"it is {kind}" if kind else "nothing in it can be read"
    return ArchiveError(f"{archive} ({archive.stat().st_size} bytes) is truncated, damaged or no archive: {reason}")


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def merge(part: Path, whole: Path, archive: Path) -> None:
    """Move what was unpacked in ``part`` into ``whole``, beside what is there of other archives.

    Raises DownloadError naming ``archive`` and the file if one is there with other content.
    """
    if not os.path.lexists(whole):
        whole.parent.mkdir(parents=True, exist_ok=True)
        part.rename(whole)
    elif part.is_dir() and whole.is_dir():
        for entry in sorted(part.iterdir()):
            merge(entry, whole / entry.name, archive)
    elif not (part.is_file() and whole.is_file() and filecmp.cmp(part, whole, shallow=False)):
        raise DownloadError(f"{archive} has another {whole.name} than the archive before it; unpack both by hand")
