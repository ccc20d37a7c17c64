"""MOT17, videos of people with boxes and identities (https://motchallenge.net/data/MOT17).

Milan et al.: MOT16: A Benchmark for Multi-Object Tracking, arXiv 1603.00831. A sequence is
``train/MOT17-<nn>-<detector>/{img1/<6 digits>.jpg, gt/gt.txt, seqinfo.ini}``; the three detectors have the same frames and the
same ground truth, so one of them is read. MOT17Det has each sequence once, ``train/MOT17-<nn>``; MOT16 and MOT20 are laid out
like that. A line of ``gt.txt`` is frame, identity, left, top, width, height (the first pixel is 1), whether the object is
evaluated, its class and how much of it is visible. Which of them count is as in TrackEval's ``mot_challenge_2d_box.py``.
"""

import configparser
import logging
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from patchprobe.datasets.box_images import box_classes
from patchprobe.datasets.dataset import Record
from patchprobe.datasets.listing import check_name, files_in, is_left_behind
from patchprobe.datasets.videos import Labels, Sighting, Video, VideoDataset, checked_box
from patchprobe.errors import ConfigError, DataError, shown, suggestion

_log = logging.getLogger(__name__)

GROUND_TRUTH, FACTS = "gt/gt.txt", "seqinfo.ini"
DETECTORS = ("FRCNN", "DPM", "SDP")
OCCLUDED = 0.5
"""An object of which less is visible counts as occluded; ours."""
# By the numbers of the ground truth, 1 to 13, with TrackEval's names.
_NAMES = (
    *(
        "pedestrian",
        "person_on_vehicle",
        "car",
        "bicycle",
        "motorbike",
        "non_mot_vehicle",
        "static_person",
        "distractor",
    ),
    *("occluder", "occluder_on_ground", "occluder_full", "reflection", "crowd"),
)
# Ours: MOT17 has none.
_CATEGORIES = {
    "person": ("pedestrian", "person_on_vehicle", "static_person", "crowd"),
    "vehicle": ("car", "bicycle", "motorbike", "non_mot_vehicle"),
    "occluder": ("occluder", "occluder_on_ground", "occluder_full"),
    "no object": ("distractor", "reflection"),
}
_FLAGS = ("evaluated", "any")
_OPTIONS = ("detector", "classes", "flags", "frames")
_COLUMNS = 9


class _Facts(NamedTuple):
    """What ``seqinfo.ini`` says of a sequence: the folder and suffix of its frames, their number, rate, and size if it says it."""

    folder: str
    suffix: str
    length: int
    rate: float
    size: tuple[int, int] | None


