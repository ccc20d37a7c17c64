"""Scenes written as Cityscapes has them: picture, label ids, instance ids and polygons, each file named by city."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from patchprobe.datasets.adapters.cityscapes import IMAGES, LABELS
from patchprobe.datasets.demo.labels import LABEL_NAMES
from patchprobe.datasets.demo.scene import Scene

# The last number of a name counts video frames; the annotated frame of Cityscapes' sequences is the 20th.
_FRAME = 19


def write_scene(root: Path, split: str, city: str, number: int, scene: Scene) -> None:
    """Write the four files of a scene below ``root``; the same scene gives the same bytes."""
    images, annotations = root / IMAGES / split / city, root / LABELS / split / city
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(parents=True, exist_ok=True)
    stem = f"{city}_{number:06d}_{_FRAME:06d}"
    # Sensor noise does not compress, so no time is spent on it.
    Image.fromarray(scene.image).save(images / f"{stem}_leftImg8bit.png", compress_level=1)
    Image.fromarray(scene.label_ids).save(annotations / f"{stem}_gtFine_labelIds.png")
    Image.fromarray(scene.instance_ids).save(annotations / f"{stem}_gtFine_instanceIds.png")
    text = json.dumps(annotation(scene.instance_ids), separators=(",", ":"))
    (annotations / f"{stem}_gtFine_polygons.json").write_text(text + "\n")


def annotation(instance_ids: npt.NDArray[np.uint16]) -> dict[str, Any]:
    """Return polygons that give the label map, (height, width), when they are drawn in their order.

    Each connected piece of an instance or of stuff is one polygon, its outline without holes. Larger ones come first:
    what fills a hole is smaller than what surrounds it.
    """
    pieces = []
    for value in np.unique(instance_ids).tolist():
        name = LABEL_NAMES[value // 1000 if value >= 1000 else value]
        mask = (instance_ids == value).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            points = outline[:, 0].tolist()
            # A polygon has three corners even where a piece is a pixel or a line.
            points += points[-1:] * (3 - len(points))
            pieces.append((-cv2.contourArea(outline), name, points))
    height, width = instance_ids.shape
    objects = [{"label": name, "polygon": points} for _, name, points in sorted(pieces)]
    return {"imgHeight": height, "imgWidth": width, "objects": objects}
