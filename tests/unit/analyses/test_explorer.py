"""The explorer: which images it shows, neighbours against brute force and scikit-learn, and what fits on its page."""

import io
import json
import logging

import numpy as np
import pytest
import xarray as xr
from explored import COLUMNS, ROWS, VARIANTS, measured, stores, write_page, written
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from patchprobe.analyses.explorer.packing import read_packed, unpacked
from patchprobe.analyses.explorer.scenes import choose_scenes
from patchprobe.errors import ConfigError, DataError, StoreError
from patchprobe.report import pages
from patchprobe.tiles.patches import patch_labels

VOID = 255


@pytest.fixture(scope="module")
def made():
    return stores()


def label_store(maps, names):
    """A label store of evaluation tiles by name, each of one map."""
    images = [name.partition("#")[0] for name in names]
    coordinates = {"tile": list(names), "image_id": ("tile", images), "split": ("tile", ["evaluation"] * len(names))}
    data = np.asarray(maps, np.uint8)
    return xr.Dataset({"label": (("tile", "y", "x"), data)}, coords=coordinates, attrs={"void_id": VOID})


def test_images_are_spread_and_whole_where_they_fit():
    names = [f"i{i}#r{r}c{c}" for i in range(7) for r in range(2) for c in range(2)]
    labels = label_store(np.zeros((28, 1, 1)), names)
    assert [scene.image for scene in choose_scenes(labels, 3, 4)] == ["i0", "i3", "i6"]
    first = choose_scenes(labels, 1, 9)[0]
    assert (first.rows, first.columns, first.tiles) == (2, 2, tuple(names[:4]))
    assert len(choose_scenes(labels, 50, 4)) == 7


def test_of_a_large_image_the_block_with_most_classes_is_taken():
    names = [f"i#r{r}c{c}" for r in range(2) for c in range(4)]
    # Of blocks of four tiles those of 1 x 4 have the shape of the image less than 2 x 2; of these the last has three classes.
    maps = np.array([0, 0, 0, 1, 0, 0, VOID, 2]).reshape(8, 1, 1)
    (scene,) = choose_scenes(label_store(maps, names), 1, 4)
    assert (scene.rows, scene.columns) == (2, 2) and scene.tiles == ("i#r0c2", "i#r0c3", "i#r1c2", "i#r1c3")
    # With holes, as where single tiles are drawn, no block has one.
    (scene,) = choose_scenes(label_store(maps[[0, 3, 5]], [names[i] for i in (0, 3, 5)]), 1, 8)
    assert scene.tiles == ("i#r0c0",)


def test_stores_that_cannot_be_shown_are_refused():
    with pytest.raises(StoreError, match="no tile of the evaluation split; delete it"):
        choose_scenes(label_store(np.zeros((1, 1, 1)), ["i#r0c0"]).assign_coords(split=("tile", ["train"])), 1, 1)
    with pytest.raises(StoreError, match="'i#0' has no place"):
        choose_scenes(label_store(np.zeros((1, 1, 1)), ["i#0"]), 1, 1)


def parts(tokens, labels):
    """Training tokens with a class, their classes and places, and tokens and classes of the shown scenes."""
    grid = int(tokens.patch_row.max()) + 1, int(tokens.patch_col.max()) + 1
    values = tokens.tokens.values[0, -1].astype(np.float64)
    ids = patch_labels(labels.label.values, grid).reshape(len(values), -1)
    training = tokens.split.values == "train"
    flat, classes = values[training].reshape(-1, values.shape[-1]), ids[training].ravel()
    known = np.flatnonzero(classes != VOID)
    tiles = ROWS * COLUMNS
    evaluated = values[~training].reshape(-1, tiles * values.shape[1], values.shape[2])
    # The first and the last of three images.
    return flat[known], classes[known], known, evaluated[[0, 2]], ids[~training].reshape(3, -1)[[0, 2]]


@pytest.mark.parametrize("model", VARIANTS)
def test_neighbours_are_those_of_scikit_learn(made, model):
    _, labels, features = made
    rows, text = measured(features[model], labels, model, neighbors=3)
    bank, classes, places, queries, truths = parts(features[model], labels)
    found = json.loads(text)
    view = found["views"][0]
    order = np.argsort(-bank.var(axis=0), kind="stable")
    np.testing.assert_array_equal(unpacked(view["order"]), order)
    for stop in view["stops"]:
        kept = order[stop["removed"] :]
        search = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(bank[:, kept])
        distance, index = search.kneighbors(queries.reshape(-1, bank.shape[1])[:, kept])
        np.testing.assert_allclose(unpacked(stop["train_distance"]), distance, rtol=1e-4, atol=1e-4)
        # Pixels have equals, among which the order is free elsewhere.
        clear = np.diff(distance, axis=1).min(axis=1) > 1e-3
        assert clear.mean() > 0.8
        np.testing.assert_array_equal(unpacked(stop["train"])[clear, :2], places[index][clear, :2])
        for number, (query, truth) in enumerate(zip(queries, truths, strict=True)):
            own = rows[(rows.variant == "") & (rows.removed == stop["removed"])].iloc[number]
            nearest = KNeighborsClassifier(1, algorithm="brute").fit(bank[:, kept], classes)
            assert own.same_class == pytest.approx(nearest.score(query[truth != VOID][:, kept], truth[truth != VOID]))
            assert own.patches == (truth != VOID).sum() and own.features == len(kept)
    assert [stop["removed"] for stop in view["stops"]] == [0, 10, 40, 100][: 3 if bank.shape[1] == 48 else 4]


