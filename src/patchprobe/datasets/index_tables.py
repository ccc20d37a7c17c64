"""The tables that :func:`patchprobe.datasets.index.build_index` made, read again from the CSV files that a job wrote."""

from pathlib import Path

import pandas as pd

from patchprobe.own_files import read_table

_TEXTS = ("image_id", "split", "group", "drawn_for", "image", "label")
_DIGESTS = ("image_sha256", "label_sha256")
_NUMBERS = {**dict.fromkeys(("top", "left", "height", "width"), int), "ground_sample_distance": float}
_IMAGES = {**dict.fromkeys(_TEXTS, str), **_NUMBERS, **dict.fromkeys(_DIGESTS, str)}
_CLASSES = {"split": str, "id": int, "name": str, "images": int, "pixels": int}


def read_index(path: Path) -> pd.DataFrame:
    """Read the table of images; raises StoreError that names the file if it is damaged."""
    return read_table(path, _IMAGES)


def read_classes(path: Path) -> pd.DataFrame:
    """Read the table of the pixels of every class; raises StoreError that names the file if it is damaged."""
    return read_table(path, _CLASSES)
