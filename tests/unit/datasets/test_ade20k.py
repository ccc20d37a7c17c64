"""The ADE20K adapter on miniature trees and on real files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.ade20k import ADE20K
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index import build_index
from patchprobe.errors import DataError

LABEL = np.tile(np.arange(151, dtype=np.uint8), (20, 1))
TRAIN, VAL = "ADE_train_00000007", "ADE_val_00000002"


def write_pair(root: Path, stem: str, label: np.ndarray = LABEL, mode: str = "RGB", scene: str = "beach") -> Path:
    """Write an image with its label map and its scene; return the label map's path."""
    split = "training" if "train" in stem else "validation"
    image, path = root / "images" / split / f"{stem}.jpg", root / "annotations" / split / f"{stem}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full(label.shape, 40 + int(stem[-2:]), np.uint8)
    Image.fromarray(grey).convert(mode).save(image)
    Image.fromarray(label).save(path)
    with (root / "sceneCategories.txt").open("a") as listing:
        listing.write(f"{stem} {scene}\n")
    return path


def entry(size: int = 20) -> dict:
    splits = {"train": {"source": "training"}, "evaluation": {"source": "validation"}}
    return {"splits": splits, "tiling": {"size": size}}


def test_records_labels_and_scenes(tmp_path: Path) -> None:
    write_pair(tmp_path, "ADE_val_00000002", scene="bar")
    write_pair(tmp_path, "ADE_val_00000001", scene="airfield")
    write_pair(tmp_path, TRAIN)
    (tmp_path / "images/validation/._ADE_val_00000002.jpg").write_text("left by a file manager")
    dataset = open_dataset({"adapter": "ade20k", "root": "."}, tmp_path)
    first, second = dataset.records("validation")
    assert (first.image_id, first.group) == ("validation/ADE_val_00000001", "airfield")
    assert (second.image_id, second.group) == ("validation/ADE_val_00000002", "bar")
    assert first.image.as_posix() == "images/validation/ADE_val_00000001.jpg"
    assert dataset.records("training")[0].image_id == f"training/{TRAIN}"
    assert dataset.read_label(first).tolist() == LABEL.tolist()
    assert dataset.classes.void == 0 and dataset.classes.ids == tuple(range(1, 151))
    assert len({*dataset.classes.colors, (0, 0, 0)}) == 151


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_images_are_read_as_rgb(tmp_path: Path, mode: str) -> None:
    write_pair(tmp_path, VAL, mode=mode)
    dataset = ADE20K(tmp_path, {})
    image = dataset.read_image(dataset.records("validation")[0])
    assert image.shape == (20, 151, 3) and image.dtype == np.uint8
    assert np.ptp(image, axis=2).max() == 0 and abs(int(image.mean()) - 42) <= 1


