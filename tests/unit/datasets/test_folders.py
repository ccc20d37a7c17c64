"""Folders described by patterns: what belongs together, splits, what people's folders hold besides, and genuine data sets."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from patchprobe.datasets.adapters.folders import Folders
from patchprobe.datasets.dataset import Dataset, Record, open_dataset
from patchprobe.datasets.index import build_index
from patchprobe.datasets.own_splits import shared_out
from patchprobe.errors import ConfigError, DataError

OPTIONS = {"images": "images/*", "label_maps": "masks/*", "classes": ["soil", "crop"]}
SPLITS = {"train": {"source": "train"}, "evaluation": {"source": "val"}}


def write(root: Path, *places: str, value: int = 0, size: tuple[int, int] = (8, 8)) -> None:
    for place in places:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, value, np.uint8)).save(path)


def pairs(root: Path, split: str = "all", **options: Any) -> list[tuple[str, str, str, str]]:
    records = Folders(root, OPTIONS | options).records(split)
    return [(r.image_id, r.group, r.image.as_posix(), r.label.as_posix()) for r in records]


def test_names_pair_across_suffixes_in_large_and_small_letters(tmp_path: Path) -> None:
    write(tmp_path, "images/b.JPG", "images/a.tif", "masks/a.png", "masks/b.PNG")
    assert pairs(tmp_path) == [("a", "a", "images/a.tif", "masks/a.png"), ("b", "b", "images/b.JPG", "masks/b.PNG")]
    (tmp_path / "images/c.gif").write_bytes(b"GIF89a")
    assert [r[2] for r in pairs(tmp_path, images="images/*.*", label_maps="masks/*.png")] == [
        "images/a.tif",
        "images/b.JPG",
    ]


def test_splits_groups_and_whatever_else_differs(tmp_path: Path) -> None:
    write(tmp_path, "x/train/bonn/7_img.png", "x/train/ulm/7_img.png", "x/val/bonn/7_img.png")
    write(tmp_path, "y/bonn-train-7_ids.png", "y/ulm-train-7_ids.png", "y/bonn-val-7_ids.png")
    patterns = {"images": "x/{split}/{group}/*_img.png", "label_maps": "y/{group}-{split}-*_ids.png"}
    folder = Folders(tmp_path, OPTIONS | patterns)
    assert list(folder.counts) == ["train", "val"]
    assert pairs(tmp_path, "train", **patterns) == [
        ("train/bonn/7", "bonn", "x/train/bonn/7_img.png", "y/bonn-train-7_ids.png"),
        ("train/ulm/7", "ulm", "x/train/ulm/7_img.png", "y/ulm-train-7_ids.png"),
    ]
    assert len(pairs(tmp_path, "val", **patterns)) == 1


def test_any_depth_several_stars_and_one_label_map_for_a_name_without_the_split(tmp_path: Path) -> None:
    write(tmp_path, "a/1/x/img.png", "a/img.png", "b/1/x/img.png", "b/img.png")
    found = pairs(tmp_path, images="a/**/*.png", label_maps="b/**/*.png")
    assert [r[0] for r in found] == ["1/x/img", "img"] and [r[3] for r in found] == ["b/1/x/img.png", "b/img.png"]
    write(tmp_path, "s1/images/p.png", "s1/masks/p.png", "s2/images/p.png", "s2/masks/p.png")
    assert len(pairs(tmp_path, images="*/images/*", label_maps="*/masks/*")) == 2
    write(tmp_path, "c/train/1.png", "c/val/2.png", "d/1.png", "d/2.png")
    flat = {"images": "c/{split}/*.png", "label_maps": "d/*.png"}
    assert pairs(tmp_path, "val", **flat) == [("val/2", "val/2", "c/val/2.png", "d/2.png")]
    write(tmp_path, "c/train/2.png")
    with pytest.raises(DataError, match=r"c/train/2\.png and .*c/val/2\.png have one label map, .*d/2\.png"):
        pairs(tmp_path, "train", **flat)


def test_what_has_no_partner_is_named_with_where_it_should_be(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "images/b.jpg", "masks/b_mask.png", "masks/c_mask.png")
    with pytest.raises(DataError) as error:
        pairs(tmp_path, label_maps="masks/*_mask.png")
    for part in (
        f"image {tmp_path}/images/a.jpg has no label map {tmp_path}/masks/a_mask.png: copy it there",
        f"label map {tmp_path}/masks/c_mask.png has no image {tmp_path}/images/c.*: copy it there",
    ):
        assert part in str(error.value)


def test_names_that_belong_to_two_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png")
    with pytest.raises(
        DataError, match=r"images/a\.jpg and .*images/a\.png have one label map, .*masks/a\.png: rename one"
    ):
        pairs(tmp_path)
    (tmp_path / "images/a.jpg").unlink()
    write(tmp_path, "masks/a.tif")
    with pytest.raises(
        DataError, match=r"images/a\.png has more than one label map, .*a\.png and .*a\.tif: remove all but one"
    ):
        pairs(tmp_path)


def test_what_systems_leave_behind_is_passed_over_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "images/a.jpg", "images/extra/b.jpg", "masks/a.png")
    for name in ("images/._a.jpg", "masks/._a.png", "masks/Thumbs.db", "images/.hidden.jpg"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "images/notes.txt").write_text("mine")
    assert len(pairs(tmp_path)) == 1
    assert "images/._a.jpg was left behind by a system or program and is passed over for options.images" in caplog.text
    assert "masks/._a.png was left behind by a system or program" in caplog.text
    assert "images/extra/b.jpg does not fit the pattern and is passed over" in caplog.text


def test_folders_may_be_links(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "a.jpg")
    write(tmp_path, "data/masks/a.png")
    (tmp_path / "data/images").symlink_to(tmp_path / "elsewhere")
    assert pairs(tmp_path / "data") == [("a", "a", "images/a.jpg", "masks/a.png")]


def test_patterns_that_nothing_fits(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "masks/a.png")
    with pytest.raises(
        DataError, match=r"photos is missing, where options\.images \(photos/\*\) begins: put the files there"
    ):
        pairs(tmp_path, images="photos/*")
    with pytest.raises(DataError, match=r"has no file that fits options\.label_maps \(masks/\*_x\.png\)"):
        pairs(tmp_path, label_maps="masks/*_x.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": None}, "options.images is None: give a pattern"),
        ({"images": "../x/*.jpg"}, r"options.images is '../x/\*.jpg': give a pattern of files below the root"),
        ({"images": "/x/*.jpg"}, "below the root"),
        ({"images": "x\\*.jpg"}, "with / between folders"),
        ({"images": "images/a.jpg"}, "one file: put . in the place"),
        ({"images": "images/{stem}.jpg"}, "options.images has {stem}: take {split}, {group}"),
        ({"images": "images/[ab]*.jpg"}, "and nothing else"),
        ({"images": "images/a**"}, "and nothing else"),
        ({"label_maps": "masks/*.npy"}, "files .npy are not read: take one of .bmp"),
        ({"images": "*/images/*"}, r"options.label_maps \(masks/\*\) has 1 of \* and options.images .* 2"),
        ({"label_maps": "masks/{group}/*"}, "options.label_maps has {group}, and options.images"),
        ({"images": "{split}/*", "splits": {"a": 1.0}}, "options.splits has no meaning with {split}"),
        ({"splits": {"train": 0.5, "val": 0.4}}, "options.splits has shares of 0.9 in all"),
        ({"splits": {"train": 0.5, "val": "val.txt"}}, "give each split a share, .* or a file of names"),
        ({"splits": {"tr/ain": 1.0}}, "options.splits names 'tr/ain'"),
        ({"splits": {"train": "../train.txt"}}, "options.splits.train is '../train.txt', outside"),
        ({"splits": []}, "options.splits is "),
        ({"orientation": "up"}, "options.orientation is 'up': set it to stored, shown or null"),
        ({"seed": -1}, "options.seed is -1"),
        ({"image": "x/*"}, "options.image is unknown: did you mean images?"),
    ],
)
def test_options_are_refused_by_name(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_dataset({"adapter": "folders", "root": ".", "options": OPTIONS | options}, tmp_path)


def names(count: int) -> list[str]:
    return [f"{i:02}" for i in range(count)]


def test_shares_are_seeded_exact_and_keep_groups_together(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{name}.png" for name in names(20)), *(f"masks/{name}.png" for name in names(20)))
    splits = {"train": 0.7, "val": 0.3}
    found = {split: [r[0] for r in pairs(tmp_path, split, splits=splits)] for split in splits}
    assert [len(own) for own in found.values()] == [14, 6] and sorted(found["train"] + found["val"]) == names(20)
    again = [r[0] for r in pairs(tmp_path, "train", splits=dict(reversed(splits.items())))]
    assert again == found["train"] != [r[0] for r in pairs(tmp_path, "train", splits=splits, seed=1)]

    for group in "abcdef":
        for name in names(5):
            write(tmp_path, f"g/{group}/{name}.png", f"m/{group}/{name}.png")
    patterns = {"images": "g/{group}/*.png", "label_maps": "m/{group}/*.png"}
    groups = [{r[1] for r in pairs(tmp_path, split, splits={"train": 0.5, "val": 0.5}, **patterns)} for split in splits]
    assert [len(own) for own in groups] == [3, 3] and not groups[0] & groups[1]
    with pytest.raises(DataError, match=r"options\.splits gives rare none of the 30 images in 6 groups"):
        pairs(tmp_path, "rare", splits={"rare": 0.01, "usual": 0.99}, **patterns)


def test_a_share_is_near_what_is_asked_for_with_groups_of_any_size() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, 40)
    records = [
        Record(f"{g}/{i}", str(g), Path(f"{g}/{i}"), Path()) for g, size in enumerate(sizes) for i in range(size)
    ]
    for seed in range(5):
        shared = shared_out(records, {"a": 0.2, "b": 0.5, "c": 0.3}, seed)
        for split, share in (("a", 0.2), ("b", 0.5), ("c", 0.3)):
            assert abs(len(shared[split]) - share * len(records)) <= 8


def test_lists_name_images_in_many_ways(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(
        tmp_path,
        *(f"images/{g}/{n}.jpg" for g in "xy" for n in "123"),
        *(f"masks/{g}/{n}.png" for g in "xy" for n in "12"),
    )
    patterns = {"images": "images/{group}/*.jpg", "label_maps": "masks/{group}/*.png"}
    lists = tmp_path / "lists"
    lists.mkdir()
    options = {"splits": {"train": "lists/train.txt", "val": "lists/val.txt"}} | patterns
    (lists / "train.txt").write_text(
        "\ufeff# mine\nx/1\n\n/images/x/2.jpg /masks/x/2.png\r\ny/1.jpg 1 1 1\n", encoding="utf-8"
    )
    (lists / "val.txt").write_text("y/2\n")
    assert [r[0] for r in pairs(tmp_path, "train", **options)] == ["x/1", "x/2", "y/1"]
    assert "lists/train.txt has more than a name on a line; the first word is taken" in caplog.text
    (lists / "val.txt").write_text("y\n")
    with pytest.raises(DataError, match=r"image .*images/y/3\.jpg has no label map .*masks/y/3\.png"):
        pairs(tmp_path, "val", **options)
    write(tmp_path, "masks/y/3.png")
    assert [r[0] for r in pairs(tmp_path, "val", **options)] == ["y/1", "y/2", "y/3"]
    (lists / "val.txt").write_text("1\nx/9\nx/1\nx/1.jpg\n")
    with pytest.raises(DataError) as error:
        pairs(tmp_path, "val", **options)
    for part in (
        "val.txt line 1: '1' could be images/x/1.jpg and images/y/1.jpg: give the path below the root",
        "val.txt line 2: 'x/9' is no image there: copy it there, or remove the line",
        "val.txt line 4: 'x/1.jpg' is listed a second time: remove the line",
    ):
        assert part in str(error.value)
    (lists / "val.txt").write_bytes("ä".encode("latin-1"))
    with pytest.raises(DataError, match=r"val\.txt cannot be read .*as text in UTF-8"):
        pairs(tmp_path, "val", **options)
    (lists / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt is missing: put the list there"):
        pairs(tmp_path, "val", **options)
    with pytest.raises(DataError, match="has no split 'test': take one of train, val"):
        pairs(tmp_path, "test", **options)


def test_a_list_never_chooses_between_two_files_of_one_name(tmp_path: Path) -> None:
    write(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png")
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"line 1: 'a' could be images/a\.jpg and images/a\.png"):
        pairs(tmp_path, "train", splits={"train": "train.txt"})
    (tmp_path / "train.txt").write_text("a.png\n")
    assert pairs(tmp_path, "train", splits={"train": "train.txt"})[0][2] == "images/a.png"


def test_sizes_that_differ_are_refused_with_both_names(tmp_path: Path) -> None:
    write(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
    write(tmp_path, "masks/b.png", size=(8, 9))
    folder = Folders(tmp_path, OPTIONS)
    with pytest.raises(DataError, match=r"images/b\.png is 8 x 8 pixels but its label map .*masks/b\.png is 9 x 8"):
        build_index(folder, "mine", {"splits": {"evaluation": {"source": "all"}}, "tiling": {"size": 8}}, seed=0)


def documented(repository: Path, name: str) -> dict[str, Any]:
    """The entry of a data set in docs/datasets.md."""
    blocks = (repository / "docs/datasets.md").read_text().split("```yaml\n")[1:]
    entries = [yaml.safe_load(block.split("```")[0])["datasets"] for block in blocks if "datasets:" in block]
    return next(entry[name] for entry in entries if name in entry)


def opened(repository: Path, name: str, data_root: Path) -> Dataset:
    return open_dataset(documented(repository, name), data_root, name=name)


def raw(path: Path) -> np.ndarray:
    """The numbers in a file, palette or not."""
    with Image.open(path) as image:
        return np.array(image)


def test_genuine_voc_by_the_entry_of_the_page(repository: Path, shared: Path) -> None:
    root = shared / "samples/voc/VOCdevkit/VOC2012"
    dataset = opened(repository, "voc2012", shared / "samples/voc")
    for split in ("train", "val"):
        listed = (root / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        records = dataset.records(split)
        assert [r.image_id for r in records] == sorted(listed)
        for record in records:
            stored = raw(root / record.label)
            np.testing.assert_array_equal(dataset.read_label(record), stored)
            assert dataset.read_image(record).shape[:2] == stored.shape
    assert dataset.classes.names[15] == "person" and dataset.classes.void == 255
    names = {n for r in dataset.records("val") for n in np.unique(dataset.read_label(r)).tolist()}
    assert len(names) > 15


def test_genuine_pets_by_the_entry_of_the_page(
    repository: Path, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shared / "samples/oxford_pet/oxford-iiit-pet"
    dataset = opened(repository, "pets", shared / "samples/oxford_pet")
    for split, listing in (("train", "trainval"), ("test", "test")):
        listed = [line.split()[0] for line in (root / f"annotations/{listing}.txt").read_text().splitlines()]
        records = dataset.records(split)
        assert [r.image_id for r in records] == sorted(listed)
        for record in records:
            trimap = raw(root / record.label)
            expected = np.select([trimap == 1, trimap == 2], [0, 1], 255)
            np.testing.assert_array_equal(dataset.read_label(record), expected)
            assert dataset.read_image(record).shape[:2] == trimap.shape
    assert dataset.classes.names == ("animal", "background")
    assert "has more than a name on a line" in caplog.text


def test_other_genuine_data_sets(shared: Path) -> None:
    codes = (shared / "samples/camvid32_fastai/camvid/codes.txt").read_text().split()
    classes = {name: number for number, name in enumerate(codes) if name != "Void"}
    options = {"images": "images/{group}_*.png", "label_maps": "labels/{group}_*_P.png", "classes": classes, "void": 30}
    camvid = Folders(shared / "samples/camvid32_fastai/camvid", options)
    for record in camvid.records("all"):
        assert record.group == "0006R0"
        stored, found = raw(camvid.root / record.label), camvid.read_label(record)
        ids = np.array([camvid.classes.names.index(name) if name != "Void" else 255 for name in codes])
        np.testing.assert_array_equal(found, ids[stored])

    place = {"images": "JPEGImages/480p/{group}/*.jpg", "label_maps": "Annotations/480p/{group}/*.png"}
    davis = {**place, "classes": ["background", "object"], "splits": {"val": "ImageSets/2017/val.txt"}}
    videos = Folders(shared / "samples/davis/DAVIS", davis)
    records = videos.records("val")
    assert {r.group for r in records} == {"blackswan", "car-shadow"} and len(records) == 90
    np.testing.assert_array_equal(videos.read_label(records[0]), raw(videos.root / records[0].label))
    older = Folders(videos.root, davis | {"splits": {"val": "ImageSets/480p/val.txt"}})
    assert [r.image_id for r in older.records("val")] == [r.image_id for r in records]

    binary = place | {"label_maps": "_Annotations_2016_binary/480p/{group}/*.png", "splits": davis["splits"]}
    with pytest.raises(DataError, match=r"ids that are neither classes nor void: 255 at \d+ pixels"):
        odd = Folders(videos.root, binary | {"classes": ["background", "object"]})
        odd.read_label(odd.records("val")[0])
    painted = Folders(videos.root, binary | {"classes": {"background": 0, "object": 255}})
    first = painted.records("val")[0]
    np.testing.assert_array_equal(painted.read_label(first), videos.read_label(records[0]))


def test_colours_of_genuine_palettes_give_the_same_as_their_ids(shared: Path) -> None:
    """The colours of PASCAL VOC's palette, from its own files."""
    root = shared / "samples/voc/VOCdevkit/VOC2012"
    with Image.open(next((root / "SegmentationClass").glob("*.png"))) as image:
        table = np.array(image.getpalette()).reshape(-1, 3)
    names = [f"class {i:02}" for i in range(21)]
    places = {"images": "JPEGImages/*", "label_maps": "SegmentationClass/*"}
    lists = {"splits": {"val": "ImageSets/Segmentation/val.txt"}}
    colors = {name: [table[i].tolist()] for i, name in enumerate(names)}
    by_color = Folders(root, places | lists | {"classes": colors, "void": [table[255].tolist()]})
    by_id = Folders(root, places | lists | {"classes": names, "void": 255})
    for record in by_id.records("val"):
        np.testing.assert_array_equal(by_color.read_label(record), by_id.read_label(record))
    assert by_color.classes.colors[15] == (192, 128, 128)


def test_the_log_says_what_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val"):
        write(tmp_path, f"images/{split}/a.png", f"images/{split}/b.png", value=9 + len(split))
        write(tmp_path, f"masks/{split}/a.png", f"masks/{split}/b.png", value=1)
    caplog.set_level(logging.INFO)
    folder = Folders(tmp_path, OPTIONS | {"images": "images/{split}/*", "label_maps": "masks/{split}/*"})
    images, classes = build_index(folder, "mine", {"splits": SPLITS, "tiling": {"size": 8}}, seed=0)
    assert images["image_id"].tolist() == ["train/a", "train/b", "val/a", "val/b"]
    assert classes.loc[classes["name"] == "crop", "pixels"].tolist() == [128, 128]
    assert "mine val: complete, 2 images" in caplog.text
