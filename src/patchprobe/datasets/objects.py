"""The table of objects: where each object of a video is in each frame, with its category and identity."""

from pathlib import Path
from typing import Any

import pandas as pd

from patchprobe.datasets.dataset import Record
from patchprobe.datasets.index import index_records
from patchprobe.datasets.index_tables import OBJECTS
from patchprobe.datasets.videos import VideoDataset, frame_number
from patchprobe.errors import DataError


def objects_table(dataset: VideoDataset, index: pd.DataFrame) -> pd.DataFrame:
    """Return the objects in the frames of an images table, sorted by video, frame and object_id.

    Columns are image_id, video, frame (its place in the video, from 0, by the number of its file), seconds (from the first frame
    of the video), object_id, category, supercategory, x1, y1, x2, y2 (px of the frame, whose first pixel covers 0 to 1; not cut
    at its edges) and occluded (1, 0 or missing). A frame without objects has no row. Raises DataError if a file of labels is not
    the one that was checked, or broken, and if there is no object at all.
    """
    above = dict(zip(dataset.classes.names, dataset.classes.supercategories or (), strict=True))
    rows: list[tuple[Any, ...]] = []
    checked: set[Path] = set()
    for record, digest in zip(index_records(index), index["label_sha256"], strict=True):
        if record.label not in checked:
            _check_unchanged(dataset, record, digest)
            checked.add(record.label)
        frame = frame_number(record) - 1
        place = (record.image_id, record.group, frame, frame / dataset.frames_per_second(record))
        for found in dataset.objects(record):
            occluded = None if found.occluded is None else int(found.occluded)
            rows.append((*place, found.object_id, found.category, above[found.category], *found.box, occluded))
    if not rows:
        raise DataError(
            f"{dataset.root}: no frame of the {index['group'].nunique()} videos has an object that is kept: complete the labels, or keep "
            "more by the options of the data set"
        )
    table = pd.DataFrame(rows, columns=list(OBJECTS)).astype({"occluded": "Int8"})
    return table.sort_values(["video", "frame", "object_id"], ignore_index=True)


def _check_unchanged(dataset: VideoDataset, record: Record, digest: str) -> None:
    if dataset.digests(record)[1] != digest:
        raise DataError(
            f"{dataset.root / record.label} was changed after the images were checked; delete the data set's images.csv and run again"
        )
