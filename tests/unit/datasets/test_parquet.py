"""Parquet files of images and label maps as Hugging Face datasets stores them, written here by pyarrow."""

import hashlib
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from patchprobe.datasets.adapters.parquet import Parquet
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index import build_index, index_records
from patchprobe.errors import ConfigError, DataError

OPTIONS = {"label_map": "annotation", "classes": ["soil", "crop"], "void": 255}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# What datasets writes beside the schema.
FEATURES = {"info": {"features": {"image": {"_type": "Image"}, "annotation": {"_type": "Image"}}}}


def encoded(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


def scene(number: int, size: tuple[int, int] = (8, 12)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (*size, 3), np.uint8), rng.choice(np.array([0, 1, 255], np.uint8), size)


def write(path: Path, numbers: range, *, rows_of_group: int = 2, **changed: Any) -> None:
    """Write a file with one row for each scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = [scene(number) for number in numbers]
    columns = {
        "image": pa.array(
            [{"bytes": encoded(image), "path": f"{n}.png"} for n, (image, _) in zip(numbers, drawn, strict=True)],
            PICTURE,
        ),
        "annotation": pa.array([{"bytes": encoded(label), "path": None} for _, label in drawn], PICTURE),
        "place": pa.array([f"field {number // 3}" for number in numbers]),
    }
    table = pa.table(columns | changed).replace_schema_metadata({"huggingface": json.dumps(FEATURES)})
    pq.write_table(table, path, row_group_size=rows_of_group)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "data/train-00000-of-00002.parquet", range(5))
    write(tmp_path / "data/train-00001-of-00002.parquet", range(5, 8))
    write(tmp_path / "data/validation-00000-of-00001.parquet", range(8, 10))
    return tmp_path


def test_rows_are_what_was_written(root: Path) -> None:
    dataset = open_dataset({"adapter": "parquet", "root": ".", "options": OPTIONS | {"group": "place"}}, root)
    assert list(dataset.counts) == ["train", "validation"]
    records = dataset.records("train")
    assert [r.image_id for r in records] == [
        *(f"train/00000-of-00002/{row:06d}" for row in range(5)),
        *(f"train/00001-of-00002/{row:06d}" for row in range(3)),
    ]
    assert [r.group for r in records] == [f"field {n // 3}" for n in range(8)]
    for number in (7, 0, 4, 1, 6, 2, 3, 5):  # in any order, over row groups and files
        image, label = scene(number)
        np.testing.assert_array_equal(dataset.read_image(records[number]), image)
        np.testing.assert_array_equal(dataset.read_label(records[number]), label)
        found = dataset.digests(records[number])
        assert found == tuple(hashlib.sha256(encoded(pixels)).hexdigest() for pixels in (image, label))


def test_an_index_brings_the_same_rows_back(root: Path) -> None:
    dataset = Parquet(root, OPTIONS)
    splits = {"train": {"source": "train", "images": 6}, "evaluation": {"source": "validation"}}
    images, classes = build_index(dataset, "fields", {"splits": splits, "tiling": {"size": 8}}, seed=0, threads=3)
    assert len(images) == 8 and set(classes["name"]) == {"soil", "crop", "void"}
    again = Parquet(root, OPTIONS)
    for record, sha256 in zip(index_records(images), images["image_sha256"], strict=True):
        assert again.digests(record)[0] == sha256
        np.testing.assert_array_equal(again.read_image(record), dataset.read_image(record))


def test_row_groups_are_read_once_for_rows_side_by_side(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    whole = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, columns: read.append((i, *columns)) or whole(self, i, columns)
    )
    dataset = Parquet(root, OPTIONS)
    for record in dataset.records("train")[:4]:
        dataset.read_image(record)
    assert read == [(0, "image"), (1, "image")]


def test_shares_of_a_data_set_with_one_split(root: Path) -> None:
    options = OPTIONS | {"files": "data/train-*.parquet", "splits": {"a": 0.75, "b": 0.25}, "group": "place"}
    dataset = Parquet(root, options)
    groups = [{r.group for r in dataset.records(split)} for split in ("a", "b")]
    assert list(dataset.counts) == ["a", "b"] and not groups[0] & groups[1]
    whole = Parquet(root, {key: value for key, value in options.items() if key != "splits"}).records("all")
    assert len(whole) == 8 == sum(len(dataset.records(split)) for split in ("a", "b"))


def test_the_layout_of_the_hubs_conversion(tmp_path: Path) -> None:
    write(tmp_path / "default/train/0000.parquet", range(2))
    dataset = Parquet(tmp_path, OPTIONS | {"files": "default/{split}/*.parquet"})
    assert [r.image_id for r in dataset.records("train")] == ["train/0000/000000", "train/0000/000001"]


def test_columns_of_bytes(tmp_path: Path) -> None:
    plain = pa.array([encoded(scene(n)[0]) for n in range(2)], pa.large_binary())
    write(tmp_path / "data/train-0.parquet", range(2), image=plain)
    dataset = Parquet(tmp_path, OPTIONS)
    np.testing.assert_array_equal(dataset.read_image(dataset.records("train")[1]), scene(1)[0])


def test_a_missing_file_of_several_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "data/train-00000-of-00002.parquet").unlink()
    caplog.set_level(logging.WARNING)
    assert len(Parquet(root, OPTIONS).records("train")) == 3
    assert "data/train 1 of 2 files are there" in caplog.text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"image": pa.array([[1, 2], [3]])},
            r"column image is of type list<.*> and holds no pictures: set options\.image",
        ),
        (
            {"image": pa.array([{"bytes": None, "path": "/x/1.png"}] * 2, PICTURE)},
            r"train-0\.parquet, row 0, column image holds the path /x/1\.png and no picture: save the data set with",
        ),
        ({"annotation": pa.array([None, None], PICTURE)}, "row 0, column annotation is empty: remove the row"),
        (
            {"annotation": pa.array([{"bytes": encoded(np.full((8, 12), 7, np.uint8))}] * 2, PICTURE)},
            r"train-0\.parquet, row 0, column annotation holds ids that are neither classes nor void: 7 at 96 pixels",
        ),
        (
            {"annotation": pa.array([{"bytes": encoded(scene(0, (9, 12))[1])}] * 2, PICTURE)},
            r"image .*train-0\.parquet/000000/image is 12 x 8 pixels but its label map .*/label_map is 12 x 9",
        ),
        ({"image": pa.array([{"bytes": b"text"}] * 2, PICTURE)}, r"row 0, column image cannot be decoded"),
    ],
)
def test_broken_rows_are_refused_by_file_and_row(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    write(tmp_path / "data/train-0.parquet", range(2), **changed)
    entry = {"splits": {"evaluation": {"source": "train"}}, "tiling": {"size": 8}}
    with pytest.raises(DataError, match=message):
        build_index(Parquet(tmp_path, OPTIONS), "fields", entry, seed=0)


def test_files_that_are_none_of_it(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"has no column label: set options\.label_map .* to one of image, annotation, place"
    ):
        Parquet(root, OPTIONS | {"label_map": "label"}).records("train")
    (root / "data/train-00001-of-00002.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet cannot be read as parquet"):
        Parquet(root, OPTIONS).records("train")
    (root / "data-00000-of-00001.arrow").write_bytes(b"")
    with pytest.raises(DataError, match=r"data-00000-of-00001\.arrow was written by save_to_disk"):
        Parquet(root, OPTIONS).records("train")
    with pytest.raises(DataError, match=r"the data set folder .*absent does not exist: put the data set there"):
        open_dataset({"adapter": "parquet", "root": "absent", "options": OPTIONS}, root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_map": None}, "options.label_map is None: set it to the name of a column"),
        ({"group": 3}, "options.group is 3"),
        ({"files": "data/*.csv"}, "files .csv are not read: take one of .parquet"),
        ({"splits": {"train": "a.txt"}}, "options.splits has names of files, and rows have no names"),
        ({"splits": {"train": 1.0}}, r"options.splits has no meaning with {split} in options.files"),
        ({"images": "x"}, "options.images is unknown: did you mean image?"),
    ],
)
def test_options_are_refused_by_name(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Parquet(root, OPTIONS | options)


def test_turned_images_in_rows_are_refused_as_in_files(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = pa.array([{"bytes": encoded(scene(n)[0], exif=exif)} for n in range(2)], PICTURE)
    write(tmp_path / "data/train-0.parquet", range(2), image=turned)
    dataset = Parquet(tmp_path, OPTIONS)
    with pytest.raises(
        DataError, match=r"row 1, column image is shown turned .*orientation 3.*row 1, column annotation fits"
    ):
        dataset.read_image(dataset.records("train")[1])
    shown = Parquet(tmp_path, OPTIONS | {"orientation": "shown"})
    np.testing.assert_array_equal(shown.read_image(shown.records("train")[1]), np.rot90(scene(1)[0], 2))
