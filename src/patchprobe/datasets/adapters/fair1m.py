"""FAIR1M, rotated boxes of 37 fine categories in satellite images (https://www.gaofen-challenge.com/benchmark).

Sun et al.: FAIR1M, ISPRS Journal of Photogrammetry and Remote Sensing 184 (2022), doi:10.1016/j.isprsjprs.2021.12.004.
Images are ``train/part1/images/<n>.tif``, ``train/part2`` and ``validation`` alike, boxes ``labelXml/<n>.xml`` beside them,
also called ``labelXmls`` as in the archives; the competition's release 1.5 has ``train/images`` without parts. Numbers repeat
between the splits, so that names of images have their folder. What the 37 categories are called, and which of five
supercategories they belong to, is as in the files and in section 3 of the paper.
"""

import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from patchprobe.datasets.box_images import BoxDataset, box_classes
from patchprobe.datasets.boxes import FARTHEST, Boxes
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.listing import check_name, files_in, refuse_unpaired
from patchprobe.errors import DataError, shown, suggestion

IMAGES, LABELS = "images", "labelXml"
_LABEL_FOLDERS = (LABELS, "labelXmls")
_PLACES = {"train": ("train/part1", "train/part2", "train"), "validation": ("validation",)}
CATEGORIES = {
    "airplane": (
        *("Boeing737", "Boeing747", "Boeing777", "Boeing787", "C919", "A220", "A321", "A330", "A350", "ARJ21"),
        "other-airplane",
    ),
    "ship": (
        *("Passenger Ship", "Motorboat", "Fishing Boat", "Tugboat", "Engineering Ship", "Liquid Cargo Ship"),
        *("Dry Cargo Ship", "Warship", "other-ship"),
    ),
    "vehicle": (
        *("Small Car", "Bus", "Cargo Truck", "Dump Truck", "Van", "Trailer", "Tractor", "Excavator", "Truck Tractor"),
        "other-vehicle",
    ),
    "court": ("Basketball Court", "Tennis Court", "Football Field", "Baseball Field"),
    "road": ("Intersection", "Roundabout", "Bridge"),
}


