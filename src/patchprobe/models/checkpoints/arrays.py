"""Archives of NumPy arrays (``numpy.savez``) as weights, read part by part without pickle and without trust in what they claim."""

import math
import mmap
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from patchprobe.errors import ModelError, shown

_SUFFIX = ".npy"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_NUMBERS = "fiub"  # kinds of NumPy's types
_LOCAL = struct.Struct("<26s2H")  # what stands before a part: lengths of its name and of what follows that, last


def is_archive_of_arrays(path: Path) -> bool:
    """Tell whether a file is a zip archive whose parts are all NumPy arrays, by their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a few wrong bytes make it raise nearly any kind
        return False
    return bool(names) and all(name.endswith(_SUFFIX) for name in names)


def read_arrays(path: Path, key: str) -> dict[str, torch.Tensor]:
    """Return the arrays of an archive by their names, as tensors.

    Arrays that are not packed are parts of the file that are mapped into memory, as for files of torch.save, and may lie
    at any address; others take as many bytes as a part has, once that is what its header describes. Raises ModelError
    naming the config ``key``, the file and the array if it holds anything but numbers, and zipfile.BadZipFile, ValueError
    or OSError for what is damaged.
    """
    tensors: dict[str, torch.Tensor] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        for part in archive.infolist():
            name = part.filename.removesuffix(_SUFFIX)
            if name in tensors:
                raise zipfile.BadZipFile("two parts of one name")
            tensors[name] = _read_array(archive, part, mapped, f"{key}: {path} holds in {shown(name, 80)}")
    return tensors


def _read_array(archive: zipfile.ZipFile, part: zipfile.ZipInfo, mapped: memoryview, what: str) -> torch.Tensor:
    with archive.open(part) as opened:
        file: Any = opened  # a buffered reader
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ModelError(f"{what} an array of format {version}, known are 1.0 and 2.0; save it with numpy.savez")
        shape, by_columns, kind = _HEADERS[version](file)
        if kind.kind not in _NUMBERS or kind.shape:
            raise ModelError(
                f"{what} {shown(str(kind), 80)}, which is no number; nothing of the file was run. Save arrays of numbers alone"
            )
        start, size = file.tell(), math.prod(shape) * kind.itemsize
        if min(shape, default=0) < 0 or start + size != part.file_size:
            raise zipfile.BadZipFile("a header describes another array than there is")
        content: memoryview | bytearray
        if part.compress_type == zipfile.ZIP_STORED:
            content = _stored(part, mapped)[start:]
        else:
            content = bytearray(size)
            # The second call comes to the end, where the sum of the part is compared.
            if file.readinto(content) != size or file.read(1):
                raise zipfile.BadZipFile("a part has another length than listed")
    values = np.frombuffer(content, kind).reshape(shape, order="F" if by_columns else "C")
    return torch.from_numpy(np.require(values, kind.newbyteorder("="), ["C", "W"]))


def _stored(part: zipfile.ZipInfo, mapped: memoryview) -> memoryview:
    """Return the bytes of a part that is not packed, with its sum compared."""
    names = part.header_offset + _LOCAL.size
    _, name, extra = _LOCAL.unpack(mapped[part.header_offset : names])
    content = mapped[names + name + extra :][: part.file_size]
    if len(content) != part.file_size or zlib.crc32(content) != part.CRC:
        raise zipfile.BadZipFile("a part has another sum than listed")
    return content
