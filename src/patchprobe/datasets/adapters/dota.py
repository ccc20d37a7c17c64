"""DOTA, boxes of four corners in aerial images, releases 1.0 and 1.5 (https://captain-whu.github.io/DOTA).

Xia et al.: DOTA: A Large-scale Dataset for Object Detection in Aerial Images, CVPR 2018, doi:10.1109/CVPR.2018.00418. Images
are ``<split>/images/P<4 digits>.png``, boxes ``labelTxt/<same stem>.txt`` beside them, or in one of the folders in which the
archives and tools put them. A file may begin with ``imagesource:`` and ``gsd:``; each line is x and y of four corners in
px, category and difficulty.
"""

import re
from array import array
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from patchprobe.datasets.box_images import BoxDataset, box_classes
from patchprobe.datasets.boxes import FARTHEST, Boxes
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.listing import check_name, files_in, refuse_unpaired
from patchprobe.errors import ConfigError, DataError, shown, suggestion

IMAGES, LABELS = "images", "labelTxt"
_WHOLE = "all"  # the split of a folder that has images itself, as the development kit's example
_OPTIONS = {"version": ("v1.0", "v1.5"), "difficult": ("keep", "drop")}
# In v1.0 there is no container-crane. Supercategories are ours: DOTA has none.
_CATEGORIES = {
    "aircraft": ("plane", "helicopter"),
    "ship": ("ship",),
    "vehicle": ("small-vehicle", "large-vehicle"),
    "sports ground": (
        *("baseball-diamond", "ground-track-field", "tennis-court", "basketball-court", "soccer-ball-field"),
        "swimming-pool",
    ),
    "structure": ("bridge", "storage-tank", "roundabout", "harbor", "container-crane"),
}
_HEADS = ("imagesource:", "gsd:")


class DOTA(BoxDataset):
    """The 15 categories of v1.0 or the 16 of v1.5, and the background. The group of a record is its split.

    Options: ``version``, ``v1.0`` or ``v1.5``; ``difficult``, whether objects called difficult are kept (``keep``) or count as
    background (``drop``).
    """

    counts: Mapping[str, int] = MappingProxyType({"train": 1411, "val": 458, _WHOLE: 1869})

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, {})
        for key, value in options.items():
            if key not in _OPTIONS:
                raise ConfigError(f"options.{key} is unknown: take one of {', '.join(_OPTIONS)}")
            if value not in _OPTIONS[key]:
                raise ConfigError(f"options.{key} is {value!r}: set it to {' or '.join(_OPTIONS[key])}")
        self._version = options.get("version", "v1.0")
        self._keeps_difficult = options.get("difficult", "keep") == "keep"
        left_out = ("container-crane",) if self._version == "v1.0" else ()
        self.classes = box_classes(
            {above: [name for name in names if name not in left_out] for above, names in _CATEGORIES.items()}
        )

    def records(self, split: str) -> list[Record]:
        """Return the images of a split with their files of boxes and the size of their pixels on the ground, sorted.

        Raises DataError if a folder, an image or a file of boxes is missing, and for a name that does not fit.
        """
        folder = self.root if split == _WHOLE else self.root / split
        if split not in self.counts or not (folder / IMAGES).is_dir():
            raise DataError(
                f"{folder / IMAGES} is missing: DOTA has train/{IMAGES} and val/{IMAGES}, and {LABELS} beside them (a folder with "
                f"{IMAGES} itself is split {_WHOLE!r}); put them there or correct the root of the data set"
            )
        images, boxes = _found(folder / IMAGES, ".png"), _found(self._label_folder(folder), ".txt")
        refuse_unpaired(images, boxes, "box file")
        place = "" if split == _WHOLE else f"{split}/"
        records = []
        for stem in sorted(images):
            image, label = (path.relative_to(self.root) for path in (images[stem], boxes[stem]))
            distance = _ground_sample_distance(boxes[stem])
            records.append(Record(f"{place}{stem}", split, image, label, ground_sample_distance=distance))
        return records

    def read_boxes(self, record: Record) -> Boxes:
        """Return the boxes of the whole image of a record; raises DataError naming file and line."""
        path = self.root / record.label
        names = dict(zip(self.classes.names, self.classes.ids, strict=True))
        del names[self.classes.names[0]]
        corners, ids, difficulties = array("d"), bytearray(), bytearray()
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip() or line.startswith(_HEADS):
                continue
            numbers, name, difficult = _parsed(f"{path} line {number}", line)
            if name not in names:
                hint = suggestion(name[:60], names)
                raise DataError(
                    f"{path} line {number}: {shown(repr(name), 60)} is no category of DOTA {self._version}{hint and f' ({hint})'}: copy the "
                    "file again from the release, or set options.version of the data set to that of its files"
                )
            if self._keeps_difficult or not difficult:
                corners.extend(numbers)
                ids.append(names[name])
                difficulties.append(difficult)
        return Boxes(
            np.array(corners).reshape(-1, 4, 2),
            np.frombuffer(bytes(ids), np.uint8),
            np.frombuffer(bytes(difficulties), np.bool_),
        )

    def _label_folder(self, folder: Path) -> Path:
        own = f"{LABELS}-{self._version}"
        names = (LABELS, own, f"{own}/{LABELS}", f"annotations/version{self._version[1:]}")
        found = [folder / name for name in names if files_in(folder / name, ".txt")]
        if len(found) != 1:
            said = " and ".join(str(path) for path in found)
            raise DataError(
                f"{said} both hold boxes: leave one of them there"
                if found
                else f"{folder} has no boxes: put those of DOTA {self._version} into {folder / LABELS}"
            )
        return found[0]