def test_in_its_image_a_patch_is_not_its_own_neighbour(made):
    """Nor where many patches are equal."""
    _, labels, features = made
    tokens = features["raw-pixels"].copy(deep=True)
    values = tokens.tokens.values
    first = np.flatnonzero(tokens.split.values == "evaluation")[0]
    values[0, 0, first, :10] = values[0, 0, first, :1]  # ten equal patches, more than neighbours
    stop = json.loads(measured(tokens, labels, "raw-pixels", removed=[0])[1])["views"][0]["stops"][0]
    index, distance = unpacked(stop["image"]), unpacked(stop["image_distance"])
    scene = ROWS * COLUMNS * 16
    own = np.tile(np.arange(scene), 2)
    assert index.shape == (2 * scene, 4) and (index != own[:, None]).all() and index.max() < scene
    assert (distance[:10] == 0).all() and (index[:10] < 10).all()
    flat = values[0, 0, first : first + ROWS * COLUMNS].reshape(scene, -1).astype(np.float64)
    away = np.sqrt(np.square(flat[:, None] - flat).sum(-1))
    away[np.arange(scene), np.arange(scene)] = np.inf
    np.testing.assert_allclose(distance[:scene], np.sort(away, axis=1)[:, :4], rtol=1e-4)


def test_variants_are_as_they_are(made):
    _, labels, features = made
    rows, text = measured(features["raw-pixels"], labels, "raw-pixels")
    views = {view["variant"]: view for view in json.loads(text)["views"]}
    assert [len(views[name]["stops"]) for name in ("", "drop-20", "flat")] == [4, 1, 1]
    assert set(rows[rows.variant != ""].removed) == {0} and set(rows[rows.variant == "drop-20"].features) == {172}
    # The twenty features that are dropped are the first that the slider would remove.
    np.testing.assert_array_equal(unpacked(views["drop-20"]["order"]), unpacked(views[""]["order"])[20:])
    # Rounded tokens are kept once where a variant needs no others.
    assert [name for name, view in views.items() if view["tokens"]] == ["", "white"]


def test_too_few_features_are_said(made, caplog):
    _, labels, features = made
    with caplog.at_level(logging.WARNING):
        measured(features["random-vit"], labels, "random-vit", removed=[0, 48, 100])
    assert "the model has 48 features: removing 48, 100 is left out" in caplog.text
    with pytest.raises(ConfigError, match=r"explorer\.removed holds no number below 48.*: add smaller ones"):
        measured(features["random-vit"], labels, "random-vit", removed=[48])


def test_the_page_has_what_fits(made, tmp_path, monkeypatch, caplog):
    page = written(tmp_path, *made)
    whole = page.stat().st_size
    assert whole < pages.LIMIT == 10_000_000
    files = [tmp_path / f"{model}.json" for model in VARIANTS]
    said = {0.9: "1 image left out", 0.52: "1 image and the shading left out"}
    for share, words in said.items():
        monkeypatch.setattr(pages, "LIMIT", int(share * whole))
        caplog.clear()
        write_page(files, *made[:2], page)
        assert f"explorer.streets.html: {words}" in caplog.text
        assert page.stat().st_size <= share * whole
    monkeypatch.setattr(pages, "LIMIT", 1000)
    with pytest.raises(DataError, match=r"explorer of streets is larger than .*: set explorer\.tiles"):
        write_page(files, *made[:2], page)


def test_files_that_do_not_belong_together_are_named(made, tmp_path):
    page = written(tmp_path, *made)
    with pytest.raises(StoreError, match=r"raw-pixels\.json is of other images.*delete it and run again"):
        write_page([tmp_path / "raw-pixels.json"], *made[:2], page, images=3)
    (tmp_path / "raw-pixels.json").write_text("{}")
    with pytest.raises(StoreError, match=r"raw-pixels\.json is no file.*: delete it and run again"):
        read_packed(tmp_path / "raw-pixels.json")
    with pytest.raises(StoreError, match=r"lacks tile 'train/"):
        write_page([tmp_path / "random-vit.json"], made[0].isel(tile=slice(24, None)), made[1], page)


def test_the_page_is_the_same_bytes_again(made, tmp_path):
    page = written(tmp_path, *made)
    before = page.read_bytes()
    assert written(tmp_path, *made).read_bytes() == before


def test_tiles_that_overlap_are_framed_and_said(made, tmp_path, monkeypatch):
    headers, pack = [], pages.packed
    monkeypatch.setattr(
        pages, "packed", lambda header, arrays: headers.append((header, arrays)) or pack(header, arrays)
    )
    written(tmp_path, *made)
    tiles, labels, _ = made
    size = tiles.attrs["tile_size"]
    moved = tiles.assign_coords(left=tiles["left"] - tiles["left"] // size * (size // 4))
    write_page([tmp_path / f"{model}.json" for model in VARIANTS], moved, labels, tmp_path / "over.html")
    (apart, plain), (over, framed) = headers
    assert apart["note"] == "" and "what two of them show is there twice" in over["note"]
    pictures = [np.asarray(Image.open(io.BytesIO(one["picture 0"].tobytes()))) for one in (plain, framed)]
    assert pictures[1][:, 0].min() > 200 > pictures[0][:, 0].min()
