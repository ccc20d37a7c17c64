"""Check of a whole folder in the layout of Cityscapes, file by file, beyond what a run reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.adapters.cityscapes import LABELS, Cityscapes
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.demo.labels import LABEL_NAMES
from patchprobe.datasets.label_maps import read_ids
from patchprobe.datasets.pictures import DECODE_ERRORS, open_picture
from patchprobe.errors import DataError

# Ids from this on are of countable things: json2instanceImg.py numbers their instances 1000 * id + n.
FIRST_COUNTABLE_ID = LABEL_NAMES.index("person")


def validate_tree(root: Path) -> int:
    """Check the splits ``train`` and ``val`` below ``root``, as far as they are there; return the number of images.

    Checked are names and pairs (as the adapter does), equal sizes, legal ids, instance ids that agree with label ids,
    and, where there are polygons, their labels, sizes and points. Raises DataError naming the first wrong file.
    """
    dataset = Cityscapes(root, {})
    splits = [split for split in ("train", "val") if (root / LABELS / split).is_dir()]
    if not splits:
        raise DataError(f"{root} holds neither {LABELS}/train nor {LABELS}/val; name the folder of the data set")
    records = [record for split in splits for record in dataset.records(split)]
    for record in records:
        _check_record(dataset, record)
    return len(records)


def _check_record(dataset: Cityscapes, record: Record) -> None:
    dataset.read_label(record)
    label_path = dataset.root / record.label
    label_ids = read_ids(label_path)
    image = dataset.read_image(record)
    _check_size(dataset.root / record.image, image.shape[:2], label_ids.shape)
    instance_path = label_path.with_name(label_path.name.replace("labelIds", "instanceIds"))
    _check_instances(instance_path, label_ids)
    polygon_path = label_path.with_name(label_path.name.replace("labelIds.png", "polygons.json"))
    if polygon_path.is_file():
        _check_polygons(polygon_path, label_ids.shape)


def _check_instances(path: Path, label_ids: npt.NDArray[np.uint8]) -> None:
    try:
        with open_picture(path) as file:
            mode, instance_ids = file.mode, np.array(file)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except DECODE_ERRORS as error:
        raise DataError(f"{path} cannot be decoded ({error}); copy it again from the original data set") from error
    if mode not in ("I;16", "I"):
        raise DataError(f"{path} has pixel format {mode!r}; instance ids are 16-bit")
    _check_size(path, instance_ids.shape, label_ids.shape)
    numbered = instance_ids >= 1000
    wrong = np.where(numbered, instance_ids // 1000, instance_ids) != label_ids
    wrong |= numbered & (label_ids < FIRST_COUNTABLE_ID)
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        raise DataError(
            f"{path} holds instance {instance_ids[y, x]} at row {y}, column {x}, where the label id is "
            f"{label_ids[y, x]}; copy both files again from the original data set"
        )


def _check_polygons(path: Path, shape: tuple[int, ...]) -> None:
    try:
        annotation = json.loads(path.read_text())
        _check_size(path, (annotation["imgHeight"], annotation["imgWidth"]), shape)
        for thing in annotation["objects"]:
            _check_object(path, thing)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no annotation of Cityscapes ({error!r}); copy it again") from error


def _check_object(path: Path, thing: dict[str, Any]) -> None:
    # A cluster of things that cannot be told apart is called "cargroup".
    name = str(thing["label"])
    if name not in (*LABEL_NAMES, "license plate") and name.removesuffix("group") not in LABEL_NAMES:
        raise DataError(f"{path} holds an object with the unknown label {name!r}; correct it")
    points = np.array(thing["polygon"], dtype=float)
    if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2:
        raise DataError(f"{path}: the polygon of a {name!r} is not a list of at least three [x, y]; correct it")


def _check_size(path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(shape) != tuple(expected):
        raise DataError(
            f"{path} is {shape[1]} x {shape[0]} pixels, but the label map is {expected[1]} x {expected[0]}; "
            "copy both again from the original data set"
        )
