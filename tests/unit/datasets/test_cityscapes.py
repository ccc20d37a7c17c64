"""The Cityscapes adapter and the check of a whole tree, on miniature trees and on real files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cityscapes_validation import FIRST_COUNTABLE_ID, validate_tree
from cityscapesscripts.helpers.labels import id2label, labels, trainId2label
from PIL import Image

from patchprobe.datasets.adapters.cityscapes import TRAIN_IDS, Cityscapes
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.demo.labels import LABEL_NAMES
from patchprobe.datasets.index import build_index
from patchprobe.errors import DataError

LABEL_IDS = np.tile(np.repeat(np.arange(34, dtype=np.uint8), 2), (8, 1))


def write_city(root: Path, split: str, stem: str, label_ids: np.ndarray = LABEL_IDS, color: int = 0) -> Path:
    """Write one image with its label map, instances and polygons; return the label map's path."""
    city = stem.split("_")[0]
    images, annotations = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*label_ids.shape, 3), color, np.uint8)).save(images / f"{stem}_leftImg8bit.png")
    path = annotations / f"{stem}_gtFine_labelIds.png"
    Image.fromarray(label_ids).save(path)
    instance_ids = np.where(label_ids >= 24, label_ids * np.uint16(1000), label_ids).astype(np.uint16)
    Image.fromarray(instance_ids).save(annotations / f"{stem}_gtFine_instanceIds.png")
    height, width = label_ids.shape
    corners = [[0, 0], [width, 0], [width, height]]
    things = [{"label": name, "polygon": corners} for name in ("sky", "cargroup", "license plate")]
    polygons = {"imgHeight": height, "imgWidth": width, "objects": things}
    (annotations / f"{stem}_gtFine_polygons.json").write_text(json.dumps(polygons))
    return path


def test_ids_names_and_colours_are_those_of_the_official_table() -> None:
    for label in labels:
        if label.id >= 0:
            assert TRAIN_IDS[label.id] == label.trainId
            assert LABEL_NAMES[label.id] == label.name and label.hasInstances == (label.id >= FIRST_COUNTABLE_ID)
    classes = Cityscapes.classes
    assert len(LABEL_NAMES) == len(TRAIN_IDS) == 34 and len(classes.ids) == 19
    for i, name, color, category in zip(
        classes.ids, classes.names, classes.colors, classes.supercategories or (), strict=True
    ):
        official = trainId2label[i]
        assert (name, color, category) == (official.name, official.color, official.category)


def test_label_ids_become_train_ids(tmp_path: Path) -> None:
    write_city(tmp_path, "val", "lindau_000000_000019")
    dataset = open_dataset({"adapter": "cityscapes", "root": "."}, tmp_path)
    (record,) = dataset.records("val")
    assert (record.image_id, record.group) == ("val/lindau/lindau_000000_000019", "lindau")
    expected = [id2label[i].trainId for i in LABEL_IDS[0]]
    assert dataset.read_label(record)[3].tolist() == expected


def test_train_ids_in_place_of_label_ids_are_refused(tmp_path: Path) -> None:
    path = write_city(tmp_path, "val", "lindau_000000_000019", TRAIN_IDS[LABEL_IDS])
    dataset = Cityscapes(tmp_path, {})
    with pytest.raises(DataError, match=f"{path} holds id 255; label ids are 0 to 33"):
        dataset.read_label(dataset.records("val")[0])


