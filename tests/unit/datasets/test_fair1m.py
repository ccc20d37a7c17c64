"""The FAIR1M adapter: real files against a count of their text, layouts as people have them, and hostile XML."""

import os
import re
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from patchprobe.datasets.adapters.fair1m import CATEGORIES, FAIR1M
from patchprobe.datasets.dataset import Record, Window, open_dataset
from patchprobe.datasets.draws import tile_records
from patchprobe.datasets.present_classes import class_sets, present_classes
from patchprobe.errors import ConfigError, DataError, PatchprobeError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 40, 50
SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
BOX = ("2,3", "12.5,3", "12.5,9", "2,9", "2,3")
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def thing(name="Van", points=BOX, unit="pixel"):
    listed = "".join(f"<point>{point}</point>" for point in points)
    return (
        f"<object><coordinate>{unit}</coordinate><type>rectangle</type><description>None</description>"
        f"<possibleresult><name>{name}</name></possibleresult><points>{listed}</points></object>\n"
    )


def annotation(*things, size=SIZE, head=HEAD):
    source = "<source><filename>1.tif</filename><origin>GF2/GF3</origin></source>"
    return f"{head}<annotation>{source}{size}<objects>{''.join(things)}</objects></annotation>"


def write_image(root, place, number, text=None, labels="labelXml"):
    """Write an image and its file of boxes, and return the latter."""
    for folder in ("images", labels):
        (root / place / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(root / place / f"images/{number}.tif")
    path = root / place / labels / f"{number}.xml"
    path.write_text(annotation(thing()) if text is None else text)
    return path


@pytest.fixture
def one(tmp_path):
    """A data set of one image, and a function that reads its boxes from other content."""
    path = write_image(tmp_path, "validation", 7)
    dataset = FAIR1M(tmp_path, {})
    (record,) = dataset.records("validation")

    def read(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return dataset.read_boxes(record)

    return read


def counted(text):
    """Return names and corners of all objects in a text, by their patterns alone."""
    names = re.findall(r"<name>\s*(.*?)\s*</name>", text)
    points = re.findall(r"<point>\s*(\S+?)\s*,\s*(\S+?)\s*</point>", text)
    return names, np.array(points, float).reshape(-1, 5, 2)


def test_classes_are_the_37_and_the_background():
    classes = FAIR1M.classes
    assert classes.ids == tuple(range(38)) and classes.background == 0 and classes.names[0] == "background"
    assert Counter(classes.supercategories) == {
        "background": 1,
        "airplane": 11,
        "ship": 9,
        "vehicle": 10,
        "court": 4,
        "road": 3,
    }
    assert [name for names in CATEGORIES.values() for name in names] == list(classes.names[1:])
    assert len(set(classes.colors)) == 38 and all(0 <= c <= 255 for color in classes.colors for c in color)
    with pytest.raises(ConfigError, match=r"options\.size: this adapter has no options; remove it"):
        FAIR1M(Path(), {"size": 3})


def test_real_images_and_boxes(shared):
    dataset = open_dataset({"adapter": "fair1m", "root": "FAIR1M"}, shared / "samples/fair1m")
    records = dataset.records("train")
    assert len(records) == 14 and [r.image_id for r in records] == sorted(r.image_id for r in records)
    assert {r.group for r in records} == {"train/part1"} and records[0].image_id == "train/part1/1003"
    assert sum(len(dataset.read_boxes(record)) for record in records) > 300
    for record in records:
        names, points = counted((dataset.root / record.label).read_text())
        boxes = dataset.read_boxes(record)
        assert [dataset.classes.names[i] for i in boxes.ids] == names
        np.testing.assert_array_equal(boxes.corners, points[:, :4])
        assert (points[:, 4] == points[:, 0]).all() and not boxes.difficult.any()
        assert dataset.image_size(record) == Image.open(dataset.root / record.image).size[::-1]
    record = records[0]
    image, label = dataset.read_image(record), dataset.read_label(record)
    np.testing.assert_array_equal(image, np.array(Image.open(dataset.root / record.image)))
    assert image.shape[:2] == label.shape and set(np.unique(label)) <= {0, *dataset.read_boxes(record).ids.tolist()}
    (tile,) = tile_records(records, [f"{record.image_id}@x448y224"], 224)
    np.testing.assert_array_equal(dataset.read_image(tile), image[224:448, 448:672])
    np.testing.assert_array_equal(dataset.read_label(tile), label[224:448, 448:672])
    assert dataset.digests(tile) == dataset.digests(record)


def test_real_files_of_boxes_without_images(shared, tmp_path):
    found, number = Counter(), 0
    folder = shared / "samples/fair1m/_labels_only_no_images"
    for label in sorted(folder.rglob("*.xml")):
        text = label.read_text()
        copied = tmp_path / label.relative_to(folder)
        image = copied.parents[1] / f"images/{label.stem}.tif"
        for path in (copied, image):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(label, copied)
        width, height, depth = (int(re.search(rf"<{key}>(\d+)<", text)[1]) for key in ("width", "height", "depth"))
        options = {"driver": "GTiff", "count": depth, "dtype": "uint8", "SPARSE_OK": "TRUE"}
        with rasterio.open(image, "w", height=height, width=width, photometric="RGB", **options):
            pass
    dataset = FAIR1M(tmp_path, {})
    records = dataset.records("train") + dataset.records("validation")
    assert len(records) == 10 and {r.group for r in records} == {"train/part1", "train/part2", "validation"}
    for record in records:
        names, points = counted((tmp_path / record.label).read_text())
        boxes = dataset.read_boxes(record)
        found.update(dataset.classes.names[i] for i in boxes.ids)
        assert Counter(dataset.classes.names[i] for i in boxes.ids) == Counter(names)
        np.testing.assert_array_equal(boxes.corners, points[:, :4])
        number += len(names)
    assert set(found) == set(dataset.classes.names[1:]) and found.total() == number
    degenerate = next(record for record in records if record.image_id == "train/part1/1")
    boxes = dataset.read_boxes(degenerate)
    assert any((corners == corners[0]).all() for corners in boxes.corners) and len(boxes.polygons()[0]) < len(boxes)


def test_real_boxes_lie_in_the_tiles_where_points_thrown_into_them_do(shared):
    dataset = open_dataset({"adapter": "fair1m", "root": "FAIR1M"}, shared / "samples/fair1m")
    side, rng, checked = 224, np.random.default_rng(0), Counter()
    table = present_classes(dataset, "train", tile=side, threads=2)
    assert table.equals(present_classes(dataset, "train", tile=side)) and set(table["source"]) == {"train"}
    present = class_sets(table)
    for record in dataset.records("train"):
        boxes, (rows, columns) = dataset.read_boxes(record), dataset.image_size(record)
        possible: dict[str, set[int]] = {}
        certain: dict[str, set[int]] = {}
        for corners, i in zip(boxes.corners, boxes.ids.tolist(), strict=True):
            along = rng.uniform(0, 1, (1000, 2))
            x, y = (corners[0] + along @ np.stack([corners[1] - corners[0], corners[3] - corners[0]])).T // side
            for (column, row), n in Counter(zip(x.tolist(), y.tolist(), strict=True)).items():
                name = f"{record.image_id}@x{int(column) * side}y{int(row) * side}"
                if 0 <= row < rows // side and 0 <= column < columns // side and n > 333 - 90:
                    possible.setdefault(name, set()).add(i)
                    if n > 333 + 90:
                        certain.setdefault(name, set()).add(i)
        found = {name: ids for name, ids in present.items() if name.startswith(f"{record.image_id}@")}
        assert all(ids <= possible.get(name, set()) for name, ids in found.items())
        assert all(ids <= found.get(name, set()) for name, ids in certain.items())
        checked.update(possible=len(possible), certain=len(certain))
    assert 100 < checked["certain"] <= checked["possible"] < 1.1 * checked["certain"]


def test_parts_and_splits_have_the_same_numbers_under_their_own_names(tmp_path):
    for place in ("train/part2", "train/part1", "validation"):
        for number in (10, 9, 0):
            write_image(tmp_path, place, number, labels="labelXmls" if place == "validation" else "labelXml")
    dataset = FAIR1M(tmp_path, {})
    train, validation = dataset.records("train"), dataset.records("validation")
    assert [r.image_id for r in train] == [f"train/part{part}/{n}" for part in (1, 2) for n in ("0", "10", "9")]
    assert train[4] == Record(
        "train/part2/10", "train/part2", Path("train/part2/images/10.tif"), Path("train/part2/labelXml/10.xml")
    )
    assert validation[0].label == Path("validation/labelXmls/0.xml") and validation[0].group == "validation"
    assert len(dataset.read_boxes(validation[2])) == 1
    for split in ("test", "val"):
        with pytest.raises(DataError, match=rf"FAIR1M has no boxes for split '{split}': take one of train, validation"):
            dataset.records(split)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"train has no folder images: FAIR1M has train/part1/images, "):
        FAIR1M(tmp_path / "empty", {}).records("train")


def test_the_release_of_the_competition_has_no_parts(tmp_path):
    write_image(tmp_path, "train", 3)
    dataset = FAIR1M(tmp_path, {})
    assert [(r.image_id, r.group) for r in dataset.records("train")] == [("train/3", "train")]
    write_image(tmp_path, "train/part2", 3)
    with pytest.raises(DataError, match=r"train has images itself and in part2, which are of two releases: leave one"):
        dataset.records("train")


def test_folders_of_boxes_that_are_missing_or_twice_there(tmp_path):
    label = write_image(tmp_path, "train/part1", 1)
    dataset = FAIR1M(tmp_path, {})
    shutil.copytree(label.parent, label.parent.with_name("labelXmls"))
    with pytest.raises(DataError, match=r"train/part1 has both labelXml and labelXmls: give it one folder"):
        dataset.records("train")
    shutil.rmtree(label.parent)
    assert dataset.records("train")[0].label == Path("train/part1/labelXmls/1.xml")
    shutil.rmtree(label.parent.with_name("labelXmls"))
    with pytest.raises(DataError, match=r"train/part1 has no folder labelXml: give it one"):
        dataset.records("train")


def test_partners_that_are_missing_are_named(tmp_path):
    labels = [write_image(tmp_path, "validation", number) for number in (1, 2, 3)]
    dataset = FAIR1M(tmp_path, {})
    labels[1].unlink()
    with pytest.raises(DataError, match=r"box file of image .*validation/images/2\.tif is missing; copy it there"):
        dataset.records("validation")
    for number in (1, 2):
        (tmp_path / f"validation/images/{number}.tif").unlink()
    with pytest.raises(
        DataError, match=r"the image of box file .*validation/labelXml/1\.xml is missing; copy it there"
    ):
        dataset.records("validation")


def test_what_systems_leave_behind_is_passed_over_and_other_names_are_refused(tmp_path):
    write_image(tmp_path, "validation", 0)
    images, labels = tmp_path / "validation/images", tmp_path / "validation/labelXml"
    for left in (labels / "._0.xml", images / "._0.tif", images / ".DS_Store", images / "readme.txt"):
        left.write_text("left by a file manager")
    (images / "8.tif").mkdir()
    os.mkfifo(labels / "9.xml")
    dataset = FAIR1M(tmp_path, {})
    assert [r.image_id for r in dataset.records("validation")] == ["validation/0"]
    for name in ("a.tif", "1 (2).tif", "1.aux.tif", "-1.tif", "٣.tif"):
        (images / name).write_text("")
        with pytest.raises(
            DataError, match=rf"{re.escape(name)} should be named <number>\.tif: give it its original name"
        ):
            dataset.records("validation")
        (images / name).unlink()
    (labels / "0b.xml").write_text("")
    with pytest.raises(DataError, match=r"0b\.xml should be named <number>\.xml"):
        dataset.records("validation")


def test_boxes_have_their_corners_and_categories(one):
    found = one(
        annotation(thing(), thing("Small Car", BOX[:4]), thing(" other-ship ", ("-3.5,1e3", *BOX[1:4], "-3.5,1000")))
    )
    assert found.ids.tolist() == [FAIR1M.classes.names.index(name) for name in ("Van", "Small Car", "other-ship")]
    expected = [[2, 3], [12.5, 3], [12.5, 9], [2, 9]]
    assert found.corners[:2].tolist() == [expected, expected] and found.corners[2, 0].tolist() == [-3.5, 1000]
    assert len(one(annotation())) == 0
    assert len(one(annotation(thing(), head="").encode("utf-16"))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (thing("Small car"), r"'Small car' is none of the 37 categories \(did you mean Small Car\?\): copy"),
        (thing("dragon"), r"'dragon' is none of the 37 categories: copy"),
        (thing("background"), "'background' is none of the 37 categories"),
        (thing(""), "'' is none of the 37 categories"),
        (thing("x" * 3_000_000), "'x*…x*' is none of the 37 categories: copy"),
        (thing("Van\u202e\x85\x7f"), r"'Van\\u202e\\x85\\x7f' is none"),
        (thing().replace("<name>", "<name>Van</name><name>"), "it has 2 categories and not one"),
        (thing().replace("possibleresult", "result"), "it has 0 categories and not one"),
        (thing(unit="degree"), "its coordinates are 'degree' and not 'pixel'"),
        (thing(unit="z" * 100_000), "its coordinates are 'z*…z*' and not 'pixel'"),
        (thing(points=BOX[:3]), "3 points are no box, which has four corners"),
        (thing(points=(*BOX, "2,3")), "6 points are no box"),
        (thing(points=(*BOX[:4], "2,3.1")), "5 points are no box"),
        (thing(points=()), "0 points are no box"),
        *((thing(points=(point, *BOX[1:4], point)), "point '.*' is no place in an image")
          for point in ("nan,3", "3,inf", "-inf,3", "1e300,3", "3,-1e7", "a,b", "3", "", "1,2,3", "3;4", "1" * 5000 + ",2", "0x3,4")),
    ],
)  # fmt: skip
def test_bad_objects_are_named_by_file_and_number(one, text, message):
    with pytest.raises(DataError, match=rf"validation/labelXml/7\.xml, object 2: {message}") as error:
        one(annotation(thing(), text, thing("other nonsense")))
    said = str(error.value)
    assert said.endswith(": copy the file again from the release") and said.isprintable() and len(said) < 500


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
SECRET = "root:x"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>', "&l11;"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;"),
        ('<!DOCTYPE a [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]>', "Van"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd">', "Van"),
        ("<!DOCTYPE annotation>", "Van"),
    ],
)
def test_entities_and_document_types_are_refused(one, head, name):
    with pytest.raises(DataError, match=r"7\.xml declares a document type or entities, which .*: replace it$") as error:
        one(annotation(thing(name), head=HEAD + head))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no XML",
        bytes(range(256)),
        bytes(1000),
        b"\x89PNG\r\n\x1a\n",
        annotation(thing())[:-20],
        annotation(thing("&unknown;")),
        annotation(thing()).encode().replace(b"Van", b"\xff\xfe"),
        *(annotation(thing(), head=f'<?xml version="1.0" encoding="{e}"?>') for e in ("foo", "zlib", "rot13", "utf-7", "idna")),
        annotation(thing(), size=SIZE.replace(str(WIDTH), "wide" * 10_000)),
        annotation(thing(), size=SIZE.replace(str(WIDTH), "1" * 10_000)),
        annotation(thing(), size="<size><width>50</width></size>"),
        "<a>" * 100_000,
    ],
)  # fmt: skip
def test_files_that_are_no_such_xml_are_named(one, content):
    with pytest.raises(
        DataError, match=r"7\.xml is not the XML of a release of FAIR1M \(.*\); copy it again from it$"
    ) as error:
        one(content)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (annotation(thing(), size=SIZE.replace(str(WIDTH), "60")), "is of an image of 60 x 40 pixels"),
        (annotation(thing(), size=SIZE.replace(str(WIDTH), "-50")), "is of an image of -50 x 40 pixels"),
        (annotation(thing(), size=""), "does not say the size of its image"),
        ("<html/>", "does not say the size of its image"),
        (
            annotation(thing()).replace("<annotation>", '<annotation xmlns="urn:a">'),
            "does not say the size of its image",
        ),
    ],
)
def test_boxes_of_another_image_are_refused_by_its_size(one, text, said):
    with pytest.raises(DataError, match=rf"labelXml/7\.xml {said}, and .*images/7\.tif is 50 x 40: copy both again"):
        one(text)


