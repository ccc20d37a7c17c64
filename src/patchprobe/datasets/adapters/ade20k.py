"""ADE20K for scene parsing, the release ADEChallengeData2016 (https://github.com/CSAILVision/sceneparsing).

Zhou et al.: Scene Parsing through ADE20K Dataset, CVPR 2017, doi:10.1109/CVPR.2017.544. Images are
``images/{training,validation}/ADE_{train,val}_<8 digits>.jpg``, label maps ``annotations/<split>/<same stem>.png`` of
8 bits, and ``sceneCategories.txt`` has the stem and the scene of an image on each line. Images differ in size.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.listing import check_name, is_left_behind, refuse_unpaired
from patchprobe.errors import DataError

VOID = 0
IMAGES, LABELS, SCENES = "images", "annotations", "sceneCategories.txt"

# Of each entry of objectInfo150.txt the first of its synonyms, in the order of the ids from 1 on.
_NAMES = (
    *("wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet"),
    *("sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water"),
    *("painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk"),
    *("rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box", "column", "signboard"),
    *("chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path"),
    *("stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase"),
    *("blind", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm"),
    *("kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel"),
    *("light", "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television", "airplane"),
    *("dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster"),
    *("stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool"),
    *("barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank"),
    *("trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture"),
    *("hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor"),
    *("bulletin board", "shower", "radiator", "glass", "clock", "flag"),
)
_IDS = tuple(range(1, len(_NAMES) + 1))
_PREFIXES = {"training": "ADE_train", "validation": "ADE_val"}


def _color(class_id: int) -> tuple[int, int, int]:
    """Spread the bits of an id over the three channels, as the colour map of PASCAL VOC's development kit does."""
    red, green, blue = (sum((class_id >> (3 * i + channel) & 1) << (7 - i) for i in range(8)) for channel in range(3))
    return red, green, blue


class ADE20K(FileDataset):
    """The 150 evaluated classes with ids 1 to 150; 0 is void. The group of a record is its scene, such as ``beach``."""

    usual = ("void", "wall", "building", "sky", "tree", "floor")
    mistaken = "ids counted from 0, without void"

    classes = Classes(ids=_IDS, names=_NAMES, void=VOID, colors=tuple(map(_color, _IDS)))
    counts: Mapping[str, int] = MappingProxyType({"training": 20210, "validation": 2000})

    def records(self, split: str) -> list[Record]:
        """Return the images of a split with their label maps, sorted.

        Raises DataError if a folder, an image, a label map or the scene of an image is missing, and if a name does not
        fit.
        """
        images, labels = _find(self.root, IMAGES, split, ".jpg"), _find(self.root, LABELS, split, ".png")
        refuse_unpaired(images, labels)
        unknown = sorted(images.keys() - self._scenes.keys())
        if unknown:
            raise DataError(f"{self.root / SCENES} has no line for {unknown[0]}; copy the file again from the release")
        return [
            Record(
                f"{split}/{stem}",
                self._scenes[stem],
                images[stem].relative_to(self.root),
                labels[stem].relative_to(self.root),
            )
            for stem in sorted(images)
        ]

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width): ids 1 to 150, and 0 for void."""
        path = self.root / record.label
        ids = self.read_ids(record, (VOID, *_IDS), dict(zip(self.classes.colors, self.classes.ids, strict=True)))
        if ids.max(initial=0) > _IDS[-1]:
            raise DataError(
                f"label map {path} holds id {ids.max()}; ids are 0 to {_IDS[-1]}: copy the file from the release "
                "ADEChallengeData2016 (maps with 255 for void, and the 3000 classes of full ADE20K, are something else)"
            )
        return ids

    @cached_property
    def _scenes(self) -> dict[str, str]:
        """The scene of every stem."""
        path = self.root / SCENES
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise DataError(f"{path} is missing; copy it there from the release ADEChallengeData2016") from None
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{path} is not text in UTF-8; copy it again from the release") from None
        scenes: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if fields and len(fields) != 2:
                raise DataError(f"{path} line {number}: expected a stem and a scene, found {line!r}; correct the line")
            if fields and scenes.setdefault(fields[0], fields[1]) != fields[1]:
                raise DataError(
                    f"{path} line {number}: {fields[0]} has a second scene; copy the file again from the release"
                )
        return scenes


ADAPTER = ADE20K
ANNOTATIONS = ("label_maps",)
FOLDERS = ("images", "annotations")


def _find(root: Path, kind: str, split: str, suffix: str) -> dict[str, Path]:
    """Return the files of a kind by stem."""
    folder = root / kind / split
    if split not in _PREFIXES or not folder.is_dir():
        raise DataError(
            f"{folder} is missing: ADEChallengeData2016 has {IMAGES}/<split> and {LABELS}/<split> with the splits "
            f"{' and '.join(_PREFIXES)}; put them there or correct the root of the data set"
        )
    found = {path.stem: check_name(path) for path in folder.glob(f"*{suffix}") if not is_left_behind(path.name)}
    for stem, path in found.items():
        if not re.fullmatch(rf"{_PREFIXES[split]}_\d{{8}}", stem):
            raise DataError(
                f"{path} should be named {_PREFIXES[split]}_<8 digits>{suffix}; give it its original name or remove it"
            )
    return found
