"""What an index says of data that can be read and are hardly what was meant."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.camvid import CamVid
from patchprobe.datasets.index import MANY, build_index
from patchprobe.errors import DataError

NUMBER = {"images": None, "per_group": None}
ENTRY = {
    "splits": {"train": {"source": "train", **NUMBER}, "evaluation": {"source": "val", **NUMBER}},
    "tiling": {"size": 32, "resize": 32, "interpolation": "bicubic"},
}
# Void, sky, building, road and tree.
USUAL = np.resize(np.array([11, 0, 1, 3, 5], np.uint8), (36, 48))


def warnings(caplog, root):
    with caplog.at_level(logging.WARNING):
        build_index(CamVid(root, {}), "streets", ENTRY, seed=0)
    return [message for message in caplog.messages if "subset" not in message]


@pytest.mark.parametrize("name", ["0001TP_4444", "0016E5_00001", "seq_5_55555"])
def test_a_picture_in_both_splits_is_named_by_both_names(tmp_path, write_pair, caplog, name):
    for split, stem in (("train", "0001TP_1"), ("train", "0001TP_22"), ("val", "0001TP_333")):
        write_pair(tmp_path, split, stem, USUAL)
    assert not warnings(caplog, tmp_path)
    write_pair(tmp_path, "val", name, USUAL)
    shutil.copy(tmp_path / "train/0001TP_22.png", tmp_path / f"val/{name}.png")
    (said,) = warnings(caplog, tmp_path)
    assert said.startswith("streets: 1 images are the same file in both splits")
    assert "train/0001TP_22 (train)" in said and f"val/{name} (evaluation)" in said


@pytest.mark.parametrize(
    ("replaced", "by", "lacking"),
    [((11,), 4, "void"), ((3,), 11, "Road"), ((0, 1, 3, 5, 11), 8, "void, Sky, Building, Road, Tree")],
)
def test_label_maps_that_lack_what_all_have_are_named(tmp_path, write_pair, caplog, replaced, by, lacking):
    label = np.where(np.isin(USUAL, replaced), by, USUAL).astype(np.uint8)
    for number in range(MANY):
        write_pair(tmp_path, "train", f"0001TP_{'1' * (number + 1)}", label)
    write_pair(tmp_path, "val", "0001TP_0", USUAL)
    said = [message for message in warnings(caplog, tmp_path) if "none shows" in message]
    assert said == [
        f"streets: of {MANY} train images none shows {lacking}, which official ones do: the label maps may be ids of the 32 "
        "classes of the original annotation, or ids counted from 1; compare one with the release"
    ]


def test_few_images_may_lack_anything(tmp_path, write_pair, caplog):
    for split in ("train", "val"):
        write_pair(tmp_path, split, f"0001TP_{split}", np.full((36, 48), 8, np.uint8))
    assert not [message for message in warnings(caplog, tmp_path) if "none shows" in message]


@pytest.mark.parametrize("orientation", [5, 6, 8])
def test_an_orientation_is_named_where_sizes_disagree(tmp_path, write_pair, orientation):
    write_pair(tmp_path, "train", "0001TP_1", USUAL)
    write_pair(tmp_path, "val", "0001TP_22", USUAL)
    exif = Image.Exif()
    exif[0x112] = orientation
    turned = Image.open(tmp_path / "val/0001TP_22.png").rotate(90, expand=True)
    turned.save(tmp_path / "val/0001TP_22.png", exif=exif)
    expected = (
        f"is 36 x 48 pixels but its label map .* is 48 x 36 .*EXIF orientation {orientation}.*save the image turned"
    )
    with pytest.raises(DataError, match=expected):
        build_index(CamVid(tmp_path, {}), "streets", ENTRY, seed=0)
