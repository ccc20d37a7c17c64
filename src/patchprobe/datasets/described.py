"""Data sets that an entry of the configuration describes: their classes, their splits, and what turned images mean."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Record
from patchprobe.datasets.image_classes import WHOLE
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.own_splits import read_splits, shared_out
from patchprobe.datasets.pictures import Source, picture_size, read_rgb, turned
from patchprobe.datasets.raw_ids import Labelling
from patchprobe.errors import ConfigError, DataError, suggestion

_ORIENTATIONS = (None, "stored", "shown")
_OPTIONS = ("classes", "void", "orientation", "splits", "seed")


class DescribedDataset(FileDataset, ABC):
    """Base of the adapters without a layout of their own: they find images and label maps, all else is here.

    Options of all: ``classes`` and ``void`` (:class:`patchprobe.datasets.raw_ids.Labelling`); ``splits`` and ``seed``
    (:mod:`patchprobe.datasets.own_splits`); ``orientation``, whether images that EXIF turns are read as ``stored`` or as ``shown``,
    or null for what their label map fits.
    """

    own_options: Collection[str] = ()
    """The names of the options that an adapter has beside those of all."""

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, {})
        known = (*self.own_options, *_OPTIONS)
        if unknown := sorted(set(options) - set(known)):
            hint = suggestion(unknown[0], known, f"take one of {', '.join(known)}")
            raise ConfigError(f"options.{unknown[0]} is unknown: {hint}, or remove it")
        self._labelling = Labelling(options)
        self.classes = self._labelling.classes
        self._orientation = options.get("orientation")
        if self._orientation not in _ORIENTATIONS:
            raise ConfigError(f"options.orientation is {self._orientation!r}: set it to stored, shown or null")
        self._lists, self._shares = read_splits(options.get("splits"), root)
        self._seed = options.get("seed", 0)
        if type(self._seed) is not int or self._seed < 0:
            raise ConfigError(f"options.seed is {self._seed!r}: set it to a whole number from 0 on")

    @abstractmethod
    def picture(self, path: Path) -> Source:
        """Return where the picture is that a record calls ``path``."""

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 (height, width, 3), RGB.

        Raises DataError as :func:`patchprobe.datasets.pictures.read_rgb`, and for an image that EXIF turns and whose label map
        fits it both as it is stored and as it is shown.
        """

        def follows(orientation: int, stored: tuple[int, int]) -> bool:
            if self._orientation is not None:
                return bool(self._orientation == "shown")
            label = picture_size(self.picture(record.label))
            shown = stored[::-1] if orientation > 4 else stored
            if label == stored == shown:
                raise DataError(
                    f"image {self.picture(record.image)} {turned(orientation)}, and its label map {self.picture(record.label)} fits it "
                    "both ways: save the image as its label map was drawn, without an orientation, or set options.orientation of "
                    "the data set to stored or shown"
                )
            return label == shown

        return read_rgb(self.picture(record.image), notice=self.notice, follows=follows)

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width), ids of ``classes`` and void."""
        return self._labelling.read(self.picture(record.label), self.notice)

    def _shared_out(self, records: list[Record], split: str) -> list[Record]:
        """Return the part of all records that a split has by its share, all for ``all`` where there are no shares."""
        if self._shares:
            return shared_out(records, self._shares, self._seed).get(split, [])
        return records if split == WHOLE else []
