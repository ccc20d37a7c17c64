"""What a file of weights may cost to read: no more memory than its own size explains.

Before anything is read, an archive has to be as ``torch.save`` writes it: stored, not packed, its parts side by side. A
pickle can still ask for copies of copies, so it is read under a limit; and tensors can claim more values than there are.
"""

import contextlib
import os
import resource
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from patchprobe.errors import shown

_PICKLE = "data.pkl"
# Those of models are below 1 MB; each of their bytes can become hundreds in memory.
_LONGEST_PICKLE = 1 << 24
# For a file of any size, and for each processor's thread and its stack.
_FREE, _PER_THREAD = 1 << 30, 1 << 24
# Values of all tensors together, by the file's size: some models use a tensor under several names.
_SHARED = 4
# Bytes of packed arrays, by those of their file.
_PACKED, _PACKED_FREE = 2, 1 << 24

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


class TooLargeError(Exception):
    """A file would take more memory than its size explains; the text says why."""


def check_archive(path: Path, *, arrays: bool = False) -> None:
    """Look at the list of a zip archive's parts without unpacking any of them.

    Raises TooLargeError if it is not as ``torch.save`` writes it, or for an archive of ``arrays`` as NumPy does, which may
    pack them; zipfile.BadZipFile or OSError if it is no whole archive.
    """
    size = path.stat().st_size
    _refuse_second_list(path, size)
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if arrays:
        _refuse_much_packed(parts, size)
        return
    packed = [
        part for part in parts if part.compress_type != zipfile.ZIP_STORED or part.compress_size != part.file_size
    ]
    if packed:
        worst = max(packed, key=lambda part: part.file_size)
        raise TooLargeError(
            f"holds packed parts, which torch.save does not write: {shown(worst.filename, 80)} of {worst.compress_size} "
            f"bytes would become {worst.file_size}"
        )
    if sum(part.file_size for part in parts) > size:
        raise TooLargeError("lists parts that together are larger than the file")
    longest = max((part.file_size for part in parts if part.filename.endswith(_PICKLE)), default=0)
    if longest > _LONGEST_PICKLE:
        raise TooLargeError(f"holds a pickle of {longest} bytes, at most {_LONGEST_PICKLE} are read")


@contextlib.contextmanager
def limited_memory(path: Path) -> Iterator[None]:
    """Let the block take memory for a file twice over and a little more; raises TooLargeError where it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_in_use() + 2 * path.stat().st_size + _FREE + _PER_THREAD * (os.cpu_count() or 1)
    highest = [bound for bound in (limit, soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(highest), hard))
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # Torch has no kind of its own for it.
        if isinstance(error, MemoryError) or "allocate memory" in str(error) or "bad_alloc" in str(error):
            raise TooLargeError("takes far more memory than its size explains") from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def check_tensors(content: Any, size: int) -> None:
    """Raise TooLargeError if tensors anywhere in what a file of ``size`` bytes held claim far more values than it holds."""
    waiting, seen, claimed = [content], set[int](), 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, torch.Tensor):
            if value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized:
                claimed += value.numel() * value.element_size()
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
    if claimed > _SHARED * size + _FREE:
        raise TooLargeError(f"holds tensors of {claimed} bytes in a file of {size}")


def _refuse_much_packed(parts: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse packed arrays that become far larger than weights do, whose numbers leave little to pack."""
    unpacked = sum(part.file_size for part in parts)
    if sum(part.compress_size for part in parts) > size:
        raise TooLargeError("lists parts that together are larger than the file")
    if unpacked > _PACKED * size + _PACKED_FREE:
        raise TooLargeError(f"holds packed arrays of {size} bytes that would become {unpacked}")


def _refuse_second_list(path: Path, size: int) -> None:
    """Refuse an archive whose list of parts does not end where the last record begins, as it does in every plain one.

    Python's reader takes the list from before that record, torch's from the place that is written in it, so that a file
    with two lists could show each of them another.
    """
    with path.open("rb") as file:
        file.seek(max(size - _END.size - _END64_PLACE.size, 0))
        tail = file.read()
        mark, _, _, _, _, length, start, comment = _END.unpack(tail[-_END.size :].rjust(_END.size, b"\0"))
        if mark != b"PK\5\6" or comment:
            raise zipfile.BadZipFile("no record at the end")
        end = size - _END.size
        if tail.startswith(b"PK\6\7"):
            place = _END64_PLACE.unpack(tail[: _END64_PLACE.size])[2]
            file.seek(place)
            record = file.read(_END64.size).ljust(_END64.size, b"\0")
            mark, _, _, _, _, _, _, _, length, start = _END64.unpack(record)
            if mark != b"PK\6\6":
                raise zipfile.BadZipFile("no record where it should be")
            end = place
    if start + length != end or length > _LONGEST_PICKLE:
        raise zipfile.BadZipFile("the list of parts is not where it should be")


def _data_in_use() -> int:
    """Return the bytes that the limit counts."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
