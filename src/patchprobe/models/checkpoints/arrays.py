"""Archives of NumPy arrays (``numpy.savez``) as weights, read part by part without pickle and without trust in what they claim."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from patchprobe.errors import ModelError, shown

_SUFFIX = ".npy"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_NUMBERS = "fiub"  # kinds of NumPy's types


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

    Memory is taken for as many bytes as a part has, once that is what its header describes. Raises ModelError naming the
    config ``key``, the file and the array if it holds anything but numbers, and zipfile.BadZipFile, ValueError or OSError
    for what is damaged.
    """
    tensors: dict[str, torch.Tensor] = {}
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            name = part.filename.removesuffix(_SUFFIX)
            if name in tensors:
                raise zipfile.BadZipFile("two parts of one name")
            tensors[name] = _read_array(archive, part, f"{key}: {path} holds in {shown(name, 80)}")
    return tensors


def _read_array(archive: zipfile.ZipFile, part: zipfile.ZipInfo, what: str) -> torch.Tensor:
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
        size = math.prod(shape) * kind.itemsize
        if min(shape, default=0) < 0 or file.tell() + size != part.file_size:
            raise zipfile.BadZipFile("a header describes another array than there is")
        content = bytearray(size)
        # The second call comes to the end, where the sum of the part is compared.
        if file.readinto(content) != size or file.read(1):
            raise zipfile.BadZipFile("a part has another length than listed")
    values = np.frombuffer(content, kind).reshape(shape, order="F" if by_columns else "C")
    return torch.from_numpy(np.require(values, kind.newbyteorder("="), ["C", "W"]))