def test_missing_and_locked_files_are_named(tmp_path):
    path = write_image(tmp_path, "validation", 7)
    dataset = FAIR1M(tmp_path, {})
    (record,) = dataset.records("validation")
    path.unlink()
    with pytest.raises(DataError, match=r"7\.xml is missing; copy it there from the release"):
        dataset.read_boxes(record)
    path.mkdir()
    with pytest.raises(DataError, match=r"7\.xml is not the XML of a release"):
        dataset.read_boxes(record)
    path.rmdir()
    path.write_text(annotation(thing()))
    (tmp_path / record.image).write_text("no image")
    with pytest.raises(DataError, match=r"7\.tif is neither TIFF nor PNG"):
        dataset.read_boxes(record)


def test_what_stands_around_objects_does_not_matter(one):
    deep = "<a>" * 50_000 + "</a>" * 50_000
    assert len(one(annotation(thing(), deep, "<!-- a comment -->", "<?program?>", thing("Bus")))) == 2


def test_many_objects_are_read_drawn_and_placed(tmp_path):
    number = 20_000
    names = [name for names in CATEGORIES.values() for name in names]
    left, top = np.divmod(np.arange(number), 500)
    corners = [
        [f"{x},{y}" for x, y in ((a, b), (a + 1, b), (a + 1, b + 1), (a, b + 1), (a, b))]
        for a, b in zip(left, top, strict=True)
    ]
    text = annotation(*(thing(names[i % 37], points) for i, points in enumerate(corners)))
    write_image(
        tmp_path, "validation", 7, text.replace("<width>50<", "<width>40<").replace("<height>40<", "<height>500<")
    )
    Image.fromarray(np.zeros((500, 40, 3), np.uint8)).save(tmp_path / "validation/images/7.tif")
    dataset = FAIR1M(tmp_path, {})
    (record,) = dataset.records("validation")
    label = dataset.read_label(record)
    np.testing.assert_array_equal(label, np.arange(number).reshape(40, 500).T % 37 + 1)
    (tile,) = tile_records([record], ["validation/7@x20y100"], 20)
    assert tile.window == Window(100, 20, 20, 20)
    part = dataset.read_label(tile)
    np.testing.assert_array_equal(part, label[100:120, 20:40])
    present = class_sets(present_classes(dataset, "validation", tile=20))
    assert len(present) == 50 and list(present) == [
        f"validation/7@x{x}y{y}" for y, _ in pairwise(range(0, 501, 20)) for x in (0, 20)
    ]
    assert present[tile.image_id] == set(np.unique(part).tolist())


def test_every_error_names_its_file_and_all_are_said_at_once(tmp_path):
    texts = [annotation(thing("dragon")), annotation(thing()), "", annotation(thing(points=BOX[:2]))]
    for number, text in enumerate(texts):
        write_image(tmp_path, "validation", number, text)
    with pytest.raises(PatchprobeError, match="3 images or label maps cannot be used") as error:
        present_classes(FAIR1M(tmp_path, {}), "validation", tile=20)
    assert all(f"labelXml/{number}.xml" in str(error.value) for number in (0, 2, 3)) and "1.xml" not in str(error.value)
