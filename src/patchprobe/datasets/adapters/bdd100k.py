"""BDD100K MOT 2020, videos of traffic with boxes and identities (https://doc.bdd100k.com/download.html).

Yu et al.: BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask Learning, CVPR 2020, arXiv 1805.04687. Frames are
``images/track/<split>/<video>/<video>-<7 digits>.jpg``, 5 a second. Labels are ``labels/box_track_20/<split>/<video>.json``,
``labels-20/box-track`` in 2020, or one file of a split in Scalabel's or COCO's form (:mod:`patchprobe.datasets.scalabel`). Which
of them count is as in TrackEval's ``bdd100k.py``: crowds and the three distractors are left out.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from patchprobe.datasets.box_images import box_classes
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.listing import check_name, files_in, is_left_behind
from patchprobe.datasets.scalabel import Kept, frame_of, read_box_track
from patchprobe.datasets.videos import Labels, Video, VideoDataset
from patchprobe.errors import ConfigError, DataError, several, suggestion
from patchprobe.files import folder_below

IMAGES = "images/track"
_CATEGORIES = {
    "person": ("pedestrian", "rider"),
    "vehicle": ("car", "truck", "bus", "train"),
    "bike": ("motorcycle", "bicycle"),
}
_FOLDERS = ("labels/box_track_20", "labels-20/box-track")
# Folders in which a JSON file with the name of a split is one of its labels; in others it has to say box_track too.
_ONE_FILE = (*_FOLDERS, "labels/box_track_20_cocofmt")
_ONE_FILE_OF_MANY = ("labels", "annotations", "annotations/box_track_20", ".")
_LEFT_OUT = ("drop", "keep")
_OPTIONS = ("crowd", "distractors", "labels", "frames", "frames_per_second")
RATE = 5.0
"""Frames in a second, as resampled from 30 for MOT 2020."""


class BDD100K(VideoDataset):
    """The 8 categories with ids 1 to 8, and the background.

    Options: ``crowd`` and ``distractors``, whether boxes of crowds, and of other persons (as pedestrians), other vehicles (cars) and
    trailers (trucks), are left out (``drop``) or kept (``keep``); ``labels``, the folder or file of labels, found if it is null;
    ``frames``, the first of each video that are used; ``frames_per_second``.
    """

    classes = box_classes(_CATEGORIES)
    counts: Mapping[str, int | None] = MappingProxyType({"train": None, "val": None})
    videos = MappingProxyType({"train": 1400, "val": 200})
    names_every_frame = True

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            hint = suggestion(unknown[0], _OPTIONS, f"take one of {', '.join(_OPTIONS)}")
            raise ConfigError(f"options.{unknown[0]} is unknown: {hint}, or remove it")
        super().__init__(root, options)
        for key in ("crowd", "distractors"):
            if options.get(key, _LEFT_OUT[0]) not in _LEFT_OUT:
                raise ConfigError(f"options.{key} is {options[key]!r}: set it to {' or '.join(_LEFT_OUT)}")
        rate = options.get("frames_per_second", RATE)
        if type(rate) not in (int, float) or not 0 < rate < 1e6:
            raise ConfigError(f"options.frames_per_second is {rate!r}: set it to a positive number")
        given = options.get("labels")
        if given is not None and (not isinstance(given, str) or not given):
            raise ConfigError(f"options.labels is {given!r}: set it to a folder or file below the root, or null")
        self._rate = float(rate)
        self._given = None if given is None else folder_below("options.labels", given, root)
        self._kept = Kept(
            tuple(self.classes.names[1:]), options.get("crowd") == "keep", options.get("distractors") == "keep"
        )

    def find_videos(self, split: str) -> list[Video]:
        """See VideoDataset."""
        if split not in self.counts:
            raise DataError(f"BDD100K has no labels for split {split!r}: take one of {', '.join(self.counts)}")
        folders = _folders(self.root / IMAGES / split)
        if not folders:
            raise DataError(
                f"{self.root / IMAGES / split} has no folder of a video: unpack MOT 2020 Images there, or correct the root of the data set"
            )
        for other in self.counts:
            twice = folders.keys() & _folders(self.root / IMAGES / other).keys() if other != split else ()
            if twice:
                raise DataError(
                    f"video {min(twice)} is in {split} and in {other} of {self.root / IMAGES}: remove it from one of them"
                )
        labels = self._labels_of(split)
        if labels.is_file():
            own = dict.fromkeys(folders, labels)
        else:
            own = {path.stem: check_name(path) for path in files_in(labels, ".json")}
            if missing := [f"of {folder}" for name, folder in folders.items() if name not in own]:
                what = (
                    several(missing, "files are missing") if len(missing) > 1 else f"the file {missing[0]} is missing"
                )
                raise DataError(f"{labels}: {what}; copy the labels there, or remove the video")
        self._notice_without_frames(split, labels, folders)
        return [self._video(name, folder, own[name]) for name, folder in folders.items()]

    def read_labels(self, label: Path) -> Labels:
        """See VideoDataset."""
        path = self.root / label
        found = read_box_track(path, self._kept, self.notice)
        if path.parent.name in self.counts and (others := sorted(found.keys() - {path.stem})):
            raise DataError(
                f"{path} names video {others[0]}: give the file its original name, or copy it again from the release"
            )
        return found

    def frames_per_second(self, record: Record) -> float:
        """Return the rate of all videos."""
        return self._rate

    def _video(self, name: str, folder: Path, label: Path) -> Video:
        frames = {}
        for path in files_in(folder, ".jpg"):
            try:
                video, number = frame_of(check_name(path).name)
                if video != name:
                    raise ValueError(f"it is of video {video}")
            except ValueError as error:
                raise DataError(
                    f"{path} is no frame of video {name} ({error}): give it its original name or remove it"
                ) from None
            frames[number] = path.relative_to(self.root)
        return Video(name, frames, label.relative_to(self.root))

    def _labels_of(self, split: str) -> Path:
        """Return the folder or the one file of the labels of a split."""
        if self._given is not None:
            found = [path for path in (self._given / split, self._given) if path.exists()]
            if not found:
                raise DataError(
                    f"{self._given} is missing: put the labels there, or correct options.labels of the data set"
                )
            return found[0]
        found = [folder / split for folder in map(self.root.joinpath, _FOLDERS) if files_in(folder / split, ".json")]
        for place in (*_ONE_FILE, *_ONE_FILE_OF_MANY):
            for path in files_in(self.root / place, ".json"):
                words = re.split("[^a-z0-9]+", path.stem.lower())
                if split in words and (place in _ONE_FILE or {"box", "track"} <= set(words)):
                    found.append(path)
        if len(found) > 1:
            raise DataError(
                f"the labels of split {split} are there twice, {found[0]} and {found[1]}: set options.labels of the data set to one of "
                "them (relative to its root), or remove the other"
            )
        if not found:
            raise DataError(
                f"{self.root} has no labels of split {split}: put them into {_FOLDERS[0]}/{split}/<video>.json, or one file "
                f"{_FOLDERS[0]}/box_track_{split}_cocofmt.json, or set options.labels of the data set"
            )
        return found[0]

    def _notice_without_frames(self, split: str, labels: Path, folders: Mapping[str, Path]) -> None:
        """Say how many videos have labels and no folder of frames: whoever has part of the images is no error."""
        if labels.is_dir():
            names = {path.stem for path in files_in(labels, ".json")}
        else:
            names = set(self.labels(labels.relative_to(self.root)))
        if lacking := sorted(names - folders.keys()):
            self.notice(
                f"lacking {split}",
                f"{labels}: {len(lacking)} of {len(names)} videos, such as {lacking[0]}, have no folder in {self.root / IMAGES / split}, "
                "and are passed over",
            )


ADAPTER = BDD100K
ANNOTATIONS = ("identities",)
FOLDERS = ("images", "labels", "labels-20", "annotations")
LEVELS = 4
LABEL_FILES = (
    "labels/box_track_20/{split}/*.json",
    "labels/box_track_20/*{split}*.json",
    "labels/box_track_20_cocofmt/*{split}*.json",
    "labels/*box*track*{split}*.json",
    "labels-20/box-track/{split}/*.json",
    "labels-20/box-track/*{split}*.json",
    "annotations/*box*track*{split}*.json",
    "annotations/box_track_20/*{split}*.json",
    "*box*track*{split}*.json",
)


def _folders(split: Path) -> dict[str, Path]:
    """Return the folders of videos by name."""
    entries = sorted(split.iterdir()) if split.is_dir() else []
    return {path.name: check_name(path) for path in entries if not is_left_behind(path.name) and path.is_dir()}