def test_few_images_of_each_city(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for city in range(18):
        for frame in range(3):
            write_city(tmp_path, "train", f"city{city}_000000_{frame:06d}", color=3 * city + frame)
    write_city(tmp_path, "val", "lindau_000000_000019", color=100)
    splits = {"train": {"source": "train", "per_group": 2}, "evaluation": {"source": "val"}}
    images, _ = build_index(Cityscapes(tmp_path, {}), "c", {"splits": splits, "tiling": {"size": 8}}, seed=1)
    train = images[images.split == "train"]
    assert train.groupby("group").size().tolist() == [2] * 18
    assert "1 cities; Cityscapes' split 'val' has 3" in caplog.text and "has 18" not in caplog.text


def test_test_split_missing_folder_and_unknown_split(tmp_path: Path) -> None:
    write_city(tmp_path, "test", "berlin_000000_000019")
    dataset = Cityscapes(tmp_path, {})
    with pytest.raises(DataError, match=r"'test' are not public.*take 'val'"):
        dataset.records("test")
    with pytest.raises(DataError, match="leftImg8bit/train is missing"):
        dataset.records("train")
    shutil.copytree(tmp_path / "leftImg8bit/test", tmp_path / "leftImg8bit/train")
    with pytest.raises(DataError, match="gtFine/train is missing"):
        dataset.records("train")


def test_missing_files_and_wrong_names(tmp_path: Path) -> None:
    label = write_city(tmp_path, "val", "lindau_000000_000019")
    second = write_city(tmp_path, "val", "lindau_000001_000019")
    third = write_city(tmp_path, "val", "lindau_000002_000019")
    (label.parent / "._lindau_000000_000019_gtFine_labelIds.png").write_text("left by a file manager")
    dataset = Cityscapes(tmp_path, {})
    assert len(dataset.records("val")) == 3
    image = tmp_path / "leftImg8bit/val/lindau/lindau_000001_000019_leftImg8bit.png"
    second.unlink()
    third.unlink()
    with pytest.raises(
        DataError,
        match=rf"2 label maps are missing: \(1\) of image {image}; \(2\) of image .*; copy them there or remove each image",
    ):
        dataset.records("val")
    image.unlink()
    (image.parent / "lindau_000002_000019_leftImg8bit.png").rename(image.parent / "ulm_000002_000019_leftImg8bit.png")
    with pytest.raises(DataError, match=r"ulm_000002_000019_leftImg8bit\.png should be named lindau_<6 digits>"):
        dataset.records("val")
    (image.parent / "ulm_000002_000019_leftImg8bit.png").unlink()
    (image.parent / "lindau_000000_000019_leftImg8bit.png").unlink()
    with pytest.raises(DataError, match=f"the image of label map {label} is missing"):
        dataset.records("val")


def test_whole_tree_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither gtFine/train nor gtFine/val"):
        validate_tree(tmp_path)
    write_city(tmp_path, "train", "ulm_000000_000019")
    label = write_city(tmp_path, "val", "lindau_000000_000019")
    assert validate_tree(tmp_path) == 2
    instances = label.with_name(label.name.replace("labelIds", "instanceIds"))
    polygons = label.with_name(label.name.replace("labelIds.png", "polygons.json"))

    def broken(path: Path, change: Callable[[], object], message: str) -> None:
        good = path.read_bytes()
        change()
        with pytest.raises(DataError, match=message):
            validate_tree(tmp_path)
        path.write_bytes(good)

    ids = np.array(Image.open(instances))
    for row, column, value in ((2, 60, 24001), (5, 0, 7), (1, 14, 7001)):
        other = ids.copy()
        other[row, column] = value
        message = f"holds instance {value} at row {row}, column {column}"
        broken(instances, lambda other=other: Image.fromarray(other).save(instances), message)
    broken(instances, lambda: instances.write_bytes(instances.read_bytes()[:60]), "cannot be decoded")
    broken(instances, instances.unlink, "instanceIds.png is missing")
    broken(instances, lambda: Image.fromarray(LABEL_IDS).save(instances), "instance ids are 16-bit")
    broken(instances, lambda: Image.fromarray(ids[:-1]).save(instances), "68 x 7 pixels, but the label map is 68 x 8")
    annotation = json.loads(polygons.read_text())
    for key, value, message in (
        ("imgHeight", 9, "68 x 9 pixels, but the label map is 68 x 8"),
        ("objects", [{"label": "dragon", "polygon": [[0, 0]] * 3}], "unknown label 'dragon'"),
        ("objects", [{"label": "car", "polygon": [[0, 0]] * 2}], "polygon of a 'car' is not a list"),
        ("objects", [{"label": "car"}], "no annotation of Cityscapes"),
    ):
        text = json.dumps({**annotation, key: value})
        broken(polygons, lambda text=text: polygons.write_text(text), message)
    image = tmp_path / "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png"
    broken(image, lambda: Image.fromarray(np.zeros((8, 60, 3), np.uint8)).save(image), "is 60 x 8 pixels")
    assert validate_tree(tmp_path) == 2


@pytest.mark.parametrize(
    ("folder", "split", "images"), [("cityscapes", "train", 5), ("cityscapes_val_small256", "val", 1)]
)
def test_real_files(shared: Path, folder: str, split: str, images: int) -> None:
    root = shared / "samples" / folder
    assert validate_tree(root) == images
    dataset = open_dataset({"adapter": "cityscapes", "root": folder}, root.parent)
    record = dataset.records(split)[0]
    image, label = dataset.read_image(record), dataset.read_label(record)
    assert image.shape[:2] == label.shape and image.dtype == label.dtype == np.uint8
    label_ids = np.array(Image.open(root / record.label))
    assert all(id2label[i].trainId == t for i, t in np.unique(np.stack((label_ids, label)).reshape(2, -1), axis=1).T)
    names = dataset.classes.names
    share = np.bincount(label.ravel(), minlength=256) / label.size
    assert share[names.index("road")] > 0.2