def test_subset_is_noticed_and_the_full_count_is_official(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pair(tmp_path, TRAIN)
    write_pair(tmp_path, VAL)
    images, classes = build_index(ADE20K(tmp_path, {}), "scenes", entry(), seed=0)
    assert images["image_id"].tolist() == [f"training/{TRAIN}", f"validation/{VAL}"]
    assert "scenes training: subset, 1 of 20210 images" in caplog.text
    assert "scenes validation: subset, 1 of 2000 images" in caplog.text
    pixels = classes[classes["split"] == "train"]
    assert pixels["id"].tolist() == [*range(1, 151), 0] and pixels["pixels"].tolist() == [20] * 151


def test_missing_folders_files_and_scenes(tmp_path: Path) -> None:
    dataset = ADE20K(tmp_path, {})
    with pytest.raises(DataError, match=r"images/training is missing: ADEChallengeData2016 has images/<split>"):
        dataset.records("training")
    label, second, third = (write_pair(tmp_path, f"ADE_val_0000000{i}") for i in (1, 2, 3))
    with pytest.raises(DataError, match=r"images/test is missing: .* the splits training and validation"):
        dataset.records("test")
    image = tmp_path / "images/validation/ADE_val_00000002.jpg"
    second.unlink()
    third.unlink()
    with pytest.raises(
        DataError,
        match=rf"2 label maps are missing: \(1\) of image {image}; \(2\) of image .*; copy them there or remove each image",
    ):
        dataset.records("validation")
    image.unlink()
    (image.parent / "ADE_val_00000003.jpg").rename(image.parent / "ADE_train_00000003.jpg")
    with pytest.raises(DataError, match=r"ADE_train_00000003\.jpg should be named ADE_val_<8 digits>\.jpg"):
        dataset.records("validation")
    (image.parent / "ADE_train_00000003.jpg").unlink()
    (image.parent / "ADE_val_00000001.jpg").unlink()
    with pytest.raises(DataError, match=f"the image of label map {label} is missing"):
        dataset.records("validation")
    label.parent.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="annotations/validation is missing"):
        dataset.records("validation")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"sceneCategories\.txt is missing; copy it there"),
        (b"\xff\xfe\x00", r"sceneCategories\.txt is not text in UTF-8"),
        (b"ADE_val_00000002 beach\n\nADE_val_00000003\n", r"line 3: expected a stem and a scene"),
        (b"ADE_val_00000001 beach\n", r"sceneCategories\.txt has no line for ADE_val_00000002"),
        (b"ADE_val_00000002 beach\nADE_val_00000002 street\n", r"line 2: ADE_val_00000002 has a second scene"),
    ],
)
def test_wrong_lists_of_scenes(tmp_path: Path, content: bytes | None, message: str) -> None:
    write_pair(tmp_path, VAL)
    if content is None:
        (tmp_path / "sceneCategories.txt").unlink()
    else:
        (tmp_path / "sceneCategories.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        ADE20K(tmp_path, {}).records("validation")


def test_wrong_files_end_the_index_with_their_name(tmp_path: Path) -> None:
    path, _ = write_pair(tmp_path, TRAIN), write_pair(tmp_path, VAL)
    image = tmp_path / f"images/training/{TRAIN}.jpg"

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            build_index(ADE20K(tmp_path, {}), "scenes", entry(), seed=0)

    good = path.read_bytes()
    Image.fromarray(LABEL - np.uint8(1)).save(path)
    refused(f"label map {path} holds id 255; ids are 0 to 150: copy the file from the release ADEChallengeData2016")
    Image.fromarray(np.dstack([LABEL] * 3)).save(path)
    refused(f"label map {path} has pixel format 'RGB'; it must hold one 8-bit class id per pixel")
    Image.fromarray(LABEL[:-1]).save(path)
    refused(rf"{TRAIN}\.jpg is 151 x 20 pixels but its label map .*{TRAIN}\.png is 151 x 19")
    path.write_bytes(good[: len(good) // 2])
    refused(f"{path} cannot be decoded")
    path.write_bytes(good)
    image.write_bytes(image.read_bytes()[:-40])
    refused(f"{image} cannot be decoded")


def test_real_files(shared: Path) -> None:
    root = shared / "samples/ade20k/ADEChallengeData2016"
    dataset = open_dataset({"adapter": "ade20k", "root": root.name}, root.parent)
    records = dataset.records("validation")
    assert [record.group for record in records] == ["abbey", "abbey", "access_road"]
    sizes = []
    for record in records:
        image, label = dataset.read_image(record), dataset.read_label(record)
        assert image.shape == (*label.shape, 3)
        sizes.append(label.shape[::-1])
    assert sizes == [(683, 512), (500, 364), (400, 300)]
    lines = (root / "sceneCategories.txt").read_text().splitlines()
    for split, prefix in (("training", "ADE_train"), ("validation", "ADE_val")):
        assert sum(line.startswith(prefix) for line in lines) == dataset.counts[split]


def test_names_are_those_of_the_official_list(shared: Path) -> None:
    lines = (shared / "samples/ade20k/ADEChallengeData2016/objectInfo150.txt").read_text().splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    official = {int(row[0]): row[4].split(",")[0].strip() for row in rows}
    assert dict(zip(ADE20K.classes.ids, ADE20K.classes.names, strict=True)) == official
