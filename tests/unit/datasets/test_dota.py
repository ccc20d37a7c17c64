"""The DOTA adapter: real files against a count of their text, layouts as people have them, and hostile files of boxes."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.dota import DOTA
from patchprobe.datasets.annotations import says_ground_sample_distance
from patchprobe.datasets.dataset import Record, open_dataset
from patchprobe.datasets.draws import tile_records
from patchprobe.datasets.present_classes import class_sets, present_classes
from patchprobe.errors import ConfigError, DataError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

# In the order of the development kit's dota_utils.wordname_15.
KIT = [
    *("plane", "baseball-diamond", "bridge", "ground-track-field", "small-vehicle", "large-vehicle", "ship"),
    *("tennis-court", "basketball-court", "storage-tank", "soccer-ball-field", "roundabout", "harbor", "swimming-pool"),
    "helicopter",
]
BOX = "2 3 12 3 12 9 2 9"


def write_image(folder, stem, text=f"{BOX} plane 0\n", labels="labelTxt"):
    """Write an image of 50 x 40 px and its file of boxes, and return the latter."""
    for name in ("images", labels):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / f"images/{stem}.png")
    path = folder / labels / f"{stem}.txt"
    path.write_text(text)
    return path


@pytest.fixture
def one(tmp_path):
    """A data set of one image, and a function that reads its record and boxes from other content and options."""
    path = write_image(tmp_path / "val", "P0007")

    def read(content, **options):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        dataset = DOTA(tmp_path, options)
        (record,) = dataset.records("val")
        return record, dataset.read_boxes(record)

    return read


def counted(path):
    """Return names, corners and difficulties of all objects in a file, by the pattern of their lines alone."""
    text = path.read_bytes().decode()
    assert "\r\n" in text
    found = re.findall(r"^((?:[\d.]+ ){8})(\S+) ([01])\r?$", text, re.MULTILINE)
    assert len(found) == sum(line[:1].isdigit() for line in text.splitlines())
    corners = np.array([numbers.split() for numbers, _, _ in found], float)
    return [name for _, name, _ in found], corners.reshape(-1, 4, 2), [difficult == "1" for _, _, difficult in found]


@pytest.mark.parametrize(("version", "names"), [("v1.0", KIT), ("v1.5", [*KIT, "container-crane"])])
def test_classes_are_those_of_the_version(version, names):
    classes = DOTA(Path(), {"version": version}).classes
    assert set(classes.names) == {"background", *names} and classes.ids == tuple(range(len(names) + 1))
    assert classes.background == 0 == classes.names.index("background")
    assert len(set(classes.colors)) == len(names) + 1 == len(classes.supercategories)
    assert DOTA(Path(), {}).classes.names == DOTA(Path(), {"version": "v1.0"}).classes.names
    # What both have has the same id in both.
    assert classes.names[:16] == DOTA(Path(), {}).classes.names


def test_real_image_and_boxes(shared):
    dataset = open_dataset({"adapter": "dota", "root": "DOTA"}, shared / "samples/dota")
    (record,) = dataset.records("all")
    assert (record.image_id, record.group) == ("P0706", "all")
    names, corners, difficult = counted(dataset.root / record.label)
    boxes = dataset.read_boxes(record)
    assert [dataset.classes.names[i] for i in boxes.ids] == names
    np.testing.assert_array_equal(boxes.corners, corners)
    assert boxes.difficult.tolist() == difficult
    assert Counter(names) == {"ship": 531, "harbor": 5} and boxes.difficult.sum() == 6
    assert float(re.search(r"gsd:(\S+)", (dataset.root / record.label).read_text())[1]) == record.ground_sample_distance
    easy = DOTA(dataset.root, {"difficult": "drop"})
    assert len(easy.read_boxes(record)) == len(boxes) - 6 and not easy.read_boxes(record).difficult.any()
    image, label = dataset.read_image(record), dataset.read_label(record)
    np.testing.assert_array_equal(image, np.array(Image.open(dataset.root / record.image).convert("RGB")))
    assert label.shape == (1182, 1111) and set(np.unique(label)) == {0, *boxes.ids.tolist()}
    table = present_classes(dataset, "all", tile=224)
    tiles = tile_records([record], table["image_id"], 224)
    assert len(tiles) == len(table) <= (1182 // 224) * (1111 // 224)
    for tile, classes in zip(tiles, class_sets(table).values(), strict=True):
        top, left, *_ = tile.window
        part = label[top : top + 224, left : left + 224]
        np.testing.assert_array_equal(dataset.read_label(tile), part)
        np.testing.assert_array_equal(dataset.read_image(tile), image[top : top + 224, left : left + 224])
        assert classes <= set(np.unique(part).tolist())


def test_real_files_of_boxes_without_images(shared, tmp_path):
    labels = sorted((shared / "samples/dota/_labels_only_no_images").glob("*.txt"))
    assert len(labels) == 4
    for label in labels:
        shutil.copy(label, write_image(tmp_path / "train", label.stem))
    dataset = DOTA(tmp_path, {"version": "v1.5"})
    for record, label in zip(dataset.records("train"), labels, strict=True):
        names, corners, difficult = counted(label)
        boxes = dataset.read_boxes(record)
        assert [dataset.classes.names[i] for i in boxes.ids] == names and boxes.difficult.tolist() == difficult
        np.testing.assert_array_equal(boxes.corners, corners)
        said = re.search(r"gsd:(\S+)", label.read_text())[1]
        assert record.ground_sample_distance == float(said) and record.group == "train"
    assert {r.image_id: r.ground_sample_distance for r in dataset.records("train")}["train/P1234"] == 1


def test_splits_have_their_folders(tmp_path):
    for folder in ("train", "val", "."):
        write_image(tmp_path / folder, "P0002", "gsd:0.5\n")
        write_image(tmp_path / folder, "P0001")
    dataset = DOTA(tmp_path, {})
    assert [r.image_id for r in dataset.records("train")] == ["train/P0001", "train/P0002"]
    assert dataset.records("val")[1] == Record(
        "val/P0002", "val", Path("val/images/P0002.png"), Path("val/labelTxt/P0002.txt"), None, 0.5
    )
    assert [(r.image_id, r.group, r.ground_sample_distance) for r in dataset.records("all")] == [
        ("P0001", "all", None),
        ("P0002", "all", 0.5),
    ]
    shutil.rmtree(tmp_path / "val/images")
    for split in ("val", "test"):
        with pytest.raises(
            DataError, match=rf"{split}/images is missing: DOTA has train/images and val/images, .*put them"
        ):
            dataset.records(split)


@pytest.mark.parametrize("version", ["v1.0", "v1.5"])
@pytest.mark.parametrize("labels", ["labelTxt", "labelTxt-{}", "labelTxt-{}/labelTxt", "annotations/version{}"])
def test_boxes_lie_where_archives_and_tools_put_them(tmp_path, version, labels):
    labels = labels.format(version if "-" in labels else version[1:])
    path = write_image(tmp_path / "train", "P0001", labels=labels)
    dataset = DOTA(tmp_path, {"version": version})
    assert [r.label for r in dataset.records("train")] == [path.relative_to(tmp_path)]
    # Those of the other version may lie beside them.
    other = "v1.5" if version == "v1.0" else "v1.0"
    write_image(tmp_path / "train", "P0001", labels=f"labelTxt-{other}/labelTxt")
    write_image(tmp_path / "train", "P0001", labels=f"annotations/version{other[1:]}")
    assert [r.label for r in dataset.records("train")] == [path.relative_to(tmp_path)]


def test_boxes_in_two_folders_or_none_are_refused(tmp_path):
    path = write_image(tmp_path / "train", "P0001", labels="labelTxt-v1.0")
    (tmp_path / "train/labelTxt").mkdir()
    (tmp_path / "train/labelTxt/._P0001.txt").write_text("left by a file manager")
    dataset = DOTA(tmp_path, {})
    assert len(dataset.records("train")) == 1
    write_image(tmp_path / "train", "P0001")
    with pytest.raises(
        DataError, match=r"train/labelTxt and .*train/labelTxt-v1\.0 both hold boxes: leave one of them there"
    ):
        dataset.records("train")
    path.unlink()
    (tmp_path / "train/labelTxt/P0001.txt").unlink()
    with pytest.raises(DataError, match=r"train has no boxes: put those of DOTA v1\.0 into .*train/labelTxt"):
        dataset.records("train")


def test_partners_that_are_missing_and_other_names(tmp_path):
    labels = [write_image(tmp_path / "train", f"P000{number}") for number in range(3)]
    images, dataset = tmp_path / "train/images", DOTA(tmp_path, {})
    (images / "._P0000.png").write_text("left by a file manager")
    os.mkfifo(images / "P0009.png")
    assert len(dataset.records("train")) == 3
    labels[1].unlink()
    with pytest.raises(DataError, match=r"the box file of image .*train/images/P0001\.png is missing; copy it"):
        dataset.records("train")
    for number in (0, 1):
        (images / f"P000{number}.png").unlink()
    with pytest.raises(DataError, match=r"the image of box file .*train/labelTxt/P0000\.txt is missing; copy it"):
        dataset.records("train")
    for name in ("P0706__1__0___0.png", "0001.png", "P00001.png", "P٣٣٣٣.png"):
        (images / name).write_text("")
        with pytest.raises(
            DataError, match=rf"{name} should be named P<4 digits>\.png: whole images are read, not the pieces"
        ):
            dataset.records("train")
        (images / name).unlink()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 1.0}, r"options\.version is 1\.0: set it to v1\.0 or v1\.5"),
        ({"version": "v2.0"}, r"options\.version is 'v2\.0': set it"),
        ({"version": None}, r"options\.version is None: set it"),
        ({"version": ["v1.0"]}, r"options\.version is \['v1\.0'\]: set it"),
        ({"difficult": True}, r"options\.difficult is True: set it to keep or drop"),
        ({"versions": "v1.0"}, r"options\.versions is unknown: take one of version, difficult"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ConfigError, match=rf"^datasets\.aerial\.{message}"):
        open_dataset({"adapter": "dota", "root": ".", "options": options}, tmp_path, name="aerial")


HEADS = "imagesource:GoogleEarth\ngsd:0.25\n"


@pytest.mark.parametrize(
    ("text", "distance", "difficult"),
    [
        (f"{HEADS}{BOX} plane 0\n{BOX} plane 1\n", 0.25, [False, True]),
        (f"{HEADS}{BOX} plane 0\n{BOX} plane 1\n".replace("\n", "\r\n"), 0.25, [False, True]),
        (f"\ufeff{HEADS}{BOX} plane 1", 0.25, [True]),
        (f"\ufeff{BOX} plane 0", None, [False]),
        (f"{BOX} plane\n{BOX} plane 2\n", None, [False, True]),
        (f"\n{HEADS}\n\n  \n{BOX.replace(' ', '  ')} plane 0  \n\n", 0.25, [False]),
        (f"gsd:1\n{BOX} plane 0\n", 1, [False]),
        (f"imagesource:GF\ngsd:None\n{BOX} plane 0\n", None, [False]),
        (f"gsd:null\n{BOX} plane 0\n", None, [False]),
        (f"imagesource:\ngsd: 3e-1 \n{BOX.replace(' ', '.0 ')} plane 0\n", 0.3, [False]),
        (HEADS, 0.25, []),
        ("", None, []),
    ],
)
def test_files_of_boxes_as_people_have_them(one, text, distance, difficult):
    record, boxes = one(text)
    assert record.ground_sample_distance == distance and boxes.difficult.tolist() == difficult
    assert (boxes.corners == [[2, 3], [12, 3], [12, 9], [2, 9]]).all() and set(boxes.ids.tolist()) <= {1}
    assert len(one(text, difficult="drop")[1]) == difficult.count(False)


@pytest.mark.parametrize("gsd", ["-1", "0", "nan", "inf", "-inf", "word", "0.5m", "9" * 100_000, "0,3"])
def test_ground_sample_distances_that_are_no_size_are_refused(one, gsd):
    with pytest.raises(
        DataError, match=r"labelTxt/P0007\.txt: gsd is '.*', no size in metres; correct the line, or "
    ) as error:
        one(f"imagesource:GF\ngsd:{gsd}\n{BOX} plane 0\n")
    assert len(str(error.value)) < 500


def test_categories_of_the_other_version_name_the_option(one):
    crane = f"{HEADS}{BOX} plane 0\n{BOX} container-crane 0\n"
    with pytest.raises(
        DataError, match=r"P0007\.txt line 4: 'container-crane' is no category of DOTA v1\.0: .*options\.version"
    ):
        one(crane)
    _, boxes = one(crane, version="v1.5")
    assert boxes.ids.tolist() == [1, 16] and DOTA(Path(), {"version": "v1.5"}).classes.names[16] == "container-crane"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{BOX} small-vehicel 0", r"'small-vehicel' is no category of DOTA v1\.0 \(did you mean small-vehicle\?\): copy"),
        (f"{BOX} dragon 0", r"'dragon' is no category of DOTA v1\.0: copy"),
        (f"{BOX} background 0", "'background' is no category"),
        (f"{BOX} {'x' * 3_000_000} 0", "'x*…x*' is no category"),
        (f"{BOX} pl\u202e\x1b[31mane 0", r"'pl\\u202e\\x1b\[31mane' is no category"),
        (BOX, "is not eight numbers, a category and a difficulty"),
        (f"{BOX} plane 0 0", "is not eight numbers"),
        (f"{BOX} plane 3", "is not eight numbers"),
        (f"{BOX} pl\u2028ane 0", "is not eight numbers"),
        (f"{BOX} soccer ball-field 0", "is not eight numbers"),
        (f"plane {BOX} 0", "is not eight numbers"),
        ("1 " * 1_000_000, "is not eight numbers"),
        ("\0" * 60, "is not eight numbers"),
        *((BOX.replace("12", number, 1) + " plane 0", "a corner of .* is no place in an image")
          for number in ("nan", "inf", "-inf", "1e300", "-2000000", "1" * 5000)),
        *((BOX.replace("12", number, 1) + " plane 0", "is not eight numbers") for number in ("a", "1,2", "0x3", "--1")),
    ],
)  # fmt: skip
def test_bad_lines_are_named_by_file_and_number(one, line, message):
    with pytest.raises(DataError, match=rf"labelTxt/P0007\.txt line 4: .*{message}") as error:
        one(f"{HEADS}{BOX} plane 0\n{line}\nother nonsense")
    said = str(error.value)
    assert "copy the file again from the release" in said and said.isprintable() and len(said) < 500


@pytest.mark.parametrize("content", [bytes(range(256)), "gsd:1\n".encode("utf-16"), "imagesource:é".encode("latin-1")])
def test_files_that_are_no_text_are_named(one, content):
    with pytest.raises(DataError, match=r"P0007\.txt is not text in UTF-8; copy it again from the release"):
        one(content)


def test_missing_and_locked_files_are_named(tmp_path):
    path = write_image(tmp_path / "val", "P0001")
    dataset = DOTA(tmp_path, {})
    (record,) = dataset.records("val")
    path.unlink()
    with pytest.raises(DataError, match=r"P0001\.txt is missing; copy it there from the release of DOTA"):
        dataset.read_boxes(record)
    path.mkdir()
    with pytest.raises(DataError, match=r"P0001\.txt is not text"):
        dataset.read_boxes(record)


def test_grey_images_are_rgb_and_said_once(tmp_path, caplog):
    for number in (1, 2):
        write_image(tmp_path / "val", f"P000{number}")
        Image.fromarray(np.full((40, 50), 77, np.uint8)).save(tmp_path / f"val/images/P000{number}.png")
    dataset = DOTA(tmp_path, {})
    assert [dataset.read_image(record)[3, 4].tolist() for record in dataset.records("val")] == [[77] * 3] * 2
    assert len(caplog.messages) == 1 and "P0001.png is a grey image; converted to RGB; said once" in caplog.text


def test_adapters_say_whether_images_have_a_ground_sample_distance():
    assert says_ground_sample_distance("dota") and not says_ground_sample_distance("fair1m")


def test_many_objects_are_read(one):
    line = "{0} {1} {2} {1} {2} {3} {0} {3} ship 0\n"
    text = "".join(line.format(x, y, x + 0.5, y + 0.5) for x in range(100) for y in range(200))
    _, boxes = one(text)
    assert len(boxes) == 20_000 and boxes.corners[-1].tolist() == [[99, 199], [99.5, 199], [99.5, 199.5], [99, 199.5]]
