"""Sheets of tiles and images: the right pixels in the right place."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from report_data import CLASSES, corruption_sheet, label_stores, measurement_rows, segmentation_sheet

from patchprobe.analyses.sheets import report, segmentation
from patchprobe.analyses.sheets.choosing import choose_images, choose_models, choose_tiles
from patchprobe.analyses.sheets.reading import Shown, share_right
from patchprobe.errors import StoreError
from patchprobe.stores.reading import open_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return label_stores(tmp_path_factory.mktemp("stores"), {"blur": [3, 5], "scale": [0.9]}, ["dino", "mae"])


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    for module in (report, segmentation):
        monkeypatch.setattr(module, "save", lambda figure, outputs: kept.append(figure))
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
    chosen = choose_tiles(labels, 5)
    assert [tile.partition("#")[0] for tile in chosen] == ["val/0", "val/1"]
    for tile in chosen:
        image = tile.partition("#")[0]
        counts = {
            str(t): len(np.setdiff1d(labels["label"].sel(tile=t), 255))
            for t in labels["tile"].values
            if str(t).startswith(image)
        }
        assert counts[tile] == max(counts.values()) > counts[f"{image}#r0c0"]
    assert choose_tiles(labels, 1) == chosen[:1]


def test_tiles_stand_under_every_corruption_and_level(stores, drawn):
    corruption_sheet(stores["tiles"], stores["labels"], [], images=1)
    tile = choose_tiles(open_store(stores["labels"]), 1)[0]
    image = {name: open_store(path)["image"].sel(tile=tile).values for name, path in stores["tiles"].items()}
    clean = image["clean"][0]
    expected = [("clean", clean), ("3 px", image["blur"][0]), ("5 px", image["blur"][1])]
    expected += [("clean", clean), ("factor 0.9", image["scale"][0])]
    found = _panels(drawn[0])
    assert [title for title, _ in found] == [title for title, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))
    rows = [text.get_text() for text in drawn[0].texts if text.get_rotation() == 90]
    assert rows == ["blur", "scale"]


def test_images_are_spread_evenly_over_the_evaluation_images():
    names = [f"val/{i}" for i in range(10) for _ in range(2)] + ["train/0"]
    store = xr.Dataset(coords={"image_id": ("tile", names), "split": ("tile", ["evaluation"] * 20 + ["train"])})
    assert choose_images(store, 3) == ["val/0", "val/3", "val/6"]
    assert choose_images(store, 1) == ["val/0"]
    assert choose_images(store, 99) == [f"val/{i}" for i in range(10)]


def test_models_are_spread_evenly_over_their_ranking():
    scores = pd.Series({"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.3, "e": 0.9, "f": 0.2, "g": 0.4})
    assert choose_models(scores, list("abcdefg"), 4) == ["e", "g", "d", "a"]  # of e b g c d f a
    assert choose_models(scores, list("abcdefg"), 1) == ["e"]
    assert choose_models(scores, ["d", "c"], 4) == ["d", "c"]


def _strip(tiles):
    """Return three tiles of 64 px that stand 48 px apart, the later over the earlier."""
    whole = np.zeros((64, 160, *tiles.shape[3:]), np.uint8)
    for i, tile in enumerate(tiles):
        whole[:, 48 * i : 48 * i + 64] = tile
    return whole


def test_images_are_stitched_and_predictions_painted_in_the_colours_of_the_classes(stores, drawn):
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], stores["predictions"], [], images=1)
    labels, tiles = open_store(stores["labels"]), open_store(stores["tiles"]["clean"])["image"]
    colors = np.array(labels.attrs["class_colors"], np.uint8)
    names = [f"val/0#r0c{i}" for i in range(3)]
    (alone,) = choose_tiles(labels, 1)
    found = dict(zip(("whole", "tile"), (_panels(drawn[0])[:6], _panels(drawn[0])[6:]), strict=True))
    for kind, own in (("whole", names), ("tile", [alone])):
        join = _strip if kind == "whole" else (lambda tiles: tiles[0])
        panels = dict(found[kind][:2])
        assert np.array_equal(panels["image"], join(tiles.sel(tile=own).values[0]))
        ids = join(labels["label"].sel(tile=own).values)
        assert np.array_equal(panels["truth"][ids != 255], colors[ids[ids != 255]])
        assert {tuple(c) for c in panels["truth"][ids == 255]} == {(0, 0, 0), (110, 110, 110)}
        for (title, pixels), (model, m) in zip(
            found[kind][2:], [(model, m) for model in ("dino", "mae") for m in (0, 1)], strict=True
        ):
            patches = open_store(stores["predictions"][model])["prediction"].sel(tile=own).values[m, 0]
            painted = join(np.stack([np.kron(p.reshape(4, 4), np.ones((16, 16), np.uint8)) for p in patches]))
            assert np.array_equal(pixels, colors[painted])
            share = (painted == ids)[ids != 255].mean()
            assert title == f"{('1-NN', 'linear probe')[m]}: {100 * share:.0f} % right"
    texts = {text.get_text() for text in drawn[0].texts}
    assert {"dino", "mae", "val/0", f"{alone}, the framed tile"} <= texts
    (frame,) = {tuple(map(float, p.get_bbox().bounds)) for p in drawn[0].axes[0].patches}
    assert frame == (48 * int(alone[-1]) - 0.5, -0.5, 64, 64)


def test_regions_carry_the_numbers_of_the_legend(stores, drawn):
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], stores["predictions"], [], images=2)
    colors = np.array(open_store(stores["labels"]).attrs["class_colors"], np.uint8)
    entries = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert entries[-1] == "void"
    classes = dict(entry.split("  ") for entry in entries[:-1])
    assert list(classes) == [str(i + 1) for i in range(len(classes))]
    assert list(classes.values()) == [name for name in CLASSES if name in classes.values()]
    numbers = 0
    for ax in drawn[0].axes:
        for text in ax.texts:
            col, row = text.get_position()
            pixel = np.asarray(ax.images[0].get_array())[row, col]
            assert pixel.tolist() == colors[CLASSES.index(classes[text.get_text()])].tolist()
            numbers += 1
    assert numbers > 20


def test_scores_and_a_choice_stand_on_top(stores, drawn):
    many = {f"model-{i}": stores["predictions"]["dino"] for i in range(7)}
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], many, [], images=1, most=4)
    rows = measurement_rows(list(many), corruptions={}, classes=[])
    rows = rows[(rows["metric"] == "pixel_miou") & (rows["class"] == "")].set_index(["method", "model"])["value"]
    ranking = rows["1-nn"].sort_values(ascending=False).index
    texts = [text.get_text() for text in drawn[0].texts]
    assert [text for text in texts if text in many] == [ranking[i] for i in (0, 2, 4, 6)]
    for name in ranking[::2]:
        assert f"1-NN {rows['1-nn', name]:.3f}\nlinear probe {rows['linear', name]:.3f}" in texts


def test_what_no_tile_covers_is_grey_and_one_tile_is_not_enlarged(stores, drawn):
    labels = open_store(stores["labels"])
    there = ~np.isin(labels["tile"].values, ["val/0#r0c1"])
    predictions = [open_store(stores["predictions"]["dino"])]
    options = {"models": ["dino"], "methods": ["1-nn"], "most": 1, "images": 1, "dataset": "camvid"}
    rows, tiles = measurement_rows(["dino"], corruptions={}), open_store(stores["tiles"]["clean"])
    report.segmentation_sheet(tiles, labels.isel(tile=there), predictions, rows, [], **options)
    for _, pixels in _panels(drawn[0])[:3]:
        grey = (pixels == 225).all(-1)
        assert (
            pixels.shape == (64, 160, 3) and grey[:, 64:96].all() and not grey[:, :64].all() and not grey[:, 96:].all()
        )
    alone = np.isin(labels["tile"].values, ["val/0#r0c1"])
    report.segmentation_sheet(tiles, labels.isel(tile=alone), predictions, rows, [], **options)
    assert [pixels.shape for _, pixels in _panels(drawn[1])] == [(64, 64, 3)] * 3


def test_large_pictures_are_made_smaller():
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), np.uint8)
    covered = np.ones((1024, 2048), bool)
    small = Shown(pixels, covered).shrunk(256).pixels
    assert small.shape == (128, 256, 3)
    blocks = pixels.reshape(128, 8, 256, 8, 3).mean((1, 3))
    assert np.abs(small - blocks).max() <= 1
    ids = Shown(pixels[..., 0], covered).shrunk(256).pixels
    assert np.array_equal(ids, pixels[4::8, 4::8, 0])
    assert Shown(pixels, covered).shrunk(2048).pixels is pixels


def test_right_pixels_are_counted_without_void_and_gaps():
    truth = Shown(np.array([[1, 1, 255, 2]], np.uint8), np.array([[True, True, True, False]]))
    found = Shown(np.array([[1, 3, 255, 2]], np.uint8), truth.covered)
    assert share_right(found, truth, 255) == 0.5
    assert np.isnan(share_right(found, Shown(np.full((1, 4), 255, np.uint8), truth.covered), 255))


@pytest.mark.parametrize(("models", "images", "methods"), [(4, 3, 2), (3, 2, 1), (9, 1, 2), (1, 1, 1)])
def test_a_sheet_fits_into_the_page(stores, drawn, models, images, methods):
    many = {f"vit_small_patch16_number_{i}": stores["predictions"]["dino"] for i in range(models)}
    own = {"images": images, "methods": ["1-nn", "linear"][:methods]}
    segmentation_sheet(stores["tiles"]["clean"], stores["labels"], many, [], **own)
    figure = drawn[0]
    assert figure.get_figwidth() == 7 and figure.get_figheight() <= 9
    boxes = [ax.get_position() for ax in figure.axes]
    assert all(b.x0 >= 0 and b.x1 <= 1 and b.y0 >= 0 and b.y1 <= 1 for b in boxes)
    panels = [[b.x0, b.y0, b.x1, b.y1] for b in boxes]
    for i, one in enumerate(panels):
        for other in panels[:i]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
            assert apart, (one, other)
    texts = [text.get_text() for text in figure.texts]
    assert {"image", "truth"} <= set(texts) and sum(text.startswith("1-NN: ") for text in texts) == models * (
        min(images, 2) + 1
    )


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
        choose_tiles(labels.isel(tile=labels["split"].values == "train"), 1)
    with pytest.raises(StoreError, match=r"tiles/clean\.zarr holds tile 'val/1#r0c0' 0 times"):
        segmentation_sheet(other["tiles"]["clean"], stores["labels"], stores["predictions"], [], images=2)
