"""Labels of BDD100K's videos in their two forms: Scalabel's JSON, and what its toolkits make of it for COCO's tools.

Scalabel's form is a list of frames: ``name``, ``videoName``, ``frameIndex`` (``index`` in 2020), and ``labels``, null where there is
none, with ``id``, ``category``, ``attributes`` and ``box2d``. COCO's form has ``videos``, ``images``, ``annotations`` and
``categories``. There the boxes of Scalabel's converter (``scalabel_id``) count the pixel at x2, y2 in (``box2d_to_bbox`` of
``scalabel/label/transforms.py``), and those of the older one (``bdd100k_id``) do not; both mark distractors by ``ignore``, but
for later versions, and have no attributes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from patchprobe.datasets.pictures import Notice
from patchprobe.datasets.videos import Sighting, checked_box
from patchprobe.errors import DataError, shown, suggestion

# As the toolkit's configs/box_track.toml maps them.
OTHER_NAMES = {"bike": "bicycle", "motor": "motorcycle", "person": "pedestrian", "van": "car", "caravan": "car"}
DISTRACTORS = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
_FRAME = re.compile(r"(?P<video>[^/\\]+)-(?P<number>[0-9]{7})\.jpg")
_IDS = ("scalabel_id", "bdd100k_id", "instance_id", "track_id")

Frames = dict[str, dict[int, list[Sighting]]]


@dataclass(frozen=True)
class Kept:
    """Which labels are kept: of ``categories``, and those that evaluations ignore if it says so."""

    categories: tuple[str, ...]
    crowd: bool = False
    distractors: bool = False

    def category(self, name: object) -> tuple[str, bool]:
        """Return the category that a name means, and whether it is a distractor; raises ValueError for an unknown one."""
        if not isinstance(name, str):
            raise ValueError(f"its category is {shown(repr(name), 60)} and no text")
        if name in DISTRACTORS:
            return DISTRACTORS[name], True
        known = OTHER_NAMES.get(name, name)
        if known not in self.categories:
            hint = suggestion(name[:60], (*self.categories, *DISTRACTORS))
            raise ValueError(f"{shown(repr(name), 60)} is no category of BDD100K MOT 2020{hint and f' ({hint})'}")
        return known, False


def read_box_track(path: Path, kept: Kept, notice: Notice) -> Frames:
    """Read a file of labels in either form: the objects of every frame that it names, by video and number of the frame from 1.

    ``notice`` hears what is worth a line in the log. Raises DataError naming file, frame and label, and what is wrong.
    """
    content = _loaded(path)
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _coco(path, content, kept, notice)
    frames = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise DataError(
            f"{path} is neither a list of frames (Scalabel) nor has it images and annotations (COCO): take the labels of BDD100K MOT 2020"
        )
    return _scalabel(path, frames, kept, notice)


def frame_of(name: object) -> tuple[str, int]:
    """Return the video and the number of a frame by the name of its file; raises ValueError for any other name."""
    match = _FRAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or int(match["number"]) < 1:
        raise ValueError(f"{shown(repr(name), 100)} is no name such as <video>-<7 digits from 0000001>.jpg")
    return match["video"], int(match["number"])


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path} is missing: copy it there from the release") from None
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({shown(error, 100)}): copy it again from the release"
        ) from None


def _scalabel(path: Path, frames: list[Any], kept: Kept, notice: Notice) -> Frames:
    found: Frames = {}
    for place, frame in enumerate(frames, start=1):
        with _At(path, f"frame {place}"):
            video, number = frame_of(_mapping(frame).get("name"))
            _check_frame(frame, video, number)
            if number in found.setdefault(video, {}):
                raise ValueError(f"{frame['name']} stands there twice")
            labels = frame.get("labels")
            if labels is not None and not isinstance(labels, list):
                raise ValueError(f"its labels are {shown(repr(labels), 60)} and no list")
        sightings = found[video][number] = []
        for order, label in enumerate(labels or (), start=1):
            with _At(path, f"{frame['name']}, label {order}"):
                if _mapping(label).get("box2d") is None:
                    notice("no box", f"{path}: label {order} of {frame['name']} has no box2d, and is passed over")
                elif sighting := _sighting(label, kept):
                    sightings.append(sighting)
    return found


def _check_frame(frame: Mapping[str, Any], video: str, number: int) -> None:
    if frame.get("videoName") not in (None, video):
        raise ValueError(f"{frame['name']} is said to be of video {shown(repr(frame['videoName']), 100)}")
    for key in ("frameIndex", "index"):
        if frame.get(key) is not None and (type(frame[key]) is not int or frame[key] != number - 1):
            raise ValueError(f"{frame['name']} has {key} {shown(repr(frame[key]), 40)} and not {number - 1}")


def _sighting(label: Mapping[str, Any], kept: Kept) -> Sighting | None:
    """Return the object of a label with a box, or None if it is left out."""
    category, distractor = kept.category(label.get("category"))
    sides = _mapping(label["box2d"], "its box2d")
    box = checked_box(*(_number(sides.get(key), key) for key in ("x1", "y1", "x2", "y2")))
    attributes = _mapping(label.get("attributes") or {}, "its attributes")
    crowd, occluded = (_attribute(attributes, key) for key in ("crowd", "occluded"))
    if (distractor and not kept.distractors) or (crowd and not kept.crowd):
        return None
    return Sighting(_identity(label.get("id")), category, box, occluded)


def _attribute(attributes: Mapping[str, Any], key: str) -> bool | None:
    """Return an attribute, however its name is written; None where it is not given."""
    values = {repr(value): value for name, value in attributes.items() if name.lower() == key and value is not None}
    if len(values) > 1 or not all(type(value) is bool or value in (0, 1) for value in values.values()):
        raise ValueError(f"its attribute {key} is {shown(', '.join(values), 60)} and not true or false")
    return next((bool(value) for value in values.values()), None)


def _coco(path: Path, content: Mapping[str, Any], kept: Kept, notice: Notice) -> Frames:
    tables = {}
    for key in ("videos", "images", "annotations", "categories"):
        tables[key] = content.get(key, [])
        if not isinstance(tables[key], list):
            raise DataError(f"{path}: {key} is no list: copy the file again from where it is from")
    names = {}
    for key, name in (("videos", "name"), ("categories", "name")):
        for place, entry in enumerate(tables[key], start=1):
            with _At(path, f"{key} {place}"):
                names[key, _whole(_mapping(entry).get("id"), "id")] = entry.get(name)
    found: Frames = {}
    images: dict[int, tuple[str, int]] = {}
    for place, image in enumerate(tables["images"], start=1):
        with _At(path, f"image {place}"):
            file = _mapping(image).get("file_name")
            video, number = frame_of(PurePosixPath(file).name if isinstance(file, str) else file)
            own = image.get("video_id")
            own = None if own is None else names.get(("videos", _whole(own, "video_id")))
            _check_frame({"name": file, "videoName": own, "frameIndex": image.get("frame_id")}, video, number)
            if number in found.setdefault(video, {}):
                raise ValueError(f"{file} stands there twice")
            found[video][number] = []
            images[_whole(image.get("id"), "id")] = (video, number)
    marked = {True: 0, False: 0}
    for place, annotation in enumerate(tables["annotations"], start=1):
        with _At(path, f"annotation {place}"):
            frame = images.get(_whole(_mapping(annotation).get("image_id"), "image_id"))
            if frame is None:
                raise ValueError(f"image_id {annotation['image_id']} is none of its images")
            ignored, crowd = (_attribute(annotation, key) or False for key in ("ignore", "iscrowd"))
            marked[ignored] += ignored or crowd
            if annotation.get("bbox") is None:
                continue
            own = names.get(("categories", _whole(annotation.get("category_id"), "category_id")))
            category, distractor = kept.category(own)
            box, identity = _coco_box(annotation)
            if ((ignored or distractor) and not kept.distractors) or (crowd and not ignored and not kept.crowd):
                continue
            found[frame[0]][frame[1]].append(Sighting(identity, category, box, None))
    if marked[False] and not marked[True] and kept.crowd != kept.distractors:
        notice(
            f"marks {path}",
            f"{path} marks {marked[False]} boxes as crowds and none as distractors: later converters write both alike, and "
            "options.crowd decides on all of them",
        )
    return found


def _coco_box(annotation: Mapping[str, Any]) -> tuple[tuple[float, float, float, float], str]:
    """Return the box of an annotation, with x2 and y2 as Scalabel has them, and its identity."""
    sides = annotation["bbox"]
    if not isinstance(sides, list) or len(sides) != 4:
        raise ValueError(f"its bbox is {shown(repr(sides), 80)} and not [x, y, width, height]")
    x, y, width, height = (_number(side, "bbox") for side in sides)
    key = next((key for key in _IDS if annotation.get(key) is not None), _IDS[0])
    inner = 1 if key == "scalabel_id" else 0
    return checked_box(x, y, x + width - inner, y + height - inner), _identity(annotation.get(key))


class _At:
    """Turns a ValueError inside its block into a DataError that names the file and the place."""

    def __init__(self, path: Path, place: str) -> None:
        self.path, self.place = path, place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError):
            raise DataError(f"{self.path}, {self.place}: {error}: copy the file again from the release") from None


def _mapping(value: object, what: str = "it") -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {shown(repr(value), 60)} and no mapping")
    return value


def _number(value: object, what: str) -> float:
    if type(value) is int or type(value) is float:
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"{what} is {shown(repr(value), 60)} and no number")


def _whole(value: object, what: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{what} is {shown(repr(value), 60)} and no whole number")
    return value


def _identity(value: object) -> str:
    if type(value) is int or (isinstance(value, str) and value and value.isprintable()):
        return str(value)
    raise ValueError(f"its id is {shown(repr(value), 60)} and neither text nor a whole number")
