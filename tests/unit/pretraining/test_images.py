import json

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.cityscapes import Cityscapes
from patchprobe.errors import DataError
from patchprobe.pretraining.images import open_source, read_images, write_images
from patchprobe.stores.writing import build_store


def options(**changes):
    return {"folder": "pictures", "count": 100, "size": [32, 48], **changes}


def save(path, shape=(40, 60), value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(path)


def store(source, folder, monkeypatch=None):
    path = folder / "images.zarr"
    with build_store(path, spec=json.dumps({}), code="0") as build:
        write_images(build, source, processes=1)
    return read_images(path)


def test_sub_folders_are_classes(tmp_path):
    for number, name in enumerate(["cats", "dogs", "cats"]):
        save(tmp_path / "pictures" / name / "more" / f"{number}.png", value=10 * number)
    images = store(open_source(options(), data_root=tmp_path, seed=0), tmp_path)
    assert images.class_names == ("cats", "dogs")
    assert images.images.shape == (3, 32, 48, 3)
    assert images.images[:, 0, 0, 0].tolist() == [0, 20, 10] and images.labels.tolist() == [0, 0, 1]
    assert len(images.sha256) == 64


@pytest.mark.parametrize("names", [["a.png", "b.jpg"], ["x/a.png", "b.png"], ["x/a.png", "x/b.png"]])
def test_other_folders_have_no_classes(names, tmp_path):
    for name in names:
        save(tmp_path / "pictures" / name)
    images = store(open_source(options(), data_root=tmp_path, seed=0), tmp_path)
    assert images.class_names == () and images.labels.tolist() == [255, 255]


def test_images_cover_the_size_and_keep_their_middle(tmp_path):
    picture = np.zeros((64, 200, 3), np.uint8)
    picture[:, 52:148] = 250  # the 96 columns in the middle
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture).save(tmp_path / "pictures/wide.png")
    save(tmp_path / "pictures/small.png", shape=(8, 12), value=250)
    source = open_source(options(), data_root=tmp_path, seed=0)
    for number in range(2):
        image, _ = source.read(number)
        assert image.shape == (32, 48, 3) and (image > 240).all()


def test_the_seed_draws_from_a_large_folder(tmp_path):
    for number in range(30):
        save(tmp_path / f"pictures/{number:02d}.png", value=number)
    drawn = [open_source(options(count=10), data_root=tmp_path, seed=seed) for seed in (0, 0, 1)]
    values = [[int(source.read(number)[0][0, 0, 0]) for number in range(source.count)] for source in drawn]
    assert values[0] == values[1] != values[2] and len(set(values[0])) == 10


def test_scenes_have_the_label_maps_of_the_cityscapes_benchmark(tmp_path):
    source = open_source(options(folder=None, count=2), data_root=tmp_path, seed=3)
    images = store(source, tmp_path)
    assert images.images.shape == (2, 256, 512, 3) and images.labels.shape == (2, 256, 512)
    assert images.class_names == Cityscapes.classes.names
    assert set(np.unique(images.labels)) <= {*range(19), 255} and len(np.unique(images.labels)) > 5
    assert images.images.std() > 10
    other = open_source(options(folder=None, count=2), data_root=tmp_path, seed=4)
    assert not np.array_equal(other.read(0)[0], images.images[0])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "there is no folder .*pictures; create it or correct the key"),
        (lambda folder: folder.mkdir(), r"holds no images \(\.jpg"),
    ],
)
def test_missing_images_are_an_error(prepare, message, tmp_path):
    prepare(tmp_path / "pictures")
    with pytest.raises(DataError, match=rf"pretraining\.images\.folder: .*{message}"):
        open_source(options(), data_root=tmp_path, seed=0)


def test_a_broken_image_is_named(tmp_path):
    save(tmp_path / "pictures/a.png")
    (tmp_path / "pictures/b.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"b\.png cannot be decoded"):
        store(open_source(options(), data_root=tmp_path, seed=0), tmp_path)
    assert not (tmp_path / "images.zarr").exists()
