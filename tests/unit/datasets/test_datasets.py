"""Opening data sets by name, and reading files of all kinds."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.dataset import Classes, open_dataset
from patchprobe.datasets.label_maps import read_ids
from patchprobe.datasets.pictures import read_rgb
from patchprobe.errors import ConfigError, DataError


@pytest.mark.parametrize("adapter", ["camvit", "images", "index", "../camvid", "camvid.images", "CamVid", "no_such"])
def test_unknown_adapters_are_named_with_the_known_ones(tmp_path: Path, adapter: str) -> None:
    with pytest.raises(ConfigError, match=r"datasets\.street\.adapter: there is no data set adapter") as error:
        open_dataset({"adapter": adapter, "root": "."}, tmp_path, name="street")
    assert "camvid" in str(error.value)


def test_missing_folder_names_it_and_the_keys(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        open_dataset({"adapter": "camvid", "root": "CamVid"}, tmp_path, name="street")
    for part in (str(tmp_path / "CamVid"), "does not exist", "datasets.street.root", "data_root"):
        assert part in str(error.value)


def test_a_file_as_folder_and_no_root_at_all(tmp_path: Path) -> None:
    (tmp_path / "CamVid").write_text("not a folder")
    with pytest.raises(DataError, match="is not a folder"):
        open_dataset({"adapter": "camvid", "root": "CamVid"}, tmp_path)
    with pytest.raises(ConfigError, match=r"datasets\.street\.root is missing"):
        open_dataset({"adapter": "camvid", "root": None}, tmp_path, name="street")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"adapter": "camvid", "root": ".", "options": {"colour": 1}}, r"datasets\.x\.options\.colour"),
        ({"adapter": "synthetic", "options": {"image": 1}}, r"datasets\.x\.options\.image is unknown"),
        ({"adapter": "synthetic", "options": {"images": 0}}, r"datasets\.x\.options\.images is 0"),
        ({"adapter": "synthetic", "root": "raw"}, r"datasets\.x\.root has no meaning with adapter synthetic"),
        ({"adapter": "synthetic", "options": {"height": 16}}, r"datasets\.x\.options\.height is 16.* from 32 on"),
        ({"adapter": "synthetic", "options": {"width": "wide"}}, r"datasets\.x\.options\.width is 'wide'"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, entry: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_dataset(entry, tmp_path, name="x")


def test_classes_reject_void_among_ids() -> None:
    with pytest.raises(AssertionError):
        Classes(ids=(0, 1), names=("a", "b"), void=1, colors=((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P"])
def test_other_modes_become_rgb_with_one_notice(tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(np.full((4, 5, 3), (200, 200, 200), np.uint8)).convert(mode, palette=Image.Palette.ADAPTIVE).save(
        path
    )
    with caplog.at_level(logging.WARNING):
        images = [read_rgb(path), read_rgb(path)]
    for image in images:
        np.testing.assert_array_equal(image, np.full((4, 5, 3), 200, np.uint8))
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 5), 3000, np.uint16)).save(path)
    with pytest.raises(DataError, match=r"deep\.png has 16 bits per channel; convert"):
        read_rgb(path)
    with pytest.raises(DataError, match=r"deep\.png has 16 bits and holds 3000: ids are 0 to 255"):
        read_ids(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_truncated_and_corrupt_files_are_named(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    broken = tmp_path / f"broken{suffix}"
    for damaged in (content[: len(content) // 2], content[:30], b"", b"<html>not found</html>"):
        broken.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"broken\{suffix} cannot be decoded .*copy it again"):
            read_rgb(broken)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png is missing"):
        read_rgb(tmp_path / "absent.png")


def test_palette_labels_keep_their_indices(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(ids, mode="P")
    image.putpalette([255 - i for i in range(36)])
    image.save(tmp_path / "ids.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "ids.png"), ids)


def test_colour_labels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "colours.png")
    with pytest.raises(DataError, match=r"colours\.png has pixel format 'RGB'"):
        read_ids(tmp_path / "colours.png")
