"""Draws of tiles for each category of boxes, and the index of what was drawn."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets.adapters.dota import DOTA
from patchprobe.datasets.boxes import rasterise
from patchprobe.datasets.dataset import Classes, Record, Window
from patchprobe.datasets.draws import draw_tiles, tile_id, tile_records
from patchprobe.datasets.index import build_index, index_records
from patchprobe.datasets.index_tables import read_index
from patchprobe.datasets.present_classes import class_sets, present_classes, read_present_classes
from patchprobe.errors import ConfigError, DataError
from patchprobe.seeds import generator

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def pool(shown):
    """Return tiles, classes and what tiles show, from the ids that each tile shows."""
    tiles = [
        Record(f"train/{i // 9}@x{i % 9}y0", "train", Path(f"{i // 9}.tif"), Path("l"), Window(0, i % 9, 1, 1))
        for i in range(len(shown))
    ]
    ids = tuple(sorted({0}.union(*shown)))
    classes = Classes(ids, tuple(f"c{i}" for i in ids), 255, ((0, 0, 0),) * len(ids), background=0)
    return tiles, dict(zip((tile.image_id for tile in tiles), map(frozenset, shown), strict=True)), classes


def random_pool(seed, number=400, categories=12):
    """Return a pool in which the categories are rarer and rarer."""
    rng = np.random.default_rng(seed)
    shown = rng.uniform(size=(number, categories)) < 0.6 / 1.6 ** np.arange(categories)
    return pool([{int(i) + 1 for i in np.flatnonzero(row)} for row in shown])


def by_hand(tiles, present, wanted, seed):
    """Draw as the protocol says it: each category in turn, the rarest first, from what is left."""
    number = Counter(i for tile in tiles for i in present[tile.image_id])
    left = sorted(tile.image_id for tile in tiles)
    drawn = {}
    for i, _ in sorted(number.items(), key=lambda item: (item[1], item[0])):
        showing = [name for name in left if i in present[name]]
        order = generator(seed, "draw", "train", "tiles of class", i).permutation(len(showing))
        for k in order[:wanted]:
            drawn[showing[k]] = f"c{i}"
            left.remove(showing[k])
    return drawn


@pytest.mark.parametrize("wanted", [1, 3, 8, 50])
def test_categories_draw_in_turn_the_rarest_first_and_no_tile_twice(wanted):
    for seed in range(3):
        tiles, present, classes = random_pool(seed)
        drawn = draw_tiles(tiles, present, classes, tiles_per_class=wanted, seed=seed, source="train")
        assert {d.record.image_id: d.drawn_for for d in drawn} == by_hand(tiles, present, wanted, seed)
        names = [d.record.image_id for d in drawn]
        assert names == sorted(set(names)) and {d.record for d in drawn} <= set(tiles)
        assert all(int(d.drawn_for[1:]) in present[d.record.image_id] for d in drawn)
        assert max(Counter(d.drawn_for for d in drawn).values()) <= wanted


def test_the_draw_depends_on_seed_and_source_and_not_on_order():
    tiles, present, classes = random_pool(0)

    def drawn(seed=0, source="train", tiles=tiles, present=present):
        return draw_tiles(tiles, present, classes, tiles_per_class=4, seed=seed, source=source)

    assert drawn(tiles=tiles[::-1], present=dict(reversed(present.items()))) == drawn()
    assert len({tuple(drawn(seed)) for seed in range(5)} | {tuple(drawn(source="validation"))}) == 6


def test_eight_of_37_categories_of_which_one_has_seven_are_295():
    shown = [{c} for c in range(1, 38) for _ in range(7 if c == 5 else 9 + c)]
    drawn = draw_tiles(*pool(shown), tiles_per_class=8, seed=0, source="train")
    assert len(drawn) == 295 == 36 * 8 + 7
    assert Counter(d.drawn_for for d in drawn) == {f"c{c}": 7 if c == 5 else 8 for c in range(1, 38)}


def test_rarer_categories_leave_what_they_do_not_take():
    tiles, present, classes = pool([{1, 2}, {1, 2}, {2}, {2, 3}, {1, 2, 3}])
    drawn = draw_tiles(tiles, present, classes, tiles_per_class=2, seed=0, source="train")
    # 3 takes both of its tiles, 1 what is left of its three, 2 the last of its five.
    assert {d.record.image_id: d.drawn_for for d in drawn} == {
        tiles[0].image_id: "c1",
        tiles[1].image_id: "c1",
        tiles[2].image_id: "c2",
        tiles[3].image_id: "c3",
        tiles[4].image_id: "c3",
    }
    # Of equally rare ones the smaller id is first.
    tiles, present, classes = pool([{1, 2}])
    assert [d.drawn_for for d in draw_tiles(tiles, present, classes, tiles_per_class=2, seed=0, source="train")] == [
        "c1"
    ]
    assert draw_tiles([], {}, classes, tiles_per_class=2, seed=0, source="train") == []


def test_names_of_tiles_lead_back_to_their_images():
    records = [Record(name, "g", Path(f"{name}.tif"), Path("l")) for name in ("train/1", "train/a@b", "train/@x1y2")]
    names = [tile_id(record.image_id, Window(64, 128, 32, 32)) for record in records]
    assert names[0] == "train/1@x128y64"
    tiles = tile_records(records, names, 32)
    assert [tile.image_id for tile in tiles] == names and [tile.image for tile in tiles] == [r.image for r in records]
    assert {tile.window for tile in tiles} == {Window(64, 128, 32, 32)}
    for other in ("train/2@x0y0", "train/1", "train/1@x-1y0", "train/1@x1", "train/1@x1y2z", "", "@x0y0"):
        assert tile_records(records, [other], 32) == []


CATEGORIES = ("plane", "ship", "harbor", "bridge")


def write_aerial(root, split="train", images=9, gsd="0.5"):
    """Write images of 3 x 4 tiles of 32 px and a rest: each tile has a box of the category (image + tile) % 4, or none."""
    for folder in ("images", "labelTxt"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(images):
        pixels = rng.integers(0, 256, (100, 131, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / split / f"images/P{number:04}.png")
        lines = [f"gsd:{gsd}"]
        for tile in range(12):
            # Of bridges there is one tile in all.
            name = CATEGORIES[(number + tile) % 4]
            if name != "bridge" or (number, tile) == (0, 3):
                y, x = 32 * (tile // 4) + 4, 32 * (tile % 4) + 4
                lines.append(f"{x} {y} {x + 20} {y} {x + 20} {y + 9} {x} {y + 9} {name} 0")
        (root / split / f"labelTxt/P{number:04}.txt").write_text("\n".join(lines))
    return DOTA(root, {})


def entry(train=None, evaluation=None, size=32):
    splits = {"train": train and {"source": "train", **train}, "evaluation": {"source": "train", **(evaluation or {})}}
    return {"splits": splits, "tiling": {"size": size}}


def test_tiles_of_both_splits_are_of_different_images(tmp_path, caplog):
    dataset = write_aerial(tmp_path)
    table = present_classes(dataset, "train", tile=32)
    assert len(table) == 9 * 9 + 1 and table["classes"].str.fullmatch(r"\d+").all()
    (tmp_path / "train.csv").write_text(table.to_csv(index=False))
    present = read_present_classes([tmp_path / "train.csv"])
    assert present == class_sets(table)
    both = entry({"tiles_per_class": 2}, {"tiles_per_class": 3})
    index, classes = build_index(dataset, "air", both, seed=1, present=present, threads=2)
    again, _ = build_index(dataset, "air", both, seed=1, present=dict(reversed(present.items())))
    assert index.equals(again)
    parts = dict(list(index.groupby("split")))
    assert not set(parts["train"]["image"]) & set(parts["evaluation"]["image"])
    assert Counter(parts["evaluation"]["drawn_for"]) == {"plane": 3, "ship": 3, "harbor": 3, "bridge": 1}
    assert index["image_id"].is_unique and set(index["height"]) == set(index["width"]) == {32}
    assert "air train: fewer than 3 tiles are left to draw for: bridge 1" in caplog.text
    assert "air train: nothing shows 11 of the 15 classes, such as helicopter; none is drawn for them" in caplog.text
    assert set(index["ground_sample_distance"]) == {0.5}
    # What a later job reads is what was drawn.
    index.to_csv(tmp_path / "images.csv", index=False)
    read = read_index(tmp_path / "images.csv")
    assert read.equals(index[list(read)].astype(read.dtypes.to_dict()))
    names = dict(zip(dataset.classes.names, dataset.classes.ids, strict=True))
    for record, row in zip(index_records(read), index.itertuples(), strict=True):
        assert record.image_id == tile_id(f"train/{record.image.stem}", record.window)
        assert record.window == (row.top, row.left, 32, 32) and row.top <= 64 and row.left <= 96
        whole = np.array(Image.open(tmp_path / record.image))
        np.testing.assert_array_equal(dataset.read_image(record), whole[row.top :, row.left :][:32, :32])
        label = dataset.read_label(record)
        np.testing.assert_array_equal(label, rasterise(dataset.read_boxes(record), record.window, 0))
        assert names[row.drawn_for] in present[record.image_id] <= set(np.unique(label).tolist())
    pixels = classes.set_index(["split", "name"])["pixels"]
    assert pixels.loc["evaluation"].sum() == 10 * 32 * 32 and pixels.loc[("evaluation", "ship")] == 3 * 20 * 9


def test_whole_images_with_boxes_need_no_training_split(tmp_path):
    dataset = write_aerial(tmp_path, images=2, gsd="None")
    for splits in ({"evaluation": {"source": "train"}}, {"train": None, "evaluation": {"source": "train"}}):
        index, classes = build_index(dataset, "air", {"splits": splits, "tiling": {"size": 32}}, seed=0)
        assert index["split"].tolist() == ["evaluation"] * 2 and set(classes["split"]) == {"evaluation"}
        assert index[["top", "left", "height", "width"]].to_numpy().tolist() == [[0, 0, 100, 131]] * 2
        index.to_csv(tmp_path / "images.csv", index=False)
        read = read_index(tmp_path / "images.csv")
        assert read["ground_sample_distance"].isna().all()
        (first, _) = index_records(read)
        np.testing.assert_array_equal(dataset.read_label(first), dataset.read_label(dataset.records("train")[0]))
        assert classes.set_index("name").loc["background", "pixels"] == 2 * 100 * 131 - (18 + 1) * 180


def test_draws_that_cannot_be_name_their_key(tmp_path):
    dataset = write_aerial(tmp_path, images=3)
    present = class_sets(present_classes(dataset, "train", tile=32))
    with pytest.raises(
        DataError,
        match=r"^datasets\.air\.splits\.evaluation: no tile holds enough of a box of any category: the box files hold no objects, or",
    ):
        build_index(dataset, "air", entry({}, {"tiles_per_class": 3}), seed=0, present={})
    with pytest.raises(ConfigError, match=r"splits\.evaluation: images and tiles_per_class are both set; set one"):
        build_index(dataset, "air", entry({}, {"tiles_per_class": 3, "images": 2}), seed=0, present=present)
    with pytest.raises(DataError, match=r"splits\.train\.source: all 3 images of split 'train' are taken"):
        build_index(dataset, "air", entry({"images": 1}, {"tiles_per_class": 9}), seed=0, present=present)
    # Another image under the name of one whose tiles were found.
    for number in range(3):
        Image.fromarray(np.zeros((20, 131, 3), np.uint8)).save(tmp_path / f"train/images/P{number:04}.png")
    with pytest.raises(DataError, match=r"P000\d\.png is 131 x 20 pixels and has no part of 32 x 32 at"):
        build_index(dataset, "air", entry(None, {"tiles_per_class": 9}), seed=0, present=present)


@pytest.mark.parametrize(("other", "said"), [("x0y0", True), ("x32y0", False)])
def test_the_same_tile_of_the_same_file_in_both_splits_is_named(tmp_path, caplog, other, said):
    dataset = write_aerial(tmp_path, images=2)
    images = tmp_path / "train/images"
    (images / "P0001.png").write_bytes((images / "P0000.png").read_bytes())
    one_each = entry({"tiles_per_class": 1}, {"tiles_per_class": 1})
    present = {"train/P0000@x0y0": {1}, f"train/P0001@{other}": {1}}
    index, _ = build_index(dataset, "air", one_each, seed=0, present=present)
    assert len(index) == 2 and index["image_sha256"].nunique() == 1
    assert ("air: 1 images are the same file in both splits, such as train/P000" in caplog.text) == said


def test_tiles_hold_the_share_that_the_protocol_asks_for(tmp_path):
    folder = tmp_path / "val"
    write_aerial(tmp_path, "val", images=1)
    boxes = ["22 4 52 4 52 8 22 8 plane 0", "20 40 53 40 53 44 20 44 ship 0", "120 4 131 4 131 8 120 8 bridge 0"]
    (folder / "labelTxt/P0000.txt").write_text("\n".join(boxes))
    present = class_sets(present_classes(DOTA(tmp_path, {}), "val", tile=32))
    names = DOTA(tmp_path, {}).classes.names
    assert {name: {names[i] for i in ids} for name, ids in present.items()} == {
        "val/P0000@x0y0": {"plane"},
        "val/P0000@x32y0": {"plane"},
        "val/P0000@x0y32": {"ship"},
        "val/P0000@x32y32": {"ship"},
        "val/P0000@x96y0": {"bridge"},
    }
