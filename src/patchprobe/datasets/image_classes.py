"""Data sets whose images have one class each and nothing for their parts: scenes, land use, things in the middle."""

import colorsys
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.listing import check_name, is_left_behind
from patchprobe.datasets.pictures import picture_size
from patchprobe.errors import DataError, several, suggestion
from patchprobe.files import file_sha256

VOID = 255
MOST = 255
"""Classes at most: ids fit in a byte, and one of them is void."""
WHOLE = "all"
"""The split of a data set that has none of its own."""


class ImageClassDataset(FileDataset, ABC):
    """Base of the adapters of images with a class each: they find the files, all else is here.

    The group of a record is the name of its class, so that ``per_group`` and ``per_class`` draw alike, and its ``label`` is
    the image itself: the label map is as large as the image, and the id of its class everywhere.
    """

    @abstractmethod
    def records(self, split: str) -> list[Record]:
        """Return the records of a split, sorted by ``image_id``; raises DataError where files are missing."""

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width), one id everywhere; of the file its size alone is read."""
        names = dict(zip(self.classes.names, self.classes.ids, strict=True))
        return np.full(picture_size(self.root / record.label), names[record.group], np.uint8)

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the image twice, since it is its own label."""
        found = file_sha256(self.root / record.image)
        return found, found


class NamedImageClasses(ImageClassDataset, ABC):
    """Base of the adapters of a published data set: folders with the official names of its classes, all images in one split.

    Some of the classes are enough; ids are the places in ``official``, so that a class has the same id in every part.
    """

    official: tuple[str, ...]
    folder: str
    """The folder of class folders, below the root; empty if it is the root."""
    pattern: str
    """What follows the name of the class in the name of an image, with its suffix, as a regular expression."""
    named: str
    """The name of an image, for messages."""

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, options)
        self._place = root / self.folder
        self._names = self._classes_there()
        ids = tuple(self.official.index(name) for name in self._names)
        colors = hues(len(self.official))
        self.classes = Classes(ids, self._names, VOID, tuple(colors[i] for i in ids))

    def records(self, split: str) -> list[Record]:
        """Return the images of all classes that are there, sorted by name.

        Raises DataError for another split than ``all``, a class folder without images and names that do not fit.
        """
        if split != WHOLE:
            raise DataError(f"{self.root}: there is no split {split!r}: take {WHOLE!r}, since the data set has none")
        records, wrong = [], []
        for name in self._names:
            folder = self._place / name
            files = visible(folder)
            fitting = [path for path in files if path.is_file() and re.fullmatch(name + self.pattern, path.name)]
            wrong += sorted(set(files) - set(fitting))
            if not fitting:
                raise DataError(
                    f"{folder} holds no image called {self.named}: complete the class, or remove its folder"
                )
            records += [
                Record(f"{name}/{path.stem}", name, path.relative_to(self.root), path.relative_to(self.root))
                for path in fitting
            ]
        if wrong:
            texts = [f"{path} should be called {self.named}" for path in wrong]
            raise DataError(f"{several(texts, 'files do not fit')}; give each its original name or remove it")
        return sorted(records, key=lambda record: record.image_id)

    def _classes_there(self) -> tuple[str, ...]:
        """Return the official classes that there are folders of, in their order."""
        if not self._place.is_dir():
            raise DataError(
                f"{self._place} does not exist: put the class folders there, or correct the root of the data set"
            )
        folders = {path.name for path in visible(self._place) if path.is_dir()}
        if unknown := sorted(folders - set(self.official)):
            hint = suggestion(unknown[0], self.official, f"known are {self.official[0]}, {self.official[1]} and so on")
            raise DataError(
                f"{self._place / unknown[0]} is none of the {len(self.official)} classes; {hint}: give it its original name, or "
                "remove it"
            )
        found = tuple(name for name in self.official if name in folders)
        refuse_too_few(self._place, found)
        return found


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted, without what systems leave behind; raises DataError for names that are no text."""
    try:
        return [check_name(path) for path in sorted(folder.iterdir()) if not is_left_behind(path.name)]
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}): permit reading") from None


def refuse_too_few(folder: Path, names: Collection[str]) -> None:
    """Raise DataError unless there are two classes to tell apart."""
    if len(names) < 2:
        found = f"one class folder, {next(iter(names))}" if names else "no class folder"
        raise DataError(
            f"{folder} has {found}: put a folder of images for each of at least two classes there, or correct the root of the "
            "data set"
        )


def hues(count: int) -> list[tuple[int, int, int]]:
    """Return so many colours, spread over the hues and three lightnesses; they are ours."""
    shades: Sequence[float] = (0.9, 0.7, 0.5)
    found = []
    for place in range(count):
        red, green, blue = colorsys.hsv_to_rgb(place / count, 0.55 + 0.15 * (place % 2), shades[place % 3])
        found.append((round(255 * red), round(255 * green), round(255 * blue)))
    return found
