"""Windows of images that can be too large to be held whole, as aerial ones are: GeoTIFF and PNG, read by GDAL.

GDAL opens whatever a file says it is, among it lists of other files and addresses; so the format is taken from the first
bytes, and no file beside it is looked at.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from patchprobe.datasets.dataset import Window
from patchprobe.datasets.pictures import Notice
from patchprobe.errors import DataError

_DRIVERS = {b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff", b"\x89PNG": "PNG"}
# Reading a PNG as a whole makes pixels up where the file is cut short. The size of the cache is in bytes.
_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_CACHEMAX": 64 << 20,
}
_MOST_PIXELS = 178_956_970  # of a part that is held at once, as of other pictures
# Of an image of more than 8 bits, the shares of its values that become black and white, as usual in maps.
_STRETCH = (2.0, 98.0)
_SAMPLE = 1024  # rows and columns at most that decide on it
_STRUCTURE = "IMAGE_STRUCTURE"
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# Where an image lies on the ground is of no concern here.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def raster_size(path: Path) -> tuple[int, int]:
    """Return rows and columns of an image; raises DataError if it is missing or cannot be read."""
    with _opened(path) as raster:
        return int(raster.height), int(raster.width)


def read_window(path: Path, window: Window | None, *, notice: Notice) -> npt.NDArray[np.uint8]:
    """Read a part of an image, or all of it: uint8 (height, width, 3), RGB.

    Grey becomes RGB, a channel beside red, green and blue is dropped; values of 16 bits are spread over black to white between
    the percentiles 2 and 98 of the whole image, the same for all channels and windows. ``notice`` hears the kind and text
    of each. Raises DataError for a file that is missing, broken, too large or of other channels or values, and a window beyond
    it.
    """
    with _opened(path) as raster:
        bands = _bands(path, raster, notice)
        whole = Window(0, 0, raster.height, raster.width)
        top, left, height, width = window or whole
        if top < 0 or left < 0 or top + height > raster.height or left + width > raster.width:
            raise DataError(
                f"image {path} is {raster.width} x {raster.height} pixels and has no part of {width} x {height} at "
                f"({left}, {top}): it was replaced by a smaller one; delete the data set's images.csv and run again"
            )
        if max(height * width, *(rows * columns for rows, columns in raster.block_shapes)) > _MOST_PIXELS:
            raise DataError(
                f"image {path} of {raster.width} x {raster.height} pixels has more than the {_MOST_PIXELS:,} that are read at "
                "once: cut it into parts, its boxes too, or draw tiles of it and save it tiled"
            )
        pixels = raster.read(bands, window=RasterWindow(left, top, width, height))
        if raster.dtypes[0] != "uint8":
            pixels = _stretched(path, bands, pixels, notice)
    return np.ascontiguousarray(np.broadcast_to(pixels, (3, height, width)).transpose(1, 2, 0))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            driver = _DRIVERS.get(file.read(4))
        if driver is None:
            raise DataError(f"{path} is neither TIFF nor PNG: copy it again from the original data set")
        with rasterio.Env(**_OPTIONS), rasterio.open(path, driver=driver) as raster:
            yield raster
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except (OSError, RasterioError) as error:
        reason = error.__cause__ or error
        raise DataError(f"{path} cannot be decoded ({reason}); copy it again from the original data set") from error


def _bands(path: Path, raster: Any, notice: Notice) -> list[int]:
    """Return the numbers of the channels to read, one or three."""
    kind, found = raster.dtypes[0], raster.colorinterp
    if kind not in ("uint8", "uint16") or set(raster.dtypes) != {kind}:
        raise DataError(f"image {path} has values of type {kind}; convert it to 8-bit RGB, from black to white")
    if ColorInterp.palette in found:
        raise DataError(f"image {path} has a palette; convert it to 8-bit RGB")
    bits, kinds = int(raster.tags(1, ns=_STRUCTURE).get("NBITS", 8)), raster.tags(ns=_STRUCTURE)
    if bits < 8 or kinds.get("MINISWHITE") == "YES":
        what = "less than 8 bits per channel" if bits < 8 else "0 for white"
        raise DataError(f"image {path} has {what}; convert it to 8-bit RGB, from black to white over 0 to 255")
    if raster.subdatasets:
        raise DataError(f"image {path} holds {len(raster.subdatasets)} pictures: save the right one by itself")
    if raster.count in (1, 2):
        notice("grey", f"{path} is a grey image{' with alpha' if raster.count == 2 else ''}; converted to RGB")
        return [1]
    if raster.count not in (3, 4):
        raise DataError(f"image {path} has {raster.count} channels; save the red, green and blue ones as 8-bit RGB")
    bands = [found.index(color) + 1 for color in _RGB] if set(_RGB) <= set(found) else [1, 2, 3]
    if raster.count == 4:
        notice("four channels", f"{path} has four channels; {bands} are read as red, green and blue")
    return bands


def _stretched(path: Path, bands: list[int], pixels: Any, notice: Notice) -> npt.NDArray[np.uint8]:
    low, high = _black_and_white(path, path.stat().st_mtime_ns, *bands)
    notice(
        "16 bits",
        f"{path} has 16 bits per channel; {low:g} and below become black, {high:g} and above white, as 2 and 98 % of its values",
    )
    values = (np.arange(65536) - low) * (255 / max(high - low, 1))
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    stretched = np.empty(pixels.shape, np.uint8)
    for row in range(pixels.shape[1]):  # since numpy makes 8 bytes of each index
        stretched[:, row] = table[pixels[:, row]]
    return stretched


@lru_cache(maxsize=4096)  # the whole image is read for it, and has many windows
def _black_and_white(path: Path, changed: int, *bands: int) -> tuple[float, float]:
    """Return which values of an image become black and white; ``changed`` is the time of its file."""
    with _opened(path) as raster:
        step = max(1, -(-max(raster.shape) // _SAMPLE))
        sample = raster.read(bands, out_shape=(len(bands), -(-raster.height // step), -(-raster.width // step)))
    low, high = np.percentile(sample, _STRETCH)
    return float(low), float(high)
