"""Reading images and label maps from files, with errors that name the file."""

import functools
import logging
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from patchprobe.datasets.dataset import Record
from patchprobe.errors import ConfigError, DataError, printable
from patchprobe.files import file_sha256

_log = logging.getLogger(__name__)

_CONVERTIBLE = {
    "L": "grey",
    "LA": "grey with alpha",
    "RGBA": "RGB with alpha",
    "P": "palette",
    "PA": "palette",
}
# Tried by content, whatever the suffix. Left to itself, Pillow hands PostScript to Ghostscript, which is a language.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
# What Pillow's decoders raise on broken files.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class FileDataset:
    """Base of the adapters whose images and label maps are files below one folder."""

    needs_root = True

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        if options:
            raise ConfigError(f"options.{min(options)}: this adapter has no options; remove it")
        self.root = root

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 (height, width, 3), RGB."""
        return read_rgb(self.root / record.image)

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width)."""
        return read_ids(self.root / record.label)

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the image file and of the label file."""
        return file_sha256(self.root / record.image), file_sha256(self.root / record.label)


def open_picture(path: Path) -> Image.Image:
    """Open a picture of one of ``FORMATS``; every file is opened by this. Raises one of ``DECODE_ERRORS``."""
    return Image.open(path, formats=FORMATS)


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Decode an image file completely: uint8 (height, width, 3), RGB.

    Grey, palette and alpha images are converted, alpha dropped, with one logged notice per file. Raises
    DataError if the file is missing, broken or has another pixel format, such as 16 bits.
    """
    mode, array = _decode(path, rgb=True)
    if mode in _CONVERTIBLE:
        _notice_conversion(path, mode)
    elif mode != "RGB":
        raise DataError(f"image {path} has pixel format {mode!r}; convert it to 8-bit RGB")
    return array


def read_ids(path: Path) -> npt.NDArray[np.uint8]:
    """Decode a label map completely: the stored 8-bit values or palette indices, uint8 (height, width).

    Raises DataError if the file is missing, broken or has more than one 8-bit channel.
    """
    mode, array = _decode(path, rgb=False)
    if mode not in ("L", "P"):
        raise DataError(f"label map {path} has pixel format {mode!r}; it must hold one 8-bit class id per pixel")
    return array


def _decode(path: Path, rgb: bool) -> tuple[str, npt.NDArray[np.uint8]]:
    try:
        with open_picture(path) as image:
            image.load()
            mode = image.mode
            return mode, np.array(image.convert("RGB") if rgb and mode in _CONVERTIBLE else image)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except DECODE_ERRORS as error:
        raise DataError(f"{path} cannot be decoded ({error}); copy it again from the original data set") from error


@functools.cache
def _notice_conversion(path: Path, mode: str) -> None:
    _log.warning("%s is a %s image (mode %s); converted to RGB", printable(str(path)), _CONVERTIBLE[mode], mode)
