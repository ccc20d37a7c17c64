"""Small videos in the official layouts, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60
VIDEO = "b1c66a42-6f7d68ca"
TOOLKIT = ("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
MAPPED = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
SEQINFO = "[Sequence]\nname={name}\nimDir=img1\nframeRate=25\nseqLength={length}\nimWidth=60\nimHeight=40\nimExt=.jpg\n"


def write_frame(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), len(path.stem) * 7 % 256, np.uint8)).save(path)


def write_sequence(
    root: Path, lines: list[str], *, name: str = "MOT17-02-FRCNN", frames: int = 3, length: int = 3
) -> Path:
    """Write a sequence of MOT17 and return its ground truth."""
    folder = root / "train" / name
    for number in range(1, frames + 1):
        write_frame(folder / f"img1/{number:06d}.jpg")
    (folder / "seqinfo.ini").write_text(SEQINFO.format(name=name, length=length))
    (folder / "gt").mkdir(exist_ok=True)
    path = folder / "gt/gt.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def label(i: Any = "00000001", category: Any = "car", box: Any = (1, 2, 11.5, 12), **more: Any) -> dict[str, Any]:
    return {
        "id": i,
        "category": category,
        "attributes": {"occluded": False, "truncated": False, "crowd": False},
        "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)) if isinstance(box, tuple) else box,
        **more,
    }


def frame(number: int, *labels: Any, video: str = VIDEO, **more: Any) -> dict[str, Any]:
    return {
        "name": f"{video}-{number:07d}.jpg",
        "videoName": video,
        "frameIndex": number - 1,
        "labels": list(labels),
        **more,
    }


def write_video(root: Path, frames: Any, *, split: str = "val", video: str = VIDEO, images: int = 3) -> Path:
    """Write a video of BDD100K and return its file of labels."""
    for number in range(1, images + 1):
        write_frame(root / f"images/track/{split}/{video}/{video}-{number:07d}.jpg")
    path = root / f"labels/box_track_20/{split}/{video}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(frames if isinstance(frames, str) else json.dumps(frames))
    return path


def coco(frames, *, inner=True, marks_distractors=True):
    """The labels in COCO's form as Scalabel's converter writes them, or the toolkit's own before it (not ``inner``)."""
    images, annotations, instances, one = [], [], {}, 1 if inner else 0
    for place, found in enumerate(frames, start=1):
        name = f"{found['videoName']}/{found['name']}"
        images.append(
            {
                "video_id": 1,
                "frame_id": found["frameIndex"],
                "file_name": name,
                "height": 720,
                "width": 1280,
                "id": place,
            }
        )
        for each in found["labels"] or []:
            (x1, y1, x2, y2), ignored = (
                (each["box2d"][key] for key in ("x1", "y1", "x2", "y2")),
                each["category"] in MAPPED,
            )
            crowd = bool((each.get("attributes") or {}).get("crowd"))
            category = MAPPED.get(each["category"], each["category"])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place,
                    "category_id": TOOLKIT.index(category) + 1,
                    "instance_id": instances.setdefault(each["id"], len(instances) + 1),
                    "scalabel_id" if inner else "bdd100k_id": each["id"],
                    "iscrowd": int(crowd or ignored),
                    "ignore": int(ignored and marks_distractors),
                    "bbox": [x1, y1, x2 - x1 + one, y2 - y1 + one],
                    "area": (x2 - x1 + one) * (y2 - y1 + one),
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(TOOLKIT, start=1)]
    videos = [{"id": 1, "name": frames[0]["videoName"]}]
    return {"categories": categories, "videos": videos, "images": images, "annotations": annotations}
