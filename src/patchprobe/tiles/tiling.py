"""Square tiles that cover every image.

An image of height H and width W is cut into ceil(H / size) x ceil(W / size) tiles of size x size pixels,
evenly spread, so that every pixel is covered and tiles overlap as little as possible; nothing is squashed
(unless all images are first resized to one size). Each tile is then resized to the input size of the models.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from patchprobe.errors import ConfigError, DataError

UInt8 = npt.NDArray[np.uint8]

_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Tiling:
    """How images become tiles: ``size`` pixels of the image, resized to ``resize`` pixels.

    Both are a side, or (rows, columns) of tiles that are not square. With ``image_size`` (rows, columns) every image is
    resized to that before it is cut, whatever its shape.
    """

    size: int | tuple[int, int]
    resize: int | tuple[int, int]
    interpolation: str = "bicubic"
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for key, sides in (("size", self.cut), ("resize", self.stored)):
            if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
                raise ConfigError(
                    f"tiling.{key} is {getattr(self, key)!r}; set it to a whole number of pixels from 1 on"
                )
        if self.interpolation not in _INTERPOLATIONS:
            known = " or ".join(_INTERPOLATIONS)
            raise ConfigError(f"tiling.interpolation is {self.interpolation!r}; set it to {known}")
        if self.image_size is not None:
            object.__setattr__(self, "image_size", tuple(self.image_size))  # a list in the configuration
            if len(self.image_size) != 2 or any(map(int.__lt__, self.image_size, self.cut)):
                raise ConfigError(
                    f"tiling.image_size is {list(self.image_size)}; set it to [rows, columns] that hold a tile of "
                    f"tiling.size, {self.size} pixels"
                )

    @property
    def cut(self) -> tuple[int, int]:
        """Rows and columns of a tile in the image as it is cut, px."""
        return _pair(self.size)

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns of a tile as it is stored, px."""
        return _pair(self.resize)

    def whole(self, index: pd.DataFrame) -> "Tiling":
        """Return the tiling of one tile for each image of an images table: the full image at the scale of these tiles.

        The stored size is rounded to whole pixels. Raises DataError if the images differ in size and are not resized to
        one.
        """
        found = {
            self.image_size or size for size in zip(index["height"].tolist(), index["width"].tolist(), strict=True)
        }
        if len(found) != 1:
            raise DataError(
                f"the images have {len(found)} sizes, and full images need one: set tiling.image_size of the data set, "
                "or name other data sets in full_images.datasets"
            )
        (size,) = found
        rows, columns = (
            max(1, round(side * stored / cut)) for side, stored, cut in zip(size, self.stored, self.cut, strict=True)
        )
        return replace(self, size=size, resize=(rows, columns))

    def offsets(self, length: int, axis: int = 0) -> list[int]:
        """Return where the tiles along one side of ``length`` pixels start; raises DataError if none fits.

        ``axis`` is 0 for the height of an image and 1 for its width.
        """
        size = self.cut[axis]
        if length < size:
            raise DataError(
                f"a tile of {size} pixels does not fit in an image side of {length} pixels; "
                "lower tiling.size of the data set"
            )
        steps = -(-length // size) - 1
        # Rounded to the nearest pixel, halves up.
        return [(2 * i * (length - size) + steps) // (2 * steps) if steps else 0 for i in range(steps + 1)]

    def grid(self, height: int, width: int) -> tuple[list[int], list[int]]:
        """Return where the rows and the columns of tiles of an image start, in pixels of the image as it is cut."""
        rows, columns = self.image_size or (height, width)
        return self.offsets(rows, 0), self.offsets(columns, 1)

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return (top, left) of every tile in pixels of the image as it is cut, row by row."""
        tops, lefts = self.grid(height, width)
        return [(top, left) for top in tops for left in lefts]

    def cut_image(self, image: UInt8) -> UInt8:
        """Return the resized tiles of an image: (height, width, 3) to (tiles, *stored, 3), antialiased."""
        tiles = self._cut(self._resized(image, self.image_size or image.shape[:2]))
        return np.stack([self._resized(tile, self.stored) for tile in tiles])

    def cut_label(self, label: UInt8) -> UInt8:
        """Return the resized tiles of a label map: (height, width) to (tiles, *stored).

        Nearest by pixel centres, also to ``image_size``: pixel i takes source pixel floor((i + 0.5) * from / to), in
        whole numbers, so a centre on the border of two source pixels takes the later one. ("nearest-exact" of torch
        and Pillow's nearest are the same but for such borders, where they depend on rounding.)
        """
        if self.image_size is not None:
            rows, columns = map(_nearest, label.shape, self.image_size)
            label = label[rows[:, None], columns]
        rows, columns = map(_nearest, self.cut, self.stored)
        return np.ascontiguousarray(self._cut(label)[:, rows[:, None], columns])

    def _cut(self, image: UInt8) -> UInt8:
        corners = self.corners(*image.shape[:2])
        height, width = self.cut
        return np.stack([image[top : top + height, left : left + width] for top, left in corners])

    def _resized(self, image: UInt8, size: tuple[int, ...]) -> UInt8:
        """Resize (height, width, 3) to ``size`` (rows, columns)."""
        if image.shape[:2] == size:
            return image
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), _INTERPOLATIONS[self.interpolation]))


def tile_table(index: pd.DataFrame, tiling: Tiling) -> pd.DataFrame:
    """Return the tiles of an images table, in its order: tile, image_id, split, row, col, top, left.

    ``tile`` is ``<image_id>#r<row>c<col>``; ``top`` and ``left`` are in pixels of the image as it is cut, that is of
    the resized one with ``image_size``.
    """
    rows = [
        (f"{image_id}#r{row}c{col}", image_id, split, row, col, top, left)
        for image_id, split, height, width in zip(
            index["image_id"], index["split"], index["height"], index["width"], strict=True
        )
        for tops, lefts in [tiling.grid(height, width)]
        for row, top in enumerate(tops)
        for col, left in enumerate(lefts)
    ]
    return pd.DataFrame(rows, columns=["tile", "image_id", "split", "row", "col", "top", "left"])


def _pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return (side[0], side[1]) if isinstance(side, tuple) else (side, side)


def _nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    """Return the source pixel of every target pixel along one side."""
    return (2 * np.arange(target) + 1) * source // (2 * target)
