"""Scenes written as FAIR1M has them: a tif, and an XML with the corners of the rotated rectangles of its objects."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from patchprobe.datasets.demo.aerial import Thing

# Where the splits of the release lie that have annotations.
FOLDERS = {"train": Path("train/part1"), "validation": Path("validation")}
# TIFF's tag for the differences of neighbours in a row, which deflate packs in a third of the time.
_DIFFERENCES = {317: 2}


def write_scene(root: Path, split: str, number: int, image: npt.NDArray[np.uint8], objects: list[Thing]) -> None:
    """Write an image, uint8 RGB (height, width, 3), and its objects; the same scene gives the same bytes."""
    images, annotations = root / FOLDERS[split] / "images", root / FOLDERS[split] / "labelXml"
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(images / f"{number}.tif", compression="tiff_deflate", tiffinfo=_DIFFERENCES)
    tree = ET.ElementTree(annotation(f"{number}.tif", (image.shape[0], image.shape[1]), objects))
    ET.indent(tree, "\t")
    tree.write(annotations / f"{number}.xml", encoding="utf-8", xml_declaration=True)


def annotation(name: str, shape: tuple[int, int], objects: list[Thing]) -> ET.Element:
    """Return the annotation of an image of (height, width) px; five points an object, the last is the first again."""
    root = ET.Element("annotation")
    source = ET.SubElement(root, "source")
    _texts(source, filename=name, origin="patchprobe")
    _texts(ET.SubElement(root, "research"), version="1.0", provider="patchprobe", pluginname="patchprobe")
    _texts(ET.SubElement(root, "size"), width=str(shape[1]), height=str(shape[0]), depth="3")
    listing = ET.SubElement(root, "objects")
    for thing in objects:
        entry = ET.SubElement(listing, "object")
        _texts(entry, coordinate="pixel", type="rectangle", description="None")
        _texts(ET.SubElement(entry, "possibleresult"), name=thing.kind)
        points = ET.SubElement(entry, "points")
        corners = thing.corners().tolist()
        for x, y in [*corners, corners[0]]:
            _texts(points, point=f"{x:.6f},{y:.6f}")
    return root


def _texts(parent: ET.Element, **texts: str) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = text
