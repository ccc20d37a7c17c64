"""Data sets whose images have boxes around objects, a file of them for each image."""

import colorsys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.boxes import Boxes, rasterise
from patchprobe.datasets.dataset import Classes, Record, Window
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.rasters import raster_size, read_window
from patchprobe.files import file_sha256

BACKGROUND, VOID = 0, 255


class BoxDataset(FileDataset, ABC):
    """Base of the adapters of images with boxes: they read a file of boxes, all else is here.

    The label map of an image is what its boxes cover, id 0 where there is none. Images and label maps are read by the
    window of their record, so that the largest image costs no more memory than its window.
    """

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, options)
        # Windows of one image share its files.
        self._sha256 = lru_cache(maxsize=4096)(file_sha256)
        self._boxes = lru_cache(maxsize=8)(self.read_boxes)

    @abstractmethod
    def records(self, split: str) -> list[Record]:
        """Return the records of a split, sorted by ``image_id``; raises DataError where files are missing."""

    @abstractmethod
    def read_boxes(self, record: Record) -> Boxes:
        """Return the boxes of the whole image of a record; raises DataError naming file and object."""

    def image_size(self, record: Record) -> tuple[int, int]:
        """Return rows and columns of the whole image of a record."""
        return raster_size(self.root / record.image)

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the window of the image, uint8 (height, width, 3), RGB."""
        return read_window(self.root / record.image, record.window, notice=self.notice)

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map of the window, uint8 (height, width)."""
        window = record.window or Window(0, 0, *self.image_size(record))
        return rasterise(self._boxes(replace(record, image_id="", window=None)), window, BACKGROUND)

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the image file and of the file of boxes."""
        return self._sha256(self.root / record.image), self._sha256(self.root / record.label)


def box_classes(categories: Mapping[str, Sequence[str]]) -> Classes:
    """Return the classes of a data set by its supercategories: ids from 1 on in their order, 0 for the background.

    Colours are spread over the hues by supercategory and by lightness within one; they are ours.
    """
    names, above, colors = ["background"], ["background"], [(40, 40, 40)]
    for number, (supercategory, members) in enumerate(categories.items()):
        for place, name in enumerate(members):
            names.append(name)
            above.append(supercategory)
            colors.append(_color(number / len(categories), 0.45 + 0.5 * (place + 1) / len(members), len(colors)))
    return Classes(
        ids=tuple(range(len(names))),
        names=tuple(names),
        void=VOID,
        colors=tuple(colors),
        supercategories=tuple(above),
        background=BACKGROUND,
    )


def _color(hue: float, value: float, number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + 0.4 * (number % 3) / 2, value)
    return round(255 * red), round(255 * green), round(255 * blue)
