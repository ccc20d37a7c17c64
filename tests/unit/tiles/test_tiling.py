"""Tiles, their resizing and the stores of tiles and labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

from patchprobe.corruptions.corruption import open_corruption
from patchprobe.corruptions.geometric import Geometric
from patchprobe.datasets.adapters.synthetic import Synthetic
from patchprobe.datasets.dataset import Record, open_dataset
from patchprobe.datasets.index import build_index, index_records
from patchprobe.errors import ConfigError, DataError
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tiles.tiling import Tiling, tile_table
from patchprobe.tiles.writing import write_labels, write_tiles

TILING = Tiling(size=48, resize=32, interpolation="bilinear")


class Uneven(Synthetic):
    """Scenes of different sizes, as in ADE20K."""

    def read_image(self, record: Record) -> np.ndarray:
        return super().read_image(record)[: self._height(record)]

    def read_label(self, record: Record) -> np.ndarray:
        return super().read_label(record)[: self._height(record)]

    def _height(self, record: Record) -> int:
        return 48 + 24 * (int(record.image_id[-1]) % 3)


def make_index(dataset: Any, train: int | None = 3, evaluation: int | None = 2, size: int = 48) -> pd.DataFrame:
    entry = {
        "splits": {
            "train": {"source": "train", "images": train},
            "evaluation": {"source": "val", "images": evaluation},
        },
        "tiling": {"size": size},
    }
    return build_index(dataset, "demo", entry, seed=0)[0]


def tiles_store(path: Path, dataset: Any, index: pd.DataFrame, **options: Any) -> xr.Dataset:
    options = {"tiling": TILING, "seed": 5, **options}
    with build_store(path, spec="{}", code="c") as build:
        write_tiles(build, dataset, index, **options)
    return open_store(path)


@pytest.fixture
def demo() -> Synthetic:
    return Synthetic(None, {"images": 4, "height": 96, "width": 120})


def test_camvid_and_cityscapes_by_hand() -> None:
    assert Tiling(360, 224).corners(360, 480) == [(0, 0), (0, 120)]
    corners = Tiling(256, 224).corners(1024, 2048)
    assert corners == [(top, left) for top in range(0, 1024, 256) for left in range(0, 2048, 256)]
    assert Tiling(224, 224).offsets(500) == [0, 138, 276]
    assert Tiling(224, 224).offsets(224) == [0]
    six = [(0, 0), (0, 224), (0, 448), (224, 0), (224, 224), (224, 448)]
    for height, width in ((512, 683), (300, 400), (900, 200)):
        assert Tiling(224, 224, image_size=(448, 672)).corners(height, width) == six


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((224, 224, "bicubic", [200, 672]), r"tiling\.image_size is \[200, 672\]; .* hold a tile of tiling\.size, 224"),
        ((0, 224, "bicubic"), r"tiling\.size is 0"),
        ((256, 224.0, "bicubic"), r"tiling\.resize is 224\.0"),
        ((256, 224, "cubic"), r"tiling\.interpolation is 'cubic'; set it to bicubic or bilinear"),
    ],
)
def test_bad_tilings(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tiling(*values)


def test_a_tile_larger_than_the_image() -> None:
    with pytest.raises(DataError, match=r"a tile of 256 pixels does not fit in an image side of 200"):
        Tiling(256, 224).corners(200, 500)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("size", "resize"), [(256, 224), (100, 224), (360, 224)])
def test_resized_images_are_those_of_pillow(interpolation: str, size: int, resize: int, demo: Synthetic) -> None:
    image = Synthetic(None, {"images": 1, "height": 400, "width": 500})
    pixels = image.read_image(image.records("train")[0])
    tiling = Tiling(size, resize, interpolation)
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    for tile, (top, left) in zip(tiling.cut_image(pixels), tiling.corners(400, 500), strict=True):
        source = Image.fromarray(pixels[top : top + size, left : left + size])
        want = np.asarray(source.resize((resize, resize), filters[interpolation])).astype(int)
        difference = np.abs(tile.astype(int) - want)
        assert difference.max() <= 2 and difference.mean() < 0.01


@pytest.mark.parametrize(("size", "resize"), [(256, 224), (100, 224), (360, 224), (224, 224)])
def test_resized_labels_are_those_of_pillow(size: int, resize: int) -> None:
    label = np.random.default_rng(0).integers(0, 256, (400, 500), dtype=np.uint8)
    tiling = Tiling(size, resize)
    for tile, (top, left) in zip(tiling.cut_label(label), tiling.corners(400, 500), strict=True):
        source = Image.fromarray(label[top : top + size, left : left + size])
        want = np.asarray(source.resize((resize, resize), Image.Resampling.NEAREST))
        exact = torch.nn.functional.interpolate(
            torch.from_numpy(np.array(source))[None, None], (resize, resize), mode="nearest-exact"
        )
        # Both work in floating point, so they take either side where a centre lies on a pixel border.
        clear = ((2 * np.arange(resize) + 1) * size % (2 * resize) != 0) | (size == resize)
        for other in (want, exact[0, 0].numpy()):
            np.testing.assert_array_equal(tile[clear][:, clear], other[clear][:, clear])


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (512, 683), (700, 260)])
def test_images_resized_before_they_are_cut_are_those_of_pillow(interpolation: str, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    tiling = Tiling(64, 32, interpolation, [128, 192])
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    whole = Image.fromarray(pixels).resize((192, 128), filters[interpolation])
    for i, tile in enumerate(tiling.cut_image(pixels)):
        top, left = 64 * (i // 3), 64 * (i % 3)
        want = whole.crop((left, top, left + 64, top + 64)).resize((32, 32), filters[interpolation])
        np.testing.assert_array_equal(tile, np.asarray(want))
    assert tiling.cut_image(pixels).shape == (6, 32, 32, 3)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (97, 101)])
def test_labels_resized_before_they_are_cut_keep_the_pixel_of_their_centre(height: int, width: int) -> None:
    label = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    tiles = Tiling(64, 64, image_size=(128, 192)).cut_label(label)
    for i in range(6):
        for y, x in ((0, 0), (17, 40), (63, 63)):
            row, column = 64 * (i // 3) + y, 64 * (i % 3) + x
            centre = ((row + 0.5) / 128 * height, (column + 0.5) / 192 * width)
            assert tiles[i, y, x] == label[int(centre[0]), int(centre[1])]


def test_unresized_tiles_are_the_pixels_and_threads_do_not_matter(demo: Synthetic) -> None:
    pixels = demo.read_image(demo.records("train")[0])
    tiles = Tiling(48, 48).cut_image(pixels)
    np.testing.assert_array_equal(tiles[4], pixels[48:96, 36:84])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = TILING.cut_image(pixels)
        torch.set_num_threads(3)
        np.testing.assert_array_equal(one, TILING.cut_image(pixels))
    finally:
        torch.set_num_threads(threads)


def test_clean_store(tmp_path: Path, demo: Synthetic) -> None:
    index = make_index(demo)
    ds = tiles_store(tmp_path / "clean.zarr", demo, index)
    assert ds["image"].dims == ("level", "tile", "y", "x", "channel") and ds["image"].dtype == np.uint8
    assert ds["image"].shape == (1, 5 * 6, 32, 32, 3) and ds["level"].values.tolist() == [0.0]
    assert ds["image"].encoding["chunks"][:2] == (1, 30) and "label" not in ds
    first = ds.isel(tile=0)
    assert str(first["tile"].values) == f"{index['image_id'][0]}#r0c0"
    expected = [TILING.cut_image(demo.read_image(record)) for record in index_records(index)]
    np.testing.assert_array_equal(ds["image"].values[0], np.concatenate(expected))
    table = tile_table(index, TILING)
    for column in table.columns:
        assert ds[column].dims == ("tile",)
        assert ds[column].values.tolist() == table[column].tolist()
    assert ds["split"].values.tolist() == ["train"] * 18 + ["evaluation"] * 12
    assert ds["top"].values[:6].tolist() == [0, 0, 0, 48, 48, 48]
    assert ds["left"].values[:6].tolist() == [0, 36, 72] * 2
    assert ds.attrs["corruption"] == "clean" and ds.attrs["tile_size"] == 48 and ds.attrs["resize"] == 32


def test_label_store(tmp_path: Path, demo: Synthetic) -> None:
    index = make_index(demo)
    with build_store(tmp_path / "labels.zarr", spec="{}", code="c") as build:
        write_labels(build, demo, index, tiling=TILING)
    ds = open_store(tmp_path / "labels.zarr")
    expected = [TILING.cut_label(demo.read_label(record)) for record in index_records(index)]
    np.testing.assert_array_equal(ds["label"].values, np.concatenate(expected))
    assert (
        ds["label"].dims == ("tile", "y", "x")
        and ds["tile"].values.tolist() == tile_table(index, TILING)["tile"].tolist()
    )
    assert ds.attrs["class_ids"] == list(range(8)) and ds.attrs["void_id"] == 255
    assert ds.attrs["class_names"][0] == "road" and ds.attrs["class_colors"][0] == [128, 64, 128]
    assert ds.attrs["supercategories"][0] == "flat"


@pytest.mark.parametrize("apply", ["image", "tile"])
@pytest.mark.parametrize("kind", ["noise", "blur", "rotate"])
def test_corrupted_store(tmp_path: Path, demo: Synthetic, kind: str, apply: str) -> None:
    index = make_index(demo)
    corruption = open_corruption(kind, {"levels": [5, 11], "apply": apply})
    ds = tiles_store(tmp_path / f"{kind}.zarr", demo, index, corruption=corruption)
    assert ds["image"].shape == (2, 12, 32, 32, 3) and ds["level"].values.tolist() == [5.0, 11.0]
    assert set(ds["split"].values) == {"evaluation"}
    # Any one tile can be made again by itself.
    record = demo.records("val")[[r.image_id for r in demo.records("val")].index(str(ds["image_id"].values[8]))]
    pixels, label, tile = demo.read_image(record), demo.read_label(record), f"{record.image_id}#r0c2"
    assert str(ds["tile"].values[8]) == tile
    if apply == "image":
        want = TILING.cut_image(corruption.corrupt(pixels, 11.0, seed=5, key=record.image_id))[2]
    else:
        want = corruption.corrupt(TILING.cut_image(pixels)[2], 11.0, seed=5, key=tile)
    np.testing.assert_array_equal(ds["image"].values[1, 8], want)
    assert ("label" in ds) == ("affine" in ds) == (kind == "rotate")
    if isinstance(corruption, Geometric):
        frame = (96, 120) if apply == "image" else (32, 32)
        np.testing.assert_array_equal(ds["affine"].values[1], corruption.affine(11.0, *frame))
        assert ds["affine"].dims[0] == "level" and ds.attrs["affine_frame"] == apply and ds.attrs["void_id"] == 255
        if apply == "image":
            moved = TILING.cut_label(corruption.move_label(label, 11.0, 255))[2]
        else:
            moved = corruption.move_label(TILING.cut_label(label)[2], 11.0, 255)
        np.testing.assert_array_equal(ds["label"].values[1, 8], moved)


@pytest.mark.parametrize("apply", ["image", "tile"])
def test_uneven_images_and_threads(tmp_path: Path, apply: str) -> None:
    dataset = Uneven(None, {"images": 12, "height": 96, "width": 120})
    index = make_index(dataset, None, None)
    noise = open_corruption("noise", {"levels": [5], "apply": apply})
    stores = [
        tiles_store(tmp_path / f"{threads}.zarr", dataset, index, corruption=noise, threads=threads)
        for threads in (1, 3)
    ]
    numbers = stores[0]["image_id"].to_series().value_counts()
    assert sorted(set(numbers)) == [3, 6] and stores[0]["image"].encoding["chunks"][1] == 32
    xr.testing.assert_identical(*stores)
    clean = tiles_store(tmp_path / "clean.zarr", dataset, index, threads=2)
    expected = [TILING.cut_image(dataset.read_image(record)) for record in index_records(index)]
    np.testing.assert_array_equal(clean["image"].values[0], np.concatenate(expected))


@pytest.mark.parametrize("apply", ["image", "tile"])
@pytest.mark.parametrize("kind", ["blur", "rotate"])
def test_uneven_images_resized_before_they_are_cut(tmp_path: Path, kind: str, apply: str) -> None:
    """A corruption of full images acts before the resize: stores hold the tiles of the corrupted image as it was."""
    dataset = Uneven(None, {"images": 3, "height": 96, "width": 120})
    tiling = Tiling(32, 32, image_size=(64, 96))
    index = make_index(dataset, None, None, 32)
    clean = tiles_store(tmp_path / "clean.zarr", dataset, index, tiling=tiling)
    assert clean["image"].shape == (1, 6 * 6, 32, 32, 3) and clean.attrs["image_size"] == [64, 96]
    assert clean["image"].encoding["chunks"][1] == 30  # whole images
    assert clean["top"].values[:6].tolist() == [0, 0, 0, 32, 32, 32]
    assert clean["left"].values[:6].tolist() == [0, 32, 64] * 2
    corruption = open_corruption(kind, {"levels": [7], "apply": apply})
    if isinstance(corruption, Geometric) and apply == "image":
        with pytest.raises(DataError, match=r"3 sizes, .* set corruptions\.rotate\.apply to tile"):
            tiles_store(tmp_path / "made.zarr", dataset, index, tiling=tiling, corruption=corruption)
        return
    made = tiles_store(tmp_path / "made.zarr", dataset, index, tiling=tiling, corruption=corruption)
    record = index_records(index[index["split"] == "evaluation"])[1]
    pixels = dataset.read_image(record)
    if apply == "image":
        want = tiling.cut_image(corruption.corrupt(pixels, 7, seed=5, key=record.image_id))
    else:
        want = np.stack([corruption.corrupt(tile, 7, seed=5, key="") for tile in tiling.cut_image(pixels)])
    np.testing.assert_array_equal(made["image"].values[0, 6:12], want)
    assert made["tile"].values[6:12].tolist() == [f"{record.image_id}#r{r}c{c}" for r in range(2) for c in range(3)]


def test_geometric_corruption_of_uneven_images(tmp_path: Path) -> None:
    dataset = Uneven(None, {"images": 3, "height": 96, "width": 120})
    index = make_index(dataset, None, None)
    moving = open_corruption("scale", {"levels": [1.1], "apply": "image"})
    with pytest.raises(DataError, match=r"3 sizes, .* set corruptions\.scale\.apply to tile"):
        tiles_store(tmp_path / "scale.zarr", dataset, index, corruption=moving)
    moving = open_corruption("scale", {"levels": [1.1], "apply": "tile"})
    assert tiles_store(tmp_path / "scale.zarr", dataset, index, corruption=moving)["affine"].shape == (1, 2, 3)


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    class Failing(Synthetic):
        reads = 0
        broken = True

        def read_image(self, record: Record) -> np.ndarray:
            Failing.reads += 1
            if self.broken and Failing.reads > 20:
                raise KeyboardInterrupt
            return super().read_image(record)

    dataset = Failing(None, {"images": 20, "height": 48, "width": 96})
    index = make_index(Synthetic(None, {"images": 20, "height": 48, "width": 96}), None, 4)
    with pytest.raises(KeyboardInterrupt):
        tiles_store(tmp_path / "clean.zarr", dataset, index)
    assert not (tmp_path / "clean.zarr").exists()
    Failing.broken, Failing.reads = False, 0
    resumed = tiles_store(tmp_path / "clean.zarr", dataset, index)
    assert Failing.reads == 8  # 24 images in chunks of 16: the first chunk is kept
    xr.testing.assert_identical(resumed, tiles_store(tmp_path / "again.zarr", dataset, index))


def test_a_changed_image_is_noticed(tmp_path: Path, demo: Synthetic) -> None:
    index = make_index(demo)
    other = Synthetic(None, {"images": 4, "height": 96, "width": 128})
    with pytest.raises(DataError, match=r"scene00000\.png was changed after the images were checked; .*images\.csv"):
        tiles_store(tmp_path / "clean.zarr", other, index)


def test_real_camvid(shared: Path, tmp_path: Path) -> None:
    dataset = open_dataset({"adapter": "camvid", "root": "CamVid"}, shared / "samples" / "camvid")
    index = make_index(dataset, 3, 2, 360)
    ds = tiles_store(tmp_path / "clean.zarr", dataset, index, tiling=Tiling(360, 224))
    assert ds["image"].shape == (1, 10, 224, 224, 3)
    assert ds["left"].values.tolist() == [0, 120] * 5
    with Image.open(shared / "samples/camvid/CamVid" / index["image"][0]) as image:
        want = image.crop((120, 0, 480, 360)).resize((224, 224), Image.Resampling.BICUBIC)
    assert np.abs(ds["image"].values[0, 1].astype(int) - np.asarray(want)).max() <= 2


@pytest.mark.parametrize("wrong", ["float", "smaller"])
def test_a_corruption_that_returns_something_else_is_named(tmp_path, demo, monkeypatch, wrong):
    noise = open_corruption("noise", {"levels": [5], "apply": "image"})
    broken = {"float": lambda pixels, *_, **__: pixels / 2, "smaller": lambda pixels, *_, **__: pixels[1:]}[wrong]
    monkeypatch.setattr(noise, "corrupt", broken)
    with pytest.raises(
        DataError, match=r"corruptions\.noise: corrupt\(\) returned .*; have it give uint8 of the shape"
    ):
        tiles_store(tmp_path / "made.zarr", demo, make_index(demo), corruption=noise)
