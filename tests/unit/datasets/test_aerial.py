"""Aerial scenes: the layout of FAIR1M, rectangles that hold their objects, and options."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import defusedxml.ElementTree as ET
import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.demo.aerial import CLASSES, SUPERCATEGORIES, Thing
from patchprobe.datasets.demo.aerial_places import plan_scene
from patchprobe.datasets.demo.aerial_things import paint
from patchprobe.datasets.demo.generators import open_generator
from patchprobe.errors import ConfigError
from patchprobe.files import folder_content

OPTIONS = {"train": {"images": 3}, "validation": {"images": 2}, "size": 256}
FILES = [f"{folder}/{kind}/{n}.{ending}" for folder, count in (("train/part1", 3), ("validation", 2))
         for kind, ending in (("images", "tif"), ("labelXml", "xml")) for n in range(count)]  # fmt: skip


def write(root: Path, seed: int = 3, threads: int = 1, options: dict | None = None) -> Path:
    root.mkdir()
    entry = {"generator": "aerial", "seed": seed, "options": OPTIONS if options is None else options}
    open_generator(entry).write(root, threads=threads)
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("aerial") / "raw")


def objects(path: Path) -> list[tuple[str, np.ndarray]]:
    found = []
    for entry in ET.parse(path).getroot().findall("objects/object"):
        points = [point.text.split(",") for point in entry.findall("points/point")]
        found.append((entry.findtext("possibleresult/name"), np.array(points, float)))
    return found


def test_files_are_where_the_release_has_them(tree: Path) -> None:
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert found == sorted(FILES)
    for path in tree.rglob("*.tif"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("TIFF", "RGB", (256, 256))
            assert image.info["compression"] in ("tiff_deflate", "tiff_adobe_deflate")
            # 305, 306: the program and the time, which would make the same scene another file.
            assert not {305, 306} & {*image.tag_v2}


def test_annotation_has_the_fields_of_the_release(tree: Path) -> None:
    for path in tree.rglob("*.xml"):
        root = ET.parse(path).getroot()
        assert [part.tag for part in root] == ["source", "research", "size", "objects"]
        assert root.findtext("source/filename") == f"{path.stem}.tif"
        assert [root.findtext(f"size/{key}") for key in ("width", "height", "depth")] == ["256", "256", "3"]
        for entry in root.findall("objects/object"):
            texts = [entry.findtext(tag) for tag in ("coordinate", "type", "description")]
            assert texts == ["pixel", "rectangle", "None"]
            assert all(re.fullmatch(r"-?\d+\.\d{6},-?\d+\.\d{6}", p.text) for p in entry.findall("points/point"))


def test_points_are_rectangles_clockwise_and_closed(tree: Path) -> None:
    every = [thing for path in tree.rglob("*.xml") for thing in objects(path)]
    assert len(every) > 30
    for name, points in every:
        assert name in CLASSES
        assert points.shape == (5, 2) and (points[0] == points[4]).all()
        sides = np.diff(points, axis=0)
        lengths = np.hypot(*sides.T)
        assert np.allclose(lengths[:2], lengths[2:], atol=1e-3) and lengths.min() > 5
        cosines = (sides * np.roll(sides, -1, 0)).sum(1) / (lengths * np.roll(lengths, -1))
        assert np.abs(cosines).max() < 1e-3
        # y points down: to turn right is to turn from x to y.
        assert sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0] > 0


def test_corners_by_hand() -> None:
    # Looks right: 10 long and 4 wide around (100, 50).
    level = Thing("Van", 100, 50, 0.0, 10, 4, 0)
    assert level.corners().tolist() == [[105, 48], [105, 52], [95, 52], [95, 48]]
    # Looks down: its left is on the right.
    assert np.allclose(replace(level, angle=np.pi / 2).corners(), [(102, 55), (98, 55), (98, 45), (102, 45)])


def test_same_seed_same_bytes_and_another_seed_others(tree: Path, tmp_path: Path) -> None:
    assert folder_content(write(tmp_path / "again", threads=3)) == folder_content(tree)
    other = write(tmp_path / "other", seed=4)
    assert not [name for name in FILES if (other / name).read_bytes() == (tree / name).read_bytes()]


def test_splits_differ(tree: Path) -> None:
    for name in ("images/0.tif", "labelXml/0.xml"):
        assert (tree / "train/part1" / name).read_bytes() != (tree / "validation" / name).read_bytes()


def test_default_set_has_all_supercategories_in_both_splits() -> None:
    for split, count in (("train", 12), ("validation", 4)):
        kinds = {thing.kind for number in range(count) for thing in plan_scene(0, split, number, 512).objects()}
        assert all(kinds & {*names} for names in SUPERCATEGORIES.values())
        assert 14 <= len(kinds) < len(CLASSES)


def test_objects_other_than_roads_are_apart() -> None:
    for number in range(7):
        things = plan_scene(1, "train", number, 512).objects()
        corners = [thing.corners() for thing in things if thing.kind not in SUPERCATEGORIES["Road"]]
        middles = np.array([rectangle.mean(0) for rectangle in corners])
        for i, j in zip(*np.triu_indices(len(corners), 1), strict=True):
            if np.hypot(*(middles[i] - middles[j])) < 80:
                assert cv2.intersectConvexConvex(corners[i], corners[j])[0] < 1.0


def test_rectangle_holds_what_is_drawn_and_touches_it() -> None:
    """Without an object only pixels of its rectangle change, and they reach all of its sides."""
    seen: dict[str, int] = {}
    for number in range(7):
        plan = plan_scene(2, "train", number, 512)
        whole = paint(plan).colors()
        for thing in plan.objects():
            if seen.get(thing.kind, 0) >= 2 or not 40 < min(thing.x, thing.y) <= max(thing.x, thing.y) < 472:
                continue
            seen[thing.kind] = seen.get(thing.kind, 0) + 1
            rest = replace(plan, things=tuple(other for other in plan.things if other is not thing))
            y, x = np.nonzero((paint(rest).colors() != whole).any(2))
            away = np.stack((x + 0.5 - thing.x, y + 0.5 - thing.y))
            ahead = np.abs(np.cos(thing.angle) * away[0] + np.sin(thing.angle) * away[1])
            aside = np.abs(np.cos(thing.angle) * away[1] - np.sin(thing.angle) * away[0])
            assert ahead.max() < thing.length / 2 + 1 and aside.max() < thing.width / 2 + 1, thing.kind
            # What drives on a road may hide its rim.
            if thing.kind not in SUPERCATEGORIES["Road"]:
                assert ahead.max() > thing.length / 2 - 1.5 and aside.max() > thing.width / 2 - 1.5, thing.kind
    assert len(seen) >= 18


def test_border_cuts_objects_but_leaves_much_of_each(tree: Path) -> None:
    frame = np.array([(0, 0), (256, 0), (256, 256), (0, 256)], np.float32)
    shares = []
    for path in tree.rglob("*.xml"):
        for _, points in objects(path):
            corners = points[:4].astype(np.float32)
            shares.append(cv2.intersectConvexConvex(corners, frame)[0] / cv2.contourArea(corners))
    assert 0.34 < min(shares) < 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": {}}, "datasets.d.generate.options.test is unknown: take one of train, validation, size"),
        ({"train": 3}, "options.train is 3; give it the key images"),
        ({"train": {"image": 3}}, "options.train.image is unknown: take images"),
        ({"train": {"images": 0}}, "options.train.images is 0; set it to a whole number from 1 to 9999"),
        ({"validation": {"images": 10_000}}, "options.validation.images is 10000; set it to a whole number"),
        ({"validation": {"images": True}}, "options.validation.images is True; set it to a whole number"),
        ({"size": 500}, "options.size is 500; set it to a multiple of 64 from 256 on"),
        ({"size": 192}, "options.size is 192; set it to a multiple of 64"),
        ({"size": 512.0}, "options.size is 512.0; set it to a multiple of 64"),
    ],
)
def test_bad_options_name_their_key(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_generator({"generator": "aerial", "seed": 0, "options": options}, name="d")
