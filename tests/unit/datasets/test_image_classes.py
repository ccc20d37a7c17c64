"""Images with a class each: the genuine samples, miniature trees in the official layouts, and broken ones."""

import hashlib
import logging
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.class_folders import ClassFolders
from patchprobe.datasets.adapters.resisc45 import RESISC45
from patchprobe.datasets.adapters.ucmerced import UCMerced
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.image_classes import hues
from patchprobe.datasets.index import build_index
from patchprobe.datasets.present_classes import class_sets, present_classes
from patchprobe.errors import ConfigError, DataError

STRATIFIED = {"evaluation": {"source": "all", "per_class": 3}, "train": {"source": "all"}}
WHOLE = {"size": 256, "image_size": [256, 256]}


def write(path: Path, size: tuple[int, int] = (8, 8), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


@pytest.fixture
def mercato(tmp_path: Path) -> Path:
    """A miniature UCMerced of three classes."""
    for name in ("beach", "airplane", "tenniscourt"):
        for number in range(3):
            write(tmp_path / f"Images/{name}/{name}{number:02}.tif", value=number)
    return tmp_path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three classes of two images, in other formats and names."""
    for number, name in enumerate(("zebra", "ant", "newt")):
        write(tmp_path / name / "some thing.PNG", (6, 9), number)
        write(tmp_path / name / "other.jpeg", (5, 4), 100 + number)
    return tmp_path


@pytest.mark.parametrize(
    ("adapter", "place", "classes", "each", "official"),
    [
        ("ucmerced", "ucmerced/UCMerced_LandUse", 21, 7, 2100),
        ("resisc45", "resisc45/NWPU-RESISC45", 2, 40, 31500),
    ],
)
def test_genuine_images(shared: Path, adapter: str, place: str, classes: int, each: int, official: int) -> None:
    root = shared / "samples" / place
    dataset = open_dataset({"adapter": adapter, "root": place}, shared / "samples")
    records = dataset.records("all")
    assert dict(dataset.counts) == {"all": official}
    files = sorted(path for path in root.rglob("*") if path.is_file())
    assert sorted(root / record.image for record in records) == files and len(files) == classes * each
    assert [record.image_id for record in records] == sorted(f"{p.parent.name}/{p.stem}" for p in files)
    assert Counter(record.group for record in records) == dict.fromkeys(dataset.classes.names, each)
    for record in records[::5]:
        image, label = dataset.read_image(record), dataset.read_label(record)
        with Image.open(root / record.image) as reference:
            np.testing.assert_array_equal(image, np.asarray(reference.convert("RGB")))
        assert label.shape == image.shape[:2] and label.dtype == np.uint8
        name = dict(zip(dataset.classes.ids, dataset.classes.names, strict=True))[int(label[0, 0])]
        assert (label == label[0, 0]).all() and name == record.image.parent.name
        sha256 = hashlib.sha256((root / record.image).read_bytes()).hexdigest()
        assert dataset.digests(record) == (sha256, sha256)


def test_official_classes_are_all_there_in_the_order_of_the_alphabet() -> None:
    assert len(UCMerced.official) == 21 and list(UCMerced.official) == sorted(UCMerced.official)
    assert len(RESISC45.official) == 45 and list(RESISC45.official) == sorted(RESISC45.official)
    assert len(set(hues(45))) == 45 and len(set(hues(255))) > 200


def test_images_of_other_sizes_are_indexed_as_they_are(shared: Path) -> None:
    """Three of the sample are not 256 x 256 px."""
    dataset = open_dataset({"adapter": "ucmerced", "root": "ucmerced/UCMerced_LandUse"}, shared / "samples")
    present = class_sets(present_classes(dataset, "all"))
    entry = {"splits": STRATIFIED, "tiling": WHOLE}
    images, classes = build_index(dataset, "ucmerced", entry, seed=0, present=present)
    odd = images[(images["height"] != 256) | (images["width"] != 256)]
    assert len(odd) == 3 and odd[["height", "width"]].min().min() >= 242
    assert classes["pixels"].sum() == (images["height"] * images["width"]).sum()


def test_a_stratified_split_of_one_source_has_no_file_twice(shared: Path) -> None:
    dataset = open_dataset({"adapter": "ucmerced", "root": "ucmerced/UCMerced_LandUse"}, shared / "samples")
    present = class_sets(present_classes(dataset, "all"))
    assert all(len(ids) == 1 for ids in present.values()) and len(present) == 147

    def drawn(seed: int, each: int = 3) -> tuple[set[str], set[str]]:
        splits = {"evaluation": {"source": "all", "per_class": each}, "train": {"source": "all"}}
        images, _ = build_index(dataset, "u", {"splits": splits, "tiling": WHOLE}, seed=seed, present=present)
        parts = [images[images["split"] == split] for split in ("evaluation", "train")]
        for part, number in zip(parts, (each, 7 - each), strict=True):
            assert part["group"].value_counts().to_dict() == dict.fromkeys(dataset.classes.names, number)
        evaluated, learnt = (set(part["image"]) for part in parts)
        assert not evaluated & learnt and len(evaluated | learnt) == 147
        return evaluated, learnt

    assert drawn(0) == drawn(0) and drawn(0) != drawn(1) and drawn(0, 2)[0] < drawn(0, 3)[0]
    # A class is the group of its images too: no image has to be read for the draw.
    splits = {"evaluation": {"source": "all", "per_group": 3}, "train": {"source": "all"}}
    images, _ = build_index(dataset, "u", {"splits": splits, "tiling": WHOLE}, seed=0)
    assert images.loc[images["split"] == "evaluation", "drawn_for"].value_counts().eq(3).all()


def test_some_of_the_classes_keep_their_ids(mercato: Path) -> None:
    dataset = UCMerced(mercato, {})
    assert dataset.classes.names == ("airplane", "beach", "tenniscourt") and dataset.classes.ids == (1, 3, 20)
    assert np.unique(dataset.read_label(dataset.records("all")[-1])).tolist() == [20]


def test_folders_and_files_that_no_release_has_are_named(mercato: Path) -> None:
    write(mercato / "Images/beach/palm.tif")
    (mercato / "Images/beach/notes.txt").write_text("x")
    (mercato / "Images/beach/Thumbs.db").write_text("x")
    with pytest.raises(DataError, match=r"^2 files do not fit: .*notes\.txt should be called .*palm\.tif"):
        UCMerced(mercato, {}).records("all")
    (mercato / "Images/beaches").mkdir()
    with pytest.raises(DataError, match=r"Images/beaches is none of the 21 classes; did you mean beach\?"):
        UCMerced(mercato, {})


def test_empty_classes_one_class_and_other_roots(mercato: Path, tmp_path: Path) -> None:
    (mercato / "Images/river").mkdir()
    with pytest.raises(
        DataError, match=r"Images/river holds no image called <class><2 digits>\.tif: complete the class"
    ):
        UCMerced(mercato, {}).records("all")
    with pytest.raises(DataError, match=r"Images/Images does not exist: .*correct the root"):
        UCMerced(mercato / "Images", {})
    with pytest.raises(DataError, match="there is no split 'train': take 'all'"):
        UCMerced(mercato, {}).records("train")
    for name in ("river", "airplane", "tenniscourt"):
        shutil.rmtree(mercato / "Images" / name)
    with pytest.raises(DataError, match="has one class folder, beach: put a folder of images"):
        UCMerced(mercato, {})
    with pytest.raises(ConfigError, match=r"options\.splits: this adapter has no options"):
        UCMerced(mercato, {"splits": ["train"]})


def test_broken_images_are_named_by_draw_and_index(mercato: Path) -> None:
    first, second = mercato / "Images/beach/beach00.tif", mercato / "Images/beach/beach01.tif"
    first.write_bytes(b"no picture")
    second.write_bytes(second.read_bytes()[:-100])
    dataset = UCMerced(mercato, {})
    with pytest.raises(DataError, match=r"beach00\.tif cannot be read as a picture"):
        present_classes(dataset, "all")
    splits = {"evaluation": {"source": "all", "per_group": 1}, "train": {"source": "all"}}
    with pytest.raises(DataError, match=r"^2 images or label maps cannot be used: .*beach00\.tif.*beach01\.tif"):
        build_index(dataset, "u", {"splits": splits, "tiling": {"size": 8, "image_size": [8, 8]}}, seed=0)


def test_class_folders_of_any_names(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folders / "ant/list.csv").write_text("x")
    (folders / "readme.md").write_text("x")
    (folders / "@eaDir").mkdir()
    dataset = ClassFolders(folders, {})
    assert dataset.classes.names == ("ant", "newt", "zebra") and dict(dataset.counts) == {"all": 6}
    records = dataset.records("all")
    assert [record.image_id for record in records][:2] == ["all/ant/other", "all/ant/some thing"]
    assert dataset.read_label(records[1]).shape == (6, 9) and dataset.read_label(records[0]).shape == (5, 4)
    assert [int(dataset.read_label(record)[0, 0]) for record in records] == [0, 0, 1, 1, 2, 2]
    assert "list.csv is no image by its suffix and is passed over" in caplog.text and caplog.text.count("\n") == 1


def test_class_folders_of_splits(folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "split"
    for split, names in {"train": ("zebra", "ant", "newt"), "val": ("zebra", "ant")}.items():
        for name in names:
            shutil.copytree(folders / name, root / split / name)
    dataset = ClassFolders(root, {"splits": ["train", "val"]})
    assert dict(dataset.counts) == {"train": 6, "val": 4} and dataset.classes.ids == (0, 1, 2)
    assert {record.image_id.split("/")[0] for record in dataset.records("val")} == {"val"}
    assert "val has no folder of class newt, which others have" in caplog.text
    with pytest.raises(DataError, match=r"train/ant is a folder in that of a class: .*name these in options\.splits"):
        ClassFolders(root, {}).records("all")
    with pytest.raises(DataError, match=r"test does not exist: .*correct options\.splits"):
        ClassFolders(root, {"splits": ["train", "test"]})


@pytest.mark.parametrize("splits", [[], "train", [1], [".."], ["a/b"], [""]])
def test_options_of_class_folders(folders: Path, splits: object) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"options.splits is {splits!r}: give a list of names")):
        ClassFolders(folders, {"splits": splits})
    with pytest.raises(ConfigError, match=r"options\.depth is unknown: the only option is splits"):
        ClassFolders(folders, {"depth": 2})


def test_images_beside_the_class_folders_are_said(folders: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folders / "stray.png")
    assert not [r for r in ClassFolders(folders, {}).records("all") if "stray" in r.image_id]
    assert "stray.png lies beside the class folders" in caplog.text


def test_names_that_cannot_be_told_apart(folders: Path) -> None:
    write(folders / "ant/other.png")
    with pytest.raises(DataError, match=r"ant/other\.\w+ and ant/other\.\w+ differ in case or suffix alone"):
        ClassFolders(folders, {}).records("all")
    write(folders / "Ant/x.png")
    with pytest.raises(DataError, match="class folders Ant and ant differ in case or suffix alone: rename"):
        ClassFolders(folders, {})


def test_class_folders_that_are_empty_too_many_or_called_void(folders: Path) -> None:
    (folders / "ox").mkdir()
    with pytest.raises(DataError, match=r"ox holds no image \(\.bmp, .*\): complete the class, or remove its folder"):
        ClassFolders(folders, {}).records("all")
    (folders / "void").mkdir()
    with pytest.raises(DataError, match="has a class folder called void"):
        ClassFolders(folders, {})
    (folders / "void").rmdir()
    for number in range(252):
        (folders / f"c{number}").mkdir()
    with pytest.raises(DataError, match="has 256 class folders, and a data set can have 255 classes: take fewer"):
        ClassFolders(folders, {})
    (folders / "c0").rmdir()
    assert ClassFolders(folders, {}).classes.ids == tuple(range(255))


def test_the_index_says_what_is_missing(mercato: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    splits = {"evaluation": {"source": "all", "per_group": 1}, "train": {"source": "all"}}
    build_index(UCMerced(mercato, {}), "u", {"splits": splits, "tiling": {"size": 8, "image_size": [8, 8]}}, seed=0)
    assert "u all: subset, 9 of 2100 images" in caplog.text
