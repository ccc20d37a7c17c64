"""Any folder of class folders: ``<class>/<image>``, or ``<split>/<class>/<image>`` with the option ``splits``.

The names of the folders are those of the classes, in their order. Images are of the formats that pictures are read in, of
any size and name.
"""

import logging
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.image_classes import (
    MOST,
    VOID,
    WHOLE,
    ImageClassDataset,
    hues,
    refuse_too_few,
    visible,
)
from patchprobe.datasets.pictures import SUFFIXES
from patchprobe.errors import ConfigError, DataError

# As in the configuration, since the name becomes part of file names.
_SPLIT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"

_log = logging.getLogger(__name__)


class ClassFolders(ImageClassDataset):
    """Classes by the names of folders. Option ``splits``: the folders that hold class folders, such as [train, val]."""

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        given = dict(options)
        splits = given.pop("splits", None)
        if given:
            raise ConfigError(f"options.{min(given)} is unknown: the only option is splits, remove it")
        super().__init__(root, {})
        if splits is not None and (
            not isinstance(splits, list)
            or not splits
            or not all(isinstance(name, str) and re.fullmatch(_SPLIT, name) for name in splits)
        ):
            raise ConfigError(f"options.splits is {splits!r}: give a list of names of folders, such as [train, val]")
        self._folders = {WHOLE: root} if splits is None else {name: root / name for name in splits}
        self._of_split = {split: _class_folders(folder) for split, folder in self._folders.items()}
        names = tuple(sorted({name for own in self._of_split.values() for name in own}))
        _check_names(root, names)
        self.classes = Classes(tuple(range(len(names))), names, VOID, tuple(hues(len(names))))
        for folder in self._folders.values():
            if beside := [path for path in visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]:
                self.notice("beside", f"{beside[0]} lies beside the class folders, in none, and is passed over")
        for split, own in self._of_split.items():
            if lacking := sorted(set(names) - set(own)):
                _log.warning("%s has no folder of class %s, which others have", self._folders[split], lacking[0])

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Images of each split: those that are there, since nothing says how many there should be."""
        return {
            split: sum(len(self._images(folder)) for folder in own.values()) for split, own in self._of_split.items()
        }

    def records(self, split: str) -> list[Record]:
        """Return the images of a split, sorted by name; raises DataError for a class folder without images and for names
        that differ in case or suffix alone."""
        records = []
        for name, folder in self._of_split[split].items():
            images = self._images(folder)
            if not images:
                raise DataError(
                    f"{folder} holds no image ({', '.join(sorted(SUFFIXES))}): complete the class, or remove its folder"
                )
            for path in images:
                file = path.relative_to(self.root)
                records.append(Record(f"{split}/{name}/{path.stem}", name, file, file))
        _refuse_same([(record.image_id, str(record.image)) for record in records], f"{self.root}: images")
        return sorted(records, key=lambda record: record.image_id)

    def _images(self, folder: Path) -> list[Path]:
        """Return the images of a class folder; what else lies there is said once."""
        files = visible(folder)
        images = [path for path in files if path.suffix.lower() in SUFFIXES and path.is_file()]
        others = sorted(set(files) - set(images))
        if folders := [path for path in others if path.is_dir()]:
            raise DataError(
                f"{folders[0]} is a folder in that of a class: put the images of {folder.name} into one folder, or, "
                "if the folders above are splits, name these in options.splits of the data set"
            )
        if others:
            self.notice("others", f"{others[0]} is no image by its suffix and is passed over")
        return images


ADAPTER = ClassFolders
ANNOTATIONS = ("image_classes",)


def _class_folders(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(
            f"{folder} does not exist: put the class folders there, or correct options.splits of the data set"
        )
    return {path.name: path for path in visible(folder) if path.is_dir()}


def _check_names(root: Path, names: tuple[str, ...]) -> None:
    refuse_too_few(root, names)
    _refuse_same([(name, name) for name in names], f"{root}: class folders")
    if "void" in names:
        raise DataError(f"{root} has a class folder called void, the name of what has no class: rename the folder")
    if len(names) > MOST:
        raise DataError(
            f"{root} has {len(names)} class folders, and a data set can have {MOST} classes: take fewer, in a folder of links "
            "to theirs"
        )


def _refuse_same(names: list[tuple[str, str]], what: str) -> None:
    """Raise DataError for names that are the same, or that some file systems take for the same; each with its file."""
    first: dict[str, str] = {}
    for name, file in names:
        if name.casefold() in first:
            raise DataError(
                f"{what} {first[name.casefold()]} and {file} differ in case or suffix alone: rename one of them"
            )
        first[name.casefold()] = file
