"""Videos written as BDD100K has them for tracking (MOT 2020): jpg by frame, and a json of the boxes of a video."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

IMAGES, LABELS = Path("images/track"), Path("labels/box_track_20")
# As the official tools count them, in their order; then those that evaluations leave out.
CATEGORIES = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
DISTRACTORS = ("other person", "trailer", "other vehicle")


@dataclass(frozen=True)
class TrackedBox:
    """An object in a frame: its number in the video and its first and last column and row, in px from 0."""

    track: int
    category: str
    x1: int
    y1: int
    x2: int
    y2: int
    occluded: bool
    truncated: bool


def frame_name(video: str, index: int) -> str:
    """Return the file name of a frame: the index counts from 0, the name from 1."""
    return f"{video}-{index + 1:07d}.jpg"


def write_frame(root: Path, split: str, video: str, index: int, image: npt.NDArray[np.uint8]) -> None:
    """Write a frame, uint8 RGB (height, width, 3); the same frame gives the same bytes."""
    folder = root / IMAGES / split / video
    folder.mkdir(parents=True, exist_ok=True)
    # Of small pictures the colours are kept at full size.
    Image.fromarray(image).save(folder / frame_name(video, index), quality=92, subsampling=0)


def write_boxes(root: Path, split: str, video: str, frames: Sequence[Sequence[TrackedBox]]) -> None:
    """Write the boxes of all frames of a video."""
    folder = root / LABELS / split
    folder.mkdir(parents=True, exist_ok=True)
    entries = [annotation(video, index, boxes) for index, boxes in enumerate(frames)]
    (folder / f"{video}.json").write_text(json.dumps(entries, indent=1) + "\n")


def annotation(video: str, index: int, boxes: Sequence[TrackedBox]) -> dict[str, Any]:
    """Return the entry of a frame; its labels are null where it has none."""
    labels = [
        {
            "id": f"{box.track:08d}",
            "category": box.category,
            "attributes": {"occluded": box.occluded, "truncated": box.truncated, "crowd": False},
            "box2d": {key: float(getattr(box, key)) for key in ("x1", "x2", "y1", "y2")},
        }
        for box in boxes
    ]
    return {"name": frame_name(video, index), "videoName": video, "frameIndex": index, "labels": labels or None}
