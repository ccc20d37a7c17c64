"""Sheets of tiles: the right pixels in the right place."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from report_data import CLASSES, corruption_sheet, label_stores, segmentation_sheet

from patchprobe.analyses.sheets import report as sheets
from patchprobe.errors import StoreError
from patchprobe.stores.reading import open_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return label_stores(tmp_path_factory.mktemp("stores"), {"blur": [3, 5], "scale": [0.9]}, ["dino", "mae"])


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(sheets, "save", lambda figure, outputs: kept.append(figure))
    return kept


def _panels(figure):
    """Return (title, pixels) of every panel; the title is the text above it."""
    found = []
    for ax in figure.axes:
        box = ax.get_position()
        middle = (box.x0 + box.x1) / 2
        above = min(
            (
                t
                for t in figure.texts
                if abs(t.get_position()[0] - middle) < 1e-6 and t.get_position()[1] > box.y1 - 1e-3
            ),
            key=lambda t: t.get_position()[1],
        )
        found.append((above.get_text(), np.asarray(ax.images[0].get_array())))
    return found


def test_the_tile_with_most_classes_of_each_evaluation_image_is_chosen(stores):
    labels = open_store(stores["labels"])
    chosen = sheets.choose_tiles(labels, 5)
    assert [tile.partition("#")[0] for tile in chosen] == ["val/0", "val/1"]
    for tile in chosen:
        image = tile.partition("#")[0]
        counts = {
            str(t): len(np.setdiff1d(labels["label"].sel(tile=t), 255))
            for t in labels["tile"].values
            if str(t).startswith(image)
        }
        assert counts[tile] == max(counts.values()) > counts[f"{image}#r0c0"]
    assert sheets.choose_tiles(labels, 1) == chosen[:1]


def test_tiles_stand_under_every_corruption_and_level(stores, drawn):
    corruption_sheet(stores["tiles"], stores["labels"], [], images=1)
    tile = sheets.choose_tiles(open_store(stores["labels"]), 1)[0]
    image = {name: open_store(path)["image"].sel(tile=tile).values for name, path in stores["tiles"].items()}
    clean = image["clean"][0]
    expected = [("clean", clean), ("3 px", image["blur"][0]), ("5 px", image["blur"][1])]
    expected += [("clean", clean), ("factor 0.9", image["scale"][0])]
    found = _panels(drawn[0])
    assert [title for title, _ in found] == [title for title, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))
    rows = [text.get_text() for text in drawn[0].texts if text.get_rotation() == 90]
    assert rows == ["blur", "scale"]


def test_predictions_are_painted_in_the_colours_of_the_classes(stores, drawn):
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], stores["predictions"], [], images=2)
    labels = open_store(stores["labels"])
    colors = np.array(labels.attrs["class_colors"], np.uint8)
    found = _panels(drawn[0])
    assert [title for title, _ in found] == ["image", "truth", *["1-NN", "linear probe"] * 2] * 2
    for t, tile in enumerate(sheets.choose_tiles(labels, 2)):
        image, truth, *painted = [pixels for _, pixels in found[6 * t : 6 * t + 6]]
        assert np.array_equal(image, open_store(stores["tiles"]["clean"])["image"].sel(tile=tile)[0])
        ids = labels["label"].sel(tile=tile).values
        assert np.array_equal(truth[ids != 255], colors[ids[ids != 255]])
        assert {tuple(c) for c in truth[ids == 255]} == {(0, 0, 0), (110, 110, 110)}
        for m, pixels in enumerate(painted):
            store = open_store(stores["predictions"][("dino", "mae")[m // 2]])["prediction"]
            patches = store.sel(tile=tile).values[m % 2, 0].reshape(4, 4)
            assert np.array_equal(pixels, colors[np.kron(patches, np.ones((16, 16), np.uint8))])
    names = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert names[-1] == "void" and names[:-1] == [name for name in CLASSES if name in names]
    assert {"dino", "mae"} <= {text.get_text() for text in drawn[0].texts}


def test_many_models_go_on_below(stores, drawn):
    many = {f"vit_small_patch16_number_{i}": stores["predictions"]["dino"] for i in range(9)}
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], many, [], images=1)
    assert len(drawn[0].axes) == 2 * 2 + 9 * 2
    assert drawn[0].get_figwidth() <= 7.01
    boxes = [ax.get_position() for ax in drawn[0].axes]
    assert all(b.x0 >= 0 and b.x1 <= 1 and b.y0 >= 0 and b.y1 <= 1 for b in boxes)


def test_equal_stores_give_equal_files(stores, tmp_path):
    for turn in "ab":
        files = [tmp_path / turn / name for name in ("c.svg", "c.png")]
        corruption_sheet(stores["tiles"], stores["labels"], files, images=2)
        files = [tmp_path / turn / name for name in ("s.svg", "s.png")]
        segmentation_sheet(stores["tiles"]["clean"], stores["labels"], stores["predictions"], files, images=1)
    for name in ("c.svg", "c.png", "s.svg", "s.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    root = ET.parse(tmp_path / "a/c.svg").getroot()
    images = root.findall(".//{http://www.w3.org/2000/svg}image")
    assert len(images) == 10
    assert all(i.get("{http://www.w3.org/1999/xlink}href").startswith("data:image/png;base64,") for i in images)


def test_a_run_without_corruptions_shows_clean_tiles(stores, drawn):
    corruption_sheet({"clean": stores["tiles"]["clean"]}, stores["labels"], [], images=2)
    assert [title for title, _ in _panels(drawn[0])] == ["clean", "clean"]


def test_a_store_without_the_tile_is_named(stores, tmp_path, drawn):
    other = label_stores(tmp_path, {"blur": [3]}, [], images=1)
    with pytest.raises(StoreError, match=r"tiles/blur\.zarr holds tile 'val/1#r0c[12]' 0 times"):
        tiles = stores["tiles"] | {"blur": other["tiles"]["blur"]}
        corruption_sheet(tiles, stores["labels"], [], images=2)
    labels = open_store(stores["labels"])
    with pytest.raises(StoreError, match="no tile of the evaluation split"):
        sheets.choose_tiles(labels.isel(tile=labels["split"].values == "train"), 1)
