"""Cityscapes in its official layout (https://github.com/mcordts/cityscapesScripts, README).

Cordts et al.: The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016, arXiv 1604.01685.
Images are ``leftImg8bit/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png``, label maps
``gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png``. Label maps hold the 34 ids of the
annotation; the 19 evaluated classes are read as their train ids, all other ids as void. Images may have any size.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.listing import check_name, is_left_behind, refuse_unpaired
from patchprobe.errors import DataError

VOID = 255
IMAGES, LABELS = "leftImg8bit", "gtFine"

# Label id, name, colour and category in the order of the train ids, as in cityscapesscripts/helpers/labels.py.
_CLASSES = (
    (7, "road", (128, 64, 128), "flat"),
    (8, "sidewalk", (244, 35, 232), "flat"),
    (11, "building", (70, 70, 70), "construction"),
    (12, "wall", (102, 102, 156), "construction"),
    (13, "fence", (190, 153, 153), "construction"),
    (17, "pole", (153, 153, 153), "object"),
    (19, "traffic light", (250, 170, 30), "object"),
    (20, "traffic sign", (220, 220, 0), "object"),
    (21, "vegetation", (107, 142, 35), "nature"),
    (22, "terrain", (152, 251, 152), "nature"),
    (23, "sky", (70, 130, 180), "sky"),
    (24, "person", (220, 20, 60), "human"),
    (25, "rider", (255, 0, 0), "human"),
    (26, "car", (0, 0, 142), "vehicle"),
    (27, "truck", (0, 0, 70), "vehicle"),
    (28, "bus", (0, 60, 100), "vehicle"),
    (31, "train", (0, 80, 100), "vehicle"),
    (32, "motorcycle", (0, 0, 230), "vehicle"),
    (33, "bicycle", (119, 11, 32), "vehicle"),
)
_LAST_LABEL_ID = 33
_CITIES = {"train": 18, "val": 3}
_log = logging.getLogger(__name__)

TRAIN_IDS: npt.NDArray[np.uint8] = np.full(_LAST_LABEL_ID + 1, VOID, np.uint8)
TRAIN_IDS[[label_id for label_id, *_ in _CLASSES]] = range(len(_CLASSES))
TRAIN_IDS.flags.writeable = False


class Cityscapes(FileDataset):
    """The 19 evaluated classes of Cityscapes as train ids; the group of a record is its city."""

    # The bonnet of the car is void, in every image.
    usual = ("void", "road", "building", "pole", "vegetation", "car")
    mistaken = "train ids in place of label ids, or files of another annotation"

    classes = Classes(
        ids=tuple(range(len(_CLASSES))),
        names=tuple(name for _, name, _, _ in _CLASSES),
        void=VOID,
        colors=tuple(color for _, _, color, _ in _CLASSES),
        supercategories=tuple(category for _, _, _, category in _CLASSES),
    )
    counts: Mapping[str, int] = MappingProxyType({"train": 2975, "val": 500, "test": 1525})

    def records(self, split: str) -> list[Record]:
        """Return the images of a split with their label maps, sorted.

        Raises DataError if a folder, image or label map is missing, if a name does not fit, and for the split
        ``test``.
        """
        if split == "test":
            raise DataError(
                "the annotations of Cityscapes' split 'test' are not public: its label maps hold void only; take 'val'"
            )
        images, labels = (_find(self.root, kind, split) for kind in (IMAGES, LABELS))
        refuse_unpaired(images, labels)
        records = [
            Record(
                f"{split}/{city}/{stem}", city, path.relative_to(self.root), labels[city, stem].relative_to(self.root)
            )
            for (city, stem), path in images.items()
        ]
        cities = len({record.group for record in records})
        if cities != _CITIES[split]:
            _log.warning("%s: %d cities; Cityscapes' split %r has %d", self.root, cities, split, _CITIES[split])
        return sorted(records, key=lambda record: record.image_id)

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width): train ids 0 to 18, and 255 for every other label id."""
        path = self.root / record.label
        label_ids = self.read_ids(record, range(_LAST_LABEL_ID + 1))
        if label_ids.max(initial=0) > _LAST_LABEL_ID:
            raise DataError(
                f"label map {path} holds id {label_ids.max()}; label ids are 0 to {_LAST_LABEL_ID}: copy the file again "
                "from the original data set (train ids and colours are no label ids)"
            )
        return TRAIN_IDS[label_ids]


ADAPTER = Cityscapes
ANNOTATIONS = ("label_maps",)
FOLDERS = ("leftImg8bit", "gtFine")

_SUFFIXES = {IMAGES: "leftImg8bit.png", LABELS: "gtFine_labelIds.png"}


def _find(root: Path, kind: str, split: str) -> dict[tuple[str, str], Path]:
    """Return the files of a kind by (city, stem); the stem is ``<city>_<sequence>_<frame>``."""
    folder = root / kind / split
    if split not in _CITIES or not folder.is_dir():
        raise DataError(
            f"{folder} is missing: Cityscapes has {IMAGES}/<split>/<city> and {LABELS}/<split>/<city> with the splits "
            "train and val; put them there or correct the root of the data set"
        )
    found = {}
    for path in folder.glob(f"*/*_{_SUFFIXES[kind]}"):
        if is_left_behind(path.name) or is_left_behind(path.parent.name):
            continue
        city, stem = path.parent.name, path.name.removesuffix(f"_{_SUFFIXES[kind]}")
        if not re.fullmatch(rf"{re.escape(city)}_[0-9]{{6}}_[0-9]{{6}}", stem):
            raise DataError(
                f"{path} should be named {city}_<6 digits>_<6 digits>_{_SUFFIXES[kind]}, after its folder; "
                "give it its original name or remove it"
            )
        check_name(path.parent)
        found[city, stem] = check_name(path)
    return found
