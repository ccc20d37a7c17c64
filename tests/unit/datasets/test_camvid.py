"""The CamVid adapter, on miniature trees and on real files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from patchprobe.datasets.adapters.camvid import CamVid
from patchprobe.datasets.dataset import open_dataset
from patchprobe.errors import DataError

WritePair = Callable[..., None]


def test_lists_are_rerooted_sorted_and_grouped_by_video(tmp_path: Path, write_pair: WritePair) -> None:
    for stem in ("Seq05VD_f00000", "0001TP_2", "0001TP_1"):
        write_pair(tmp_path, "test", stem)
    (tmp_path / "test.txt").open("a").write("\n")
    records = open_dataset({"adapter": "camvid", "root": "."}, tmp_path).records("test")
    assert [(r.image_id, r.group) for r in records] == [
        ("test/0001TP_1", "0001TP"),
        ("test/0001TP_2", "0001TP"),
        ("test/Seq05VD_f00000", "Seq05VD"),
    ]
    assert records[0].image == Path("test/0001TP_1.png") and records[0].label == Path("testannot/0001TP_1.png")


def test_absolute_paths_are_never_followed(tmp_path: Path, write_pair: WritePair) -> None:
    outside = tmp_path / "outside"
    write_pair(outside, "train", "a_1")
    root = tmp_path / "CamVid"
    root.mkdir()
    (root / "train.txt").write_text(f"{outside}/train/a_1.png {outside}/trainannot/a_1.png\n")
    with pytest.raises(DataError, match=str(root / "train" / "a_1.png")):
        CamVid(root, {}).records("train")


def test_missing_label_names_both_files(tmp_path: Path, write_pair: WritePair) -> None:
    write_pair(tmp_path, "train", "a_1")
    (tmp_path / "trainannot" / "a_1.png").unlink()
    with pytest.raises(DataError) as error:
        CamVid(tmp_path, {}).records("train")
    for part in ("train.txt line 1", str(tmp_path / "trainannot/a_1.png"), str(tmp_path / "train/a_1.png")):
        assert part in str(error.value)


def test_missing_list_bad_line_and_repeated_line(tmp_path: Path, write_pair: WritePair) -> None:
    with pytest.raises(DataError, match=r"val\.txt is missing"):
        CamVid(tmp_path, {}).records("val")
    write_pair(tmp_path, "train", "a_1")
    listing = tmp_path / "train.txt"
    listing.write_text(listing.read_text() * 2)
    with pytest.raises(DataError, match=r"train\.txt line 2 lists train/a_1\.png a second time"):
        CamVid(tmp_path, {}).records("train")
    listing.write_text("/SegNet/CamVid/train/a_1.png\n")
    with pytest.raises(DataError, match=r"train\.txt line 1: expected an image and a label path"):
        CamVid(tmp_path, {}).records("train")
    listing.write_bytes("/train/ä.png /trainannot/ä.png\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"train\.txt is not text in UTF-8"):
        CamVid(tmp_path, {}).records("train")


def test_real_files(shared: Path) -> None:
    dataset = open_dataset({"adapter": "camvid", "root": "CamVid"}, shared / "samples" / "camvid")
    assert dict(dataset.counts) == {"train": 367, "val": 101, "test": 233}
    records = dataset.records("train")
    assert len(records) == 60 and len({r.image_id for r in records}) == 60
    assert {r.group for r in records} == {"0001TP", "0006R0", "0016E5"}
    image, label = dataset.read_image(records[0]), dataset.read_label(records[0])
    assert image.shape == (360, 480, 3) and label.shape == (360, 480) and image.dtype == label.dtype == np.uint8
    assert set(np.unique(label)) <= {*dataset.classes.ids, dataset.classes.void}
    # Position tells whether names fit ids: sky is above, road below.
    rows = np.arange(360)[:, None] * np.ones((1, 480))
    names = dataset.classes.names
    assert rows[label == names.index("Sky")].mean() < 180 < rows[label == names.index("Road")].mean()


def test_real_digests_are_those_of_the_manifest(shared: Path) -> None:
    dataset = open_dataset({"adapter": "camvid", "root": "CamVid"}, shared / "samples" / "camvid")
    record = dataset.records("val")[0]
    manifest = (shared / "samples" / "MANIFEST.sha256").read_text()
    for digest, path in zip(dataset.digests(record), (record.image, record.label), strict=True):
        line = next(line for line in manifest.splitlines() if line.endswith(f"camvid/CamVid/{path.as_posix()}"))
        assert line.startswith(digest)
