"""The tables of images, classes and objects of a data set, read again from the CSV files that jobs wrote."""

from pathlib import Path

import pandas as pd

from patchprobe.own_files import read_table

_TEXTS = ("image_id", "split", "group", "drawn_for", "image", "label")
_DIGESTS = ("image_sha256", "label_sha256")
_NUMBERS = {**dict.fromkeys(("top", "left", "height", "width"), int), "ground_sample_distance": float}
_IMAGES = {**dict.fromkeys(_TEXTS, str), **_NUMBERS, **dict.fromkeys(_DIGESTS, str)}
_CLASSES = {"split": str, "id": int, "name": str, "images": int, "pixels": int}

OBJECTS = {
    **{
        "image_id": str,
        "video": str,
        "frame": int,
        "seconds": float,
        "object_id": str,
        "category": str,
        "supercategory": str,
    },
    **dict.fromkeys(("x1", "y1", "x2", "y2", "occluded"), float),
}
"""The columns of the table of objects, see :func:`patchprobe.datasets.objects.objects_table`."""


def read_index(path: Path) -> pd.DataFrame:
    """Read the table of images; raises StoreError that names the file if it is damaged."""
    return read_table(path, _IMAGES)


def read_classes(path: Path) -> pd.DataFrame:
    """Read the table of the pixels of every class; raises StoreError that names the file if it is damaged."""
    return read_table(path, _CLASSES)


def read_objects(path: Path) -> pd.DataFrame:
    """Read the table of objects, which may have no rows; occluded is 1, 0 or NaN. Raises StoreError that names the file if it
    is damaged."""
    return read_table(path, OBJECTS, may_be_empty=True)