ADAPTER = DOTA
ANNOTATIONS = ("boxes",)
FOLDERS = ("train", "val", "images", "labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "annotations")
GROUND_SAMPLE_DISTANCES = True


def _found(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the files of a folder by stem."""
    found = {path.stem: check_name(path) for path in files_in(folder, suffix)}
    for stem, path in found.items():
        if not re.fullmatch("P[0-9]{4}", stem):
            raise DataError(
                f"{path} should be named P<4 digits>{suffix}: whole images are read, not the pieces that the development kit cuts; "
                "give it its original name or remove it"
            )
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the release of DOTA") from None
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} is not text in UTF-8; copy it again from the release of DOTA") from None


def _ground_sample_distance(path: Path) -> float | None:
    """Return the side of a pixel on the ground, in metres, from the head of a file of boxes; None where it is not known."""
    for line in takewhile(lambda line: not line.strip() or line.startswith(_HEADS), _lines(path)):
        text = line.removeprefix("gsd:").strip()
        if line.startswith("gsd:") and text.lower() not in ("none", "null", ""):
            try:
                metres = float(text)
            except ValueError:
                metres = float("nan")
            if not 0 < metres < float("inf"):
                raise DataError(
                    f"{path}: gsd is {shown(repr(text), 40)}, no size in metres; correct the line, or write gsd:None"
                )
            return metres
    return None


def _parsed(where: str, line: str) -> tuple[list[float], str, bool]:
    """Return corners, category and difficulty of a line; some of v1.0 lack the last, which is 0."""
    fields = line.split()
    try:
        numbers = [float(field) for field in fields[:8]]
        if len(fields) not in (9, 10) or fields[9:] not in ([], ["0"], ["1"], ["2"]):
            raise ValueError
    except ValueError:
        raise DataError(
            f"{where}: {shown(repr(line), 60)} is not eight numbers, a category and a difficulty: copy the file again from the release"
        ) from None
    if not all(abs(number) <= FARTHEST for number in numbers):
        raise DataError(
            f"{where}: a corner of {shown(repr(line), 60)} is no place in an image: copy the file again from the release"
        )
    return numbers, fields[8], fields[9:] not in ([], ["0"])