class FAIR1M(BoxDataset):
    """The 37 categories with ids 1 to 37 and the background, 0. The group of a record is its folder, such as ``train/part1``."""

    classes = box_classes(CATEGORIES)
    counts: Mapping[str, int] = MappingProxyType({"train": 16488, "validation": 8287})

    def records(self, split: str) -> list[Record]:
        """Return the images of a split with their files of boxes, sorted by name.

        Raises DataError if a folder, an image or a file of boxes is missing, and for a name that is no number.
        """
        if split not in _PLACES:
            raise DataError(f"FAIR1M has no boxes for split {split!r}: take one of {', '.join(_PLACES)}")
        folders = [self.root / place for place in _PLACES[split]]
        found = [folder for folder in folders if (folder / IMAGES).is_dir()]
        if not found:
            raise DataError(
                f"{self.root / split} has no folder {IMAGES}: FAIR1M has train/part1/{IMAGES}, train/part2/{IMAGES} and "
                f"validation/{IMAGES} with {LABELS} beside them; put them there or correct the root of the data set"
            )
        if len(found) > 1 and found[-1] == self.root / split:
            raise DataError(
                f"{found[-1]} has {IMAGES} itself and in {found[0].name}, which are of two releases: leave one of them there"
            )
        records = [record for folder in found for record in self._records(folder)]
        return sorted(records, key=lambda record: record.image_id)

    def read_boxes(self, record: Record) -> Boxes:
        """Return the boxes of the whole image of a record; raises DataError naming file and object."""
        path = self.root / record.label
        names = dict(zip(self.classes.names, self.classes.ids, strict=True))
        del names[self.classes.names[0]]
        corners, ids = array("d"), bytearray()
        for number, element in enumerate(self._objects(record), start=1):
            try:
                name, points = _parsed(element)
                if name not in names:
                    hint = suggestion(name[:60], names)
                    raise ValueError(f"{shown(repr(name), 60)} is none of the 37 categories{hint and f' ({hint})'}")
            except ValueError as error:
                raise DataError(f"{path}, object {number}: {error}: copy the file again from the release") from None
            corners.extend(points)
            ids.append(names[name])
        return Boxes(
            np.array(corners).reshape(-1, 4, 2), np.frombuffer(bytes(ids), np.uint8), np.zeros(len(ids), np.bool_)
        )

    def _records(self, folder: Path) -> Iterator[Record]:
        labels = [folder / name for name in _LABEL_FOLDERS if (folder / name).is_dir()]
        if len(labels) != 1:
            found = f"has both {_LABEL_FOLDERS[0]} and {_LABEL_FOLDERS[1]}" if labels else f"has no folder {LABELS}"
            raise DataError(f"{folder} {found}: give it one folder of that name with the boxes of its images")
        images, boxes = _numbered(folder / IMAGES, ".tif"), _numbered(labels[0], ".xml")
        refuse_unpaired(images, boxes, "box file")
        place = folder.relative_to(self.root).as_posix()
        for number in images:
            image, label = (path.relative_to(self.root) for path in (images[number], boxes[number]))
            yield Record(f"{place}/{number}", place, image, label)

    def _objects(self, record: Record) -> Iterator[Element]:
        """Yield every object, and see that the file is one of boxes of this image."""
        path, size = self.root / record.label, None
        try:
            # With one object at a time in memory. Declared entities, inside or outside, are refused.
            for _, element in iterparse(path, forbid_dtd=True):
                if element.tag == "size":
                    size = tuple(int(element.findtext(key) or "") for key in ("height", "width"))
                elif element.tag == "object":
                    yield element
                    element.clear()
        except FileNotFoundError:
            raise DataError(f"{path} is missing; copy it there from the release of FAIR1M") from None
        except DefusedXmlException:
            raise DataError(
                f"{path} declares a document type or entities, which files of boxes have not: replace it"
            ) from None
        except (ParseError, ValueError, LookupError, OSError) as error:  # LookupError: of an unknown encoding
            raise DataError(
                f"{path} is not the XML of a release of FAIR1M ({shown(error, 100)}); copy it again from it"
            ) from None
        actual = self.image_size(record)
        if size != actual:
            said = (
                "does not say the size of its image"
                if size is None
                else f"is of an image of {size[1]} x {size[0]} pixels"
            )
            raise DataError(
                f"{path} {said}, and {self.root / record.image} is {actual[1]} x {actual[0]}: copy both again from one "
                "split (numbers repeat between train and validation)"
            )


ADAPTER = FAIR1M
ANNOTATIONS = ("boxes",)
FOLDERS = ("train", "validation")


def _numbered(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder by their number, a text."""
    found = {path.stem: check_name(path) for path in files_in(folder, suffix)}
    for stem, path in found.items():
        if not re.fullmatch("[0-9]+", stem):
            raise DataError(f"{path} should be named <number>{suffix}: give it its original name or remove it")
    return found


def _parsed(element: Element) -> tuple[str, list[float]]:
    """Return category and corners, x and y in turn, of an object; raises ValueError that says what is wrong with it."""
    names = [name.text or "" for name in element.iterfind("possibleresult/name")]
    if len(names) != 1:
        raise ValueError(f"it has {len(names)} categories and not one")
    unit = element.findtext("coordinate")
    if unit != "pixel":
        raise ValueError(f"its coordinates are {shown(repr(unit), 40)} and not 'pixel'")
    corners = [_place(point.text or "") for point in element.iterfind("points/point")]
    # The fifth point of the files repeats the first.
    if len(corners) == 5 and corners[4] == corners[0]:
        corners.pop()
    if len(corners) != 4:
        raise ValueError(f"{len(corners)} points are no box, which has four corners, the first of them repeated")
    return names[0].strip(), [number for corner in corners for number in corner]


def _place(point: str) -> tuple[float, float]:
    try:
        x, y = map(float, point.split(","))
    except ValueError:
        x = y = float("nan")
    if abs(x) <= FARTHEST and abs(y) <= FARTHEST:
        return x, y
    raise ValueError(f"point {shown(repr(point), 40)} is no place in an image")
