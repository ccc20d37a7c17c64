"""Generated data sets: found by name, written whole or not at all, in the layout of Cityscapes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cityscapes_validation import validate_tree
from cityscapesscripts.helpers.labels import name2label
from PIL import Image, ImageDraw

from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.demo.generators import open_generator, write_generated
from patchprobe.datasets.demo.street_data import city_names
from patchprobe.errors import ConfigError
from patchprobe.files import file_sha256

OPTIONS = {"train": {"cities": 2, "images_per_city": 2}, "val": {"cities": 1, "images_per_city": 1}}
REAL_CITIES = [
    "aachen",
    "bochum",
    "bremen",
    "cologne",
    "darmstadt",
    "dusseldorf",
    "erfurt",
    "hamburg",
    "hanover",
    "jena",
    "krefeld",
    "monchengladbach",
    "strasbourg",
    "stuttgart",
    "tubingen",
    "ulm",
    "weimar",
    "zurich",
    "frankfurt",
    "lindau",
    "munster",
    "berlin",
    "bielefeld",
    "bonn",
    "leverkusen",
    "mainz",
    "munich",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "raw"
    generator = open_generator({"generator": "street", "seed": 3, "options": OPTIONS})
    write_generated(generator, folder, spec='{"seed":3}', code="abc")
    return folder


def test_tree_passes_the_check_that_real_samples_pass(tree: Path) -> None:
    assert validate_tree(tree) == 5
    dataset = open_dataset({"adapter": "cityscapes", "root": "raw"}, tree.parent)
    records = dataset.records("train")
    assert [record.group for record in records] == sorted(city_names("train")[:2] * 2)
    assert dataset.read_image(records[0]).shape == (256, 512, 3)


def test_polygons_drawn_in_order_give_the_label_map(tree: Path) -> None:
    paths = sorted((tree / "gtFine").rglob("*_polygons.json"))
    assert len(paths) == 5
    for path in paths:
        annotation = json.loads(path.read_text())
        # As cityscapesscripts/preparation/json2labelImg.py draws them.
        drawn = Image.new("L", (annotation["imgWidth"], annotation["imgHeight"]), 0)
        for thing in annotation["objects"]:
            corners = [tuple(point) for point in thing["polygon"]]
            ImageDraw.Draw(drawn).polygon(corners, fill=name2label[thing["label"]].id)
        labels = np.array(Image.open(str(path).replace("polygons.json", "labelIds.png")))
        assert (np.array(drawn) == labels).mean() > 0.99


def test_manifest_tells_what_the_files_are(tree: Path) -> None:
    manifest = json.loads((tree.parent / "raw.manifest.json").read_text())
    files = [path for path in tree.rglob("*") if path.is_file()]
    assert manifest["files"] == len(files) == 20
    assert manifest["bytes"] == sum(path.stat().st_size for path in files)
    assert manifest["spec"] == {"seed": 3} and manifest["code"] == "abc"


def test_threads_and_seed(tree: Path, tmp_path: Path) -> None:
    for seed, same in ((3, True), (4, False)):
        generator = open_generator({"generator": "street", "seed": seed, "options": OPTIONS})
        write_generated(generator, tmp_path / "raw", spec="{}", code="", threads=3)
        for path in tree.rglob("*_labelIds.png"):
            assert (file_sha256(tmp_path / "raw" / path.relative_to(tree)) == file_sha256(path)) == same


def test_nothing_half_written_is_left_in_place(tmp_path: Path) -> None:
    class Broken:
        def write(self, root: Path, *, threads: int = 1) -> None:
            (root / "leftImg8bit").mkdir()
            raise RuntimeError("the end")

    with pytest.raises(RuntimeError):
        write_generated(Broken(), tmp_path / "raw", spec="{}", code="")
    assert not (tmp_path / "raw").exists() and not (tmp_path / "raw.manifest.json").exists()
    generator = open_generator(
        {"generator": "street", "seed": 0, "options": {s: {"cities": 1, "images_per_city": 1} for s in OPTIONS}}
    )
    write_generated(generator, tmp_path / "raw", spec="{}", code="")
    assert validate_tree(tmp_path / "raw") == 2


def test_cities_are_invented_and_in_one_split_only() -> None:
    train, val = city_names("train"), city_names("val")
    assert len({*train, *val}) == len(train) + len(val) == 96
    assert not {*train, *val} & {*REAL_CITIES} and all(re.fullmatch("[a-z]+", name) for name in train + val)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"generator": "streets"},
            "datasets.d.generate.generator: there is no generator 'streets'; did you mean street?",
        ),
        ({"generator": "os"}, "there is no generator 'os'; known are aerial, landuse, street, street_video"),
        ({"options": {"test": {}}}, "datasets.d.generate.options.test is unknown: take one of train, val"),
        ({"options": {"train": 3}}, "options.train is 3; give it the keys cities and images_per_city"),
        ({"options": {"train": {"city": 3}}}, "options.train.city is unknown: take one of cities, images_per_city"),
        ({"options": {"val": {"cities": 49}}}, "options.val.cities is 49; set it to a whole number from 1 to 48"),
        ({"options": {"val": {"images_per_city": True}}}, "options.val.images_per_city is True; set it to"),
    ],
)
def test_bad_entries_name_their_key(entry: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_generator({"generator": "street", "seed": 0, **entry}, name="d")
