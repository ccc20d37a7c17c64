"""Opening pictures and reading them, with errors that name the file."""

import contextlib
import functools
import io
import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from patchprobe.errors import DataError, printable

Notice = Callable[[str, str], None]
"""Takes the kind and the text of something that has to be said once."""

_log = logging.getLogger(__name__)

_CONVERTIBLE = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "RGBA": "RGB with alpha",
    "P": "palette",
    "PA": "palette",
}
# Tried by content, whatever the suffix. Left to itself, Pillow hands PostScript to Ghostscript, which is a language.
FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""The suffixes of files in which pictures are looked for, in small letters."""
# What Pillow's decoders raise on broken files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, TypeError)
# Tags of TIFF 6.0: BitsPerSample, PhotometricInterpretation and SampleFormat.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339


@dataclass(frozen=True)
class Content:
    """A picture that lies in a larger file: its bytes, and what it is called in messages."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


Source = Path | Content
"""Where a picture is: a file, or bytes out of a larger one."""


@dataclass(frozen=True)
class Header:
    """What a file says of its pixels and Pillow's mode does not: bits per channel, number of pictures, direction of grey,
    and the orientation of EXIF (1 as stored, 2 to 8 turned or mirrored when shown)."""

    bits: int
    frames: int
    white_is_zero: bool
    signed: bool
    orientation: int


def header_of(image: Image.Image, source: Source) -> Header:
    """Return the header of a picture that was opened from ``source``."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, 8)
    if image.format == "PNG":
        bits = _png_bits(source)
    elif image.mode == "1":
        bits = 1
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return Header(
        bits=max(bits) if isinstance(bits, tuple) else int(bits),
        frames=int(getattr(image, "n_frames", 1)),
        white_is_zero=tags.get(_PHOTOMETRIC) == 0,
        signed=set(np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)).tolist()) != {1},
        orientation=orientation if orientation in range(2, 9) else 1,
    )


def _png_bits(source: Source) -> int:
    """Return the bit depth of a PNG file: the ninth byte of its first chunk, IHDR."""
    if isinstance(source, Content):
        return source.content[24]
    with source.open("rb") as file:
        return file.read(25)[24]


def open_picture(source: Source) -> Image.Image:
    """Open a picture of one of ``FORMATS``; every file is opened by this. Raises one of ``DECODE_ERRORS``."""
    return Image.open(io.BytesIO(source.content) if isinstance(source, Content) else source, formats=FORMATS)


@contextlib.contextmanager
def decoded(path: Source) -> Iterator[Image.Image]:
    """Open a picture, decode it completely, and have it closed; raises DataError if it is missing or cannot be read."""
    try:
        with open_picture(path) as image:
            if image.format == "TIFF" and (orientation := header_of(image, path).orientation) != 1:
                # Pillow turns these when it decodes them, and no others.
                raise DataError(f"{path} {turned(orientation)}: save it turned, without an orientation")
            image.load()
            yield image
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(
            f"{path} has more than the {limit:,} pixels that are read of a picture: cut it into parts, its label map too, or "
            "scale both down (label maps by nearest pixels)"
        ) from None
    except DECODE_ERRORS as error:
        raise DataError(f"{path} cannot be decoded ({error}); copy it again from the original data set") from error


def read_rgb(
    path: Source, *, notice: Notice | None = None, follows: Callable[[int, tuple[int, int]], bool] | None = None
) -> npt.NDArray[np.uint8]:
    """Decode an image file completely: uint8 (height, width, 3), RGB, as it is stored.

    Grey, palette and alpha images are converted, alpha dropped. An orientation in EXIF is not followed, since label maps
    are drawn on one or the other, unless ``follows`` says so of the orientation and the rows and columns as stored. ``notice`` hears the kind and text of both, by default they are logged. Raises DataError
    if the file is missing, broken, animated or has another pixel format, such as 16 bits per channel.
    """
    with decoded(path) as image:
        header, mode = header_of(image, path), image.mode
        if header.bits > 8 or mode not in (*_CONVERTIBLE, "RGB"):
            found = f"{header.bits} bits per channel" if header.bits > 8 else f"pixel format {mode!r}"
            raise DataError(f"image {path} has {found}; convert it to 8-bit RGB, from black to white over 0 to 255")
        if header.frames > 1:
            raise DataError(f"image {path} holds {header.frames} pictures: save the right one by itself")
        if mode == "P" and np.array(image).max(initial=0) >= len(image.getpalette() or ()) // 3:
            raise DataError(f"image {path} names colours beyond its palette: copy it again from the original data set")
        array = np.array(image.convert("RGB") if mode in _CONVERTIBLE else image)
    if mode in _CONVERTIBLE:
        (notice or _notice)(f"mode {mode}", f"{path} is a {_CONVERTIBLE[mode]} image (mode {mode}); converted to RGB")
    if header.orientation != 1:
        follow = follows is not None and follows(header.orientation, (array.shape[0], array.shape[1]))
        said = "is read so" if follow else "is read as it is stored"
        (notice or _notice)(f"orientation, {said}", f"{path} {turned(header.orientation)}, and {said}")
        return np.ascontiguousarray(_TURNS[header.orientation](array)) if follow else array
    return array


# What viewers do with the pixels of each orientation (EXIF 2.32, tag 0x0112).
_TURNS: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def picture_size(path: Source) -> tuple[int, int]:
    """Return rows and columns of a picture as it is stored, by its header alone; raises DataError if it is missing or no picture."""
    with _opened(path) as image:
        return image.height, image.width


def turned(orientation: int) -> str:
    """Say what an orientation of EXIF means."""
    return f"is shown turned or mirrored by viewers (EXIF orientation {orientation})"


def orientation_of(path: Source) -> int:
    """Return the orientation in EXIF, 1 for a picture that is shown as it is stored; raises DataError as :func:`picture_size`."""
    with _opened(path) as image:
        return header_of(image, path).orientation


@contextlib.contextmanager
def _opened(path: Source) -> Iterator[Image.Image]:
    """Open a picture for what its header says."""
    try:
        with open_picture(path) as image:
            yield image
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read as a picture ({error}); copy it again from the original data set"
        ) from error


@functools.cache
def _notice(kind: str, text: str) -> None:
    _log.warning("%s", printable(text))
