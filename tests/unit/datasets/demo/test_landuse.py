"""Land-use images: the layout of UCMerced, classes that texture tells apart and colour alone does not, and options."""

import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from patchprobe.datasets.demo.generators import open_generator
from patchprobe.datasets.demo.landuse_data import draw_place
from patchprobe.datasets.demo.landuse_places import PLACES
from patchprobe.datasets.demo.ucmerced_layout import CLASSES
from patchprobe.errors import ConfigError
from patchprobe.files import folder_content

OPTIONS = {"classes": ["beach", "runway"], "images_per_class": 12}
DEFAULT = list(PLACES)[:10]
IMAGES = 16


def write(root: Path, seed: int = 3, threads: int = 1, options: dict | None = None) -> Path:
    root.mkdir()
    entry = {"generator": "landuse", "seed": seed, "options": options or OPTIONS}
    open_generator(entry).write(root, threads=threads)
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("landuse") / "raw")


@cache
def pictures() -> np.ndarray:
    """Return pictures of the classes of the default set, (classes * images, 64, 64, 3)."""
    drawn = [draw_place(1, name, number, 64) for name in DEFAULT for number in range(IMAGES)]
    return np.array([cv2.resize(picture, (64, 64)) for picture in drawn])


def test_names_are_those_of_the_release(shared: Path) -> None:
    folders = sorted(path.name for path in (shared / "samples/ucmerced/UCMerced_LandUse/Images").iterdir())
    assert list(CLASSES) == folders
    assert sorted(PLACES) == folders


def test_files_are_where_the_release_has_them(tree: Path) -> None:
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert found == [f"Images/{name}/{name}{n:02d}.tif" for name in ("beach", "runway") for n in range(12)]
    for path in tree.rglob("*.tif"):
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("TIFF", "RGB")
            assert image.info["compression"] == "raw"
            # 305, 306: the program and the time, which would make the same picture another file.
            assert not {305, 306} & {*image.tag_v2}


def test_a_few_pictures_are_off_by_some_pixels() -> None:
    shapes = [draw_place(0, name, number, 32).shape for name in ("runway", "storagetanks") for number in range(80)]
    off = [shape for shape in shapes if shape != (32, 32, 3)]
    assert 2 <= len(off) <= 16
    assert all(abs(side - 32) <= 3 for shape in off for side in shape[:2])


def test_same_seed_same_bytes_and_another_seed_others(tree: Path, tmp_path: Path) -> None:
    assert folder_content(write(tmp_path / "again", threads=3)) == folder_content(tree)
    other = write(tmp_path / "other", seed=4)
    drawn = {path.read_bytes() for path in tree.rglob("*.tif")}
    assert len(drawn) == 24 and not drawn & {path.read_bytes() for path in other.rglob("*.tif")}


def test_a_picture_does_not_depend_on_the_classes_beside_it(tree: Path, tmp_path: Path) -> None:
    few = write(tmp_path / "few", options={"classes": ["runway"], "images_per_class": 2})
    for path in few.rglob("*.tif"):
        assert path.read_bytes() == (tree / path.relative_to(few)).read_bytes()


def test_a_number_takes_unlike_classes_and_a_list_those_named(tmp_path: Path) -> None:
    root = write(tmp_path / "raw", options={"classes": 9, "images_per_class": 1, "size": 32})
    assert sorted(path.name for path in (root / "Images").iterdir()) == sorted(list(PLACES)[:9])
    with Image.open(next((root / "Images").rglob("forest00.tif"))) as image:
        assert max(image.size) <= 35


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_varies(name: str) -> None:
    """Colour and light, place and direction: no two pictures of a class are alike."""
    drawn = np.array([cv2.resize(draw_place(2, name, number, 64), (64, 64)) for number in range(6)], np.float32)
    means = drawn.mean((1, 2, 3))
    assert np.ptp(means) > 8
    flat = drawn.mean(3).reshape(6, -1)
    likeness = np.corrcoef(flat)[np.triu_indices(6, 1)]
    assert likeness.max() < 0.8
    # There is something in each: not one flat tone.
    assert drawn.std((1, 2)).mean(1).min() > 3


def colors(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32).mean((1, 2))


def textures(images: np.ndarray) -> np.ndarray:
    """Return what brightness does over 1 to 16 px, whatever its mean: spread of bands, edges by strength and direction."""
    features = []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        grey -= grey.mean()
        bands, wide = [], grey
        for sigma in (1, 2, 4, 8):
            blurred = cv2.GaussianBlur(grey, (0, 0), sigma)
            bands.append(wide - blurred)
            wide = blurred
        strength = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        angle = np.arctan2(cv2.Sobel(grey, cv2.CV_32F, 0, 1), cv2.Sobel(grey, cv2.CV_32F, 1, 0))
        # By how much edges agree in direction, in quarters of a turn and in halves.
        order = [abs((strength * np.exp(1j * k * angle)).sum()) / strength.sum() for k in (2, 4)]
        third = [float(np.mean(band**3) / (band.std() ** 3 + 1e-6)) for band in bands]
        spread = [float(np.log(band.std() + 1e-3)) for band in (*bands, wide)]
        features.append([*spread, *third, *order, float(np.log(np.quantile(strength, 0.98) + 1))])
    return np.array(features)


def accuracy(features: np.ndarray, classifier: object) -> float:
    labels = np.repeat(np.arange(len(DEFAULT)), IMAGES)
    return float(cross_val_score(make_pipeline(StandardScaler(), classifier), features, labels, cv=4).mean())


def test_classes_are_told_apart_by_texture_and_not_by_colour_alone() -> None:
    by_color = accuracy(colors(pictures()), KNeighborsClassifier(5))
    by_texture = accuracy(textures(pictures()), LinearDiscriminantAnalysis())
    both = accuracy(np.hstack((colors(pictures()), textures(pictures()))), LinearDiscriminantAnalysis())
    chance = 1 / len(DEFAULT)
    assert 2 * chance < by_color < 0.65
    assert by_texture > by_color + 0.1
    assert both > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class": 3}, "datasets.d.generate.options.class is unknown: take one of classes, images_per_class, size"),
        ({"classes": 1}, "options.classes is 1; set it to a whole number from 2 to 21 or to a list of classes"),
        ({"classes": 22}, "options.classes is 22; set it to a whole number from 2 to 21"),
        ({"classes": []}, "options.classes is []; set it to a whole number"),
        ({"classes": True}, "options.classes is True; set it to a whole number"),
        ({"classes": ["beech"]}, "options.classes: 'beech' is no class of UCMerced; did you mean beach?"),
        ({"classes": ["volcano"]}, "options.classes: 'volcano' is no class of UCMerced; known are agricultural,"),
        ({"images_per_class": 101}, "options.images_per_class is 101; set it to a whole number from 1 to 100"),
        ({"size": 31}, "options.size is 31; set it to a whole number from 32 to 512"),
        ({"size": 64.0}, "options.size is 64.0; set it to a whole number"),
    ],
)
def test_bad_options_name_their_key(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_generator({"generator": "landuse", "seed": 0, "options": options}, name="d")
