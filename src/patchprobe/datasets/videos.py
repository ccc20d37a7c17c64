"""Data sets of videos: frames in order, with boxes around objects that have a category and an identity from frame to frame."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.box_images import BACKGROUND
from patchprobe.datasets.boxes import FARTHEST, Boxes, rasterise
from patchprobe.datasets.dataset import Record, Window
from patchprobe.datasets.images import FileDataset
from patchprobe.datasets.listing import files_in
from patchprobe.datasets.pictures import read_rgb
from patchprobe.errors import ConfigError, DataError, printable, several, shown
from patchprobe.files import file_sha256

_log = logging.getLogger(__name__)

_KEPT = 8  # files of labels in memory: frames are read in order, by several threads
_NAMED = 3


class Sighting(NamedTuple):
    """An object in one frame: its identity, a text that is its own within the video, its category and its box.

    ``box`` is x1, y1, x2, y2 in px from the upper left corner of the frame, whose first pixel covers 0 to 1 of both; it may
    leave the frame, and may have no area. ``occluded`` is None where nothing says it.
    """

    object_id: str
    category: str
    box: tuple[float, float, float, float]
    occluded: bool | None


Labels = Mapping[str, Mapping[int, Sequence[Sighting]]]
"""What a file of labels holds: the objects of each frame, by the name of the video and the number of the frame, from 1."""


@dataclass(frozen=True)
class Video:
    """A video: its frames by their number, from 1, and its file of labels, as paths relative to the root of the data set."""

    name: str
    frames: Mapping[int, Path]
    label: Path


@dataclass(frozen=True)
class _Read:
    """A file of labels, and by video which of its identities have more than one category."""

    labels: Labels
    changing: Mapping[str, Sequence[str]]


class VideoDataset(FileDataset, ABC):
    """Base of the adapters of videos: they find the files of videos and read a file of labels, all else is here.

    Every frame is an image, called ``<video>/<7 digits>`` by the number of its file; its group is its video. The label map of
    a frame is what its boxes cover, id 0 where there is none. Option of all: ``frames``, the first of each video that are used.
    """

    tiles_meet: ClassVar[bool] = True
    """Whether the tiles of an image make a feature map of it, and so may not overlap."""
    videos: ClassVar[Mapping[str, int]]
    """Videos in each split of the complete data set."""
    names_every_frame: ClassVar[bool]
    """Whether labels name frames without objects too, so that a frame that nothing names is none."""

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, {})
        self._frames = options.get("frames")
        if self._frames is not None and (type(self._frames) is not int or self._frames < 1):
            raise ConfigError(
                f"options.frames is {self._frames!r}: set it to a whole number from 1 on, or null for all"
            )
        self._sha256 = lru_cache(maxsize=4096)(file_sha256)
        self._first = lru_cache(maxsize=4096)(self._first_frame)
        self._read: dict[Path, _Read | DataError] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def find_videos(self, split: str) -> list[Video]:
        """Return the videos of a split with all their frames; raises DataError for a file that is missing or has another name."""

    @abstractmethod
    def read_labels(self, label: Path) -> Labels:
        """Return what a file of labels, a path relative to the root, holds; raises DataError naming file, frame and object."""

    @abstractmethod
    def frames_per_second(self, record: Record) -> float:
        """Return how many frames of a record's video are a second."""

    def records(self, split: str) -> list[Record]:
        """Return the frames of a split, sorted by name.

        Raises DataError for files that are missing, a frame that is missing in between, labels of frames that are not there, and
        whatever is wrong with a file of labels, of all videos at once.
        """
        found: list[Record] = []
        errors: list[str] = []
        unlabelled: list[Path] = []
        changing: dict[str, None] = {}
        for video in self.find_videos(split):
            try:
                read = self._labels(video.label)
                labels = read.labels.get(video.name, {})
                frames = self._frames_of(video, labels)
            except DataError as error:
                errors.append(str(error))
                continue
            found += [Record(frame_id(video.name, n), video.name, path, video.label) for n, path in frames.items()]
            if self.names_every_frame:
                unlabelled += [path for number, path in frames.items() if number not in labels]
            changing |= dict.fromkeys(f"{name} of {video.name}" for name in read.changing.get(video.name, ()))
        if errors:
            raise DataError(several(list(dict.fromkeys(errors)), "videos cannot be used"))
        if unlabelled:
            _log.warning(
                "%s: %d frames are not named by their labels, such as %s: they count as frames without objects",
                *(split, len(unlabelled), printable(str(unlabelled[0]))),
            )
        if changing:
            _log.warning(
                "%s: %d identities have more than one category, such as %s: each category counts as an object of its own",
                *(split, len(changing), printable(next(iter(changing)))),
            )
        return sorted(found, key=lambda record: record.image_id)

    def labels(self, label: Path) -> Labels:
        """Return what a file of labels, a path relative to the root, holds, with identities of one category each."""
        return self._labels(label).labels

    def objects(self, record: Record) -> Sequence[Sighting]:
        """Return the objects of a frame that are kept; raises DataError naming file, frame and object."""
        return self.labels(record.label).get(record.group, {}).get(frame_number(record), ())

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the frame, uint8 (height, width, 3), RGB; raises DataError if it has another size than its video."""
        image = super().read_image(record)
        first, size = self._first((self.root / record.image).parent, record.image.suffix)
        if image.shape[:2] != size:
            raise DataError(
                f"frame {self.root / record.image} is {image.shape[1]} x {image.shape[0]} pixels, and {first.name}, the first of its "
                f"video, {size[1]} x {size[0]}: copy the video again, all frames of one size"
            )
        return image

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map of the frame, uint8 (height, width)."""
        found = self.objects(record)
        _, size = self._first((self.root / record.image).parent, record.image.suffix)
        ids = dict(zip(self.classes.names, self.classes.ids, strict=True))
        x1, y1, x2, y2 = np.array([sighting.box for sighting in found], np.float64).reshape(-1, 4).T
        boxes = Boxes(
            np.stack([np.stack(corner, axis=-1) for corner in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], axis=1),
            np.array([ids[sighting.category] for sighting in found], np.uint8),
            np.zeros(len(found), np.bool_),
        )
        return rasterise(boxes, Window(0, 0, *size), BACKGROUND)

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the frame and of the file of labels."""
        return file_sha256(self.root / record.image), self._sha256(self.root / record.label)

    def _frames_of(self, video: Video, labels: Mapping[int, Sequence[Sighting]]) -> dict[int, Path]:
        """Return the frames of a video that are used, and see that they and the labels are of the same frames."""
        frames = {number: video.frames[number] for number in sorted(video.frames)}
        if not frames:
            raise DataError(f"video {video.name} has no frames: copy them to its folder, or remove it")
        if self._frames is not None:
            last = sorted(frames.keys() | labels.keys())[: self._frames][-1]
            frames = {number: path for number, path in frames.items() if number <= last}
            labels = {number: found for number, found in labels.items() if number <= last}
        label, folder = self.root / video.label, self.root / next(iter(video.frames.values())).parent
        if absent := sorted(labels.keys() - frames.keys()):
            whole = next(n for n in range(1, max(absent) + 1) if n not in frames) - 1
            remedy = f"copy them there, or set options.frames to {whole} at most" if whole else "copy them there"
            raise DataError(
                f"{label} names {len(absent)} frames of video {video.name} that are not in {folder}, {_some(absent)}: {remedy}"
            )
        if holes := max(frames) - len(frames):
            first = list(islice((n for n in range(1, max(frames)) if n not in frames), _NAMED + 1))
            if not (self.names_every_frame and labels):
                raise DataError(f"{folder} lacks {holes} frames in between, {_some(first)}: copy them there")
            self.notice("holes", f"{folder} and {label} both lack {holes} frames in between, {_some(first)}")
        return frames

    def _labels(self, label: Path) -> _Read:
        # A file that is broken is read once too, and one that is large by one thread alone.
        with self._lock:
            if label not in self._read:
                while len(self._read) >= _KEPT:
                    del self._read[next(iter(self._read))]
                try:
                    self._read[label] = self._checked(label)
                except DataError as error:
                    self._read[label] = error
            found = self._read[label]
        if isinstance(found, DataError):
            raise DataError(str(found))
        return found

    def _checked(self, label: Path) -> _Read:
        """Read labels; no identity may stand twice in a frame, and one of two categories is two objects."""
        labels: dict[str, dict[int, Sequence[Sighting]]] = {}
        changing: dict[str, list[str]] = {}
        for video, frames in self.read_labels(label).items():
            categories: dict[str, set[str]] = {}
            for number, found in frames.items():
                seen: set[str] = set()
                for sighting in found:
                    if sighting.object_id in seen:
                        raise DataError(
                            f"{self.root / label}: identity {shown(repr(sighting.object_id), 60)} stands twice in frame {number} of video "
                            f"{shown(video, 100)}: copy the file again from the release"
                        )
                    seen.add(sighting.object_id)
                    categories.setdefault(sighting.object_id, set()).add(sighting.category)
            changing[video] = sorted(name for name, own in categories.items() if len(own) > 1)
            labels[video] = {n: _renamed(found, changing[video]) for n, found in frames.items()}
        return _Read(labels, changing)

    def _first_frame(self, folder: Path, suffix: str) -> tuple[Path, tuple[int, int]]:
        """Return the first frame of a video and its rows and columns."""
        path = next(iter(files_in(folder, suffix)), None)
        if path is None:
            raise DataError(f"{folder} has no frames: copy them there from the original data set")
        height, width = read_rgb(path, notice=self.notice).shape[:2]
        return path, (height, width)


def frame_id(video: str, number: int) -> str:
    """Return the name of a frame as an image, by its number from 1."""
    return f"{video}/{number:07d}"


def frame_number(record: Record) -> int:
    """Return the number of a frame in its video, from 1."""
    return int(record.image_id.rpartition("/")[2])


def checked_box(x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float, float]:
    """Return a box; raises ValueError, which says why, if it is none. One without area is kept, as official evaluations do."""
    if not all(abs(value) <= FARTHEST for value in (x1, y1, x2, y2)):
        raise ValueError(f"its box {shown(str([x1, y1, x2, y2]), 100)} is no place in an image")
    if x2 < x1 or y2 < y1:
        raise ValueError(f"its box {[x1, y1, x2, y2]} is {x2 - x1:g} px wide and {y2 - y1:g} px high")
    return x1, y1, x2, y2


def _renamed(found: Sequence[Sighting], changing: Sequence[str]) -> Sequence[Sighting]:
    if not changing:
        return found
    return [s._replace(object_id=f"{s.object_id}:{s.category}") if s.object_id in changing else s for s in found]


def _some(numbers: Sequence[int]) -> str:
    """Name the first of some frames."""
    names = [f"{number:07d}" for number in numbers[:_NAMED]]
    return ", ".join([*names, "..."] if len(numbers) > _NAMED else names)