class MOT17(VideoDataset):
    """The classes that are asked for, pedestrians unless said otherwise, with ids from 1 on, and the background.

    Options: ``detector``, whose copy of the sequences is read; ``classes``, by name; ``flags``, ``evaluated`` for the objects
    whose flag is not 0, or ``any``; ``frames``, the first of each sequence that are used.
    """

    counts: Mapping[str, int] = MappingProxyType({"train": 5316})
    videos = MappingProxyType({"train": 7})
    names_every_frame = False

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            hint = suggestion(unknown[0], _OPTIONS, f"take one of {', '.join(_OPTIONS)}")
            raise ConfigError(f"options.{unknown[0]} is unknown: {hint}, or remove it")
        super().__init__(root, options)
        self._detector = options.get("detector", DETECTORS[0])
        if self._detector not in DETECTORS:
            raise ConfigError(f"options.detector is {self._detector!r}: set it to {', '.join(DETECTORS)}")
        flags = options.get("flags", _FLAGS[0])
        if flags not in _FLAGS:
            raise ConfigError(f"options.flags is {flags!r}: set it to {' or '.join(_FLAGS)}")
        self._any_flag = flags == "any"
        self._wanted = options.get("classes", [_NAMES[0]])
        if (
            not isinstance(self._wanted, list)
            or not self._wanted
            or len(set(map(str, self._wanted))) < len(self._wanted)
        ):
            raise ConfigError(f"options.classes is {self._wanted!r}: set it to a list of different classes of MOT17")
        for name in self._wanted:
            if name not in _NAMES:
                hint = suggestion(name, _NAMES, f"take some of {', '.join(_NAMES)}")
                raise ConfigError(f"options.classes names {name!r}, which is no class of MOT17: {hint}, or remove it")
        chosen = {above: [name for name in names if name in self._wanted] for above, names in _CATEGORIES.items()}
        self.classes = box_classes({above: names for above, names in chosen.items() if names})
        self._facts = lru_cache(maxsize=4096)(_read_facts)

    def find_videos(self, split: str) -> list[Video]:
        """See VideoDataset."""
        if split not in self.counts:
            raise DataError(f"MOT17 has no ground truth for split {split!r}: take split train")
        found, shorter = [], []
        for folder in self._sequences(self.root / split):
            facts = self._facts(folder)
            frames = {}
            for path in files_in(folder / facts.folder, facts.suffix):
                if not re.fullmatch("[0-9]{6}", check_name(path).stem) or int(path.stem) < 1:
                    raise DataError(
                        f"{path} should be named <6 digits>{facts.suffix}: give it its original name or remove it"
                    )
                frames[int(path.stem)] = path.relative_to(self.root)
            if not frames:
                raise DataError(f"{folder / facts.folder} has no frames: copy them there, or remove the sequence")
            if max(frames) > facts.length:
                raise DataError(
                    f"{folder / FACTS} says {facts.length} frames, and {folder / facts.folder} has number {max(frames)}: copy the "
                    "sequence again from the release"
                )
            if len(frames) < facts.length:
                shorter.append(f"{len(frames)} of {facts.length} of {folder}")
            found.append(Video(folder.name, frames, (folder / GROUND_TRUTH).relative_to(self.root)))
            self._check_size(folder, facts)
        if shorter:
            _log.warning(
                "%d sequences have fewer frames than their %s says, such as %s", len(shorter), FACTS, shorter[0]
            )
        return found

    def read_labels(self, label: Path) -> Labels:
        """See VideoDataset; all lines are checked, and those of the classes and flags asked for kept."""
        path, folder = self.root / label, (self.root / label).parents[1]
        length = self._facts(folder).length
        frames: dict[int, list[Sighting]] = {}
        seen: set[tuple[int, int]] = set()
        for place, line in enumerate(_text(path).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                number, sighting, flag = _parsed(line)
                if not 1 <= number <= length:
                    raise ValueError(f"{number} is none of the {length} frames of {folder / FACTS}")
                if (number, int(sighting.object_id)) in seen:
                    raise ValueError(f"identity {sighting.object_id} stands twice in frame {number}")
            except ValueError as error:
                raise DataError(f"{path}, line {place}: {error}: copy the file again from the release") from None
            seen.add((number, int(sighting.object_id)))
            if sighting.category in self._wanted and (flag or self._any_flag):
                frames.setdefault(number, []).append(sighting)
            else:
                frames.setdefault(number, [])
        return {folder.name: frames}

    def frames_per_second(self, record: Record) -> float:
        """Return the rate that ``seqinfo.ini`` says."""
        return self._facts((self.root / record.label).parents[1]).rate

    def _sequences(self, split: Path) -> list[Path]:
        """Return the folders of the sequences, each in one copy."""
        plain: dict[str, Path] = {}
        copies: dict[str, dict[str, Path]] = {}
        for folder in sorted(split.iterdir()) if split.is_dir() else ():
            if is_left_behind(folder.name) or not folder.is_dir():
                continue
            match = re.fullmatch(rf"(MOT[0-9]{{2}}-[0-9]{{2}})(?:-({'|'.join(DETECTORS)}))?", check_name(folder).name)
            if not match:
                raise DataError(
                    f"{folder} should be named MOT17-<2 digits>-<detector>: give it its original name or remove it"
                )
            if match[2]:
                copies.setdefault(match[1], {})[match[2]] = folder
            else:
                plain[match[1]] = folder
        if not (plain or copies):
            raise DataError(
                f"{split} has no sequences such as MOT17-02-FRCNN: unpack MOT17.zip or MOT17Det.zip there, or correct the root of the "
                "data set"
            )
        if plain and copies:
            both = [next(iter(plain.values())), next(iter(next(iter(copies.values())).values()))]
            raise DataError(
                f"{split} has the sequences of MOT17Det and of MOT17, {both[0].name} and {both[1].name}: remove one of them"
            )
        if lacking := [name for name, own in copies.items() if self._detector not in own]:
            other = ", ".join(sorted(copies[lacking[0]]))
            raise DataError(
                f"{split} has {lacking[0]} by {other} and not by {self._detector}: set options.detector of the data set to one that all "
                "its sequences have, or copy them there"
            )
        return list(plain.values()) or [own[self._detector] for own in copies.values()]

    def _check_size(self, folder: Path, facts: _Facts) -> None:
        first, size = self._first(folder / facts.folder, facts.suffix)
        if facts.size is not None and size != facts.size:
            raise DataError(
                f"{first} is {size[1]} x {size[0]} pixels, and {folder / FACTS} says {facts.size[1]} x {facts.size[0]}: copy the sequence "
                "again from the release, since its boxes are of frames of that size"
            )


ADAPTER = MOT17
ANNOTATIONS = ("identities",)
FOLDERS = ("train",)
LABEL_FILES = ("{split}/*/gt/gt.txt", "{split}/*/seqinfo.ini")


def _parsed(line: str) -> tuple[int, Sighting, bool]:
    """Return the number of the frame, the object and its flag; raises ValueError that says what is wrong with a line."""
    fields = line.split(",")
    if len(fields) != _COLUMNS:
        raise ValueError(f"it has {len(fields)} columns and not {_COLUMNS}")
    try:
        frame, identity, left, top, width, height, flag, kind, visibility = map(float, fields)
    except ValueError:
        raise ValueError(f"{shown(repr(line), 80)} holds what is no number") from None
    if not all(math.isfinite(value) for value in (frame, identity, flag, kind, visibility)):
        raise ValueError(f"{shown(repr(line), 80)} holds a number that is not finite")
    if frame != int(frame) or identity != int(identity):
        raise ValueError(f"frame {frame} and identity {identity} are not whole numbers")
    if kind not in range(1, len(_NAMES) + 1):
        raise ValueError(f"class {kind:g} is none of 1 to {len(_NAMES)}")
    # The first pixel is 1 there.
    box = checked_box(left - 1, top - 1, left - 1 + width, top - 1 + height)
    if width < 0 or height < 0:
        raise ValueError(f"its box is {width:g} px wide and {height:g} px high")
    occluded = visibility < OCCLUDED if visibility >= 0 else None
    return int(frame), Sighting(str(int(identity)), _NAMES[int(kind) - 1], box, occluded), flag != 0


def _read_facts(folder: Path) -> _Facts:
    """Return what ``seqinfo.ini`` says; raises DataError naming the file and the key."""
    path = folder / FACTS
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_text(path))
        found = dict(parser["Sequence"])
    except (configparser.Error, KeyError) as error:
        raise DataError(
            f"{path} is no seqinfo.ini of MOT17 ({shown(error, 100)}): copy it again from the release"
        ) from None

    def positive(key: str, whole: bool = True) -> float:
        """The number under a key, above zero, or a DataError."""
        try:
            value = float(found[key.lower()])
        except (KeyError, ValueError):
            value = math.nan
        if not 0 < value < 1e9 or (whole and value != int(value)):
            given = shown(repr(found.get(key.lower())), 60)
            raise DataError(f"{path}: {key} is {given} and no positive number: copy the file again from the release")
        return value

    image_folder, suffix = found.get("imdir", "img1"), found.get("imext", ".jpg")
    for key, text, pattern in (("imDir", image_folder, r"\w[\w.-]*"), ("imExt", suffix, r"\.\w+")):
        if not re.fullmatch(pattern, text):
            raise DataError(f"{path}: {key} is {shown(repr(text), 60)}: copy the file again from the release")
    known = {"imheight", "imwidth"} <= found.keys()
    size = (int(positive("imHeight")), int(positive("imWidth"))) if known else None
    return _Facts(image_folder, suffix, int(positive("seqLength")), positive("frameRate", whole=False), size)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: copy it there from the release") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({shown(error, 100)}): copy it again from the release") from None
