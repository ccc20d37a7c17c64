"""Full images: their size, their tokens against those of tiles, and models that cannot see them."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image

from patchprobe.analyses.clean_predictions import classify_clean
from patchprobe.analyses.full_images.measure import full_image_rows
from patchprobe.datasets.adapters.synthetic import Synthetic
from patchprobe.datasets.index import build_index
from patchprobe.errors import DataError, ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.registered import registered_model
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store
from patchprobe.tiles.full_images import describe_for_full_images, full_input_size, tiles_each
from patchprobe.tiles.tiling import Tiling
from patchprobe.tiles.writing import write_labels, write_tiles
from patchprobe.tokens.extraction import extract
from patchprobe.tokens.labelled import labelled_tokens, token_blocks

OPTIONS = ProbeOptions(learning_rates=(0.01,), weight_decays=(0.001,), steps=300)


def sizes(*images):
    return pd.DataFrame(images, columns=["height", "width"])


def test_stored_sizes_by_hand():
    cityscapes = Tiling(256, 224).whole(sizes((1024, 2048), (1024, 2048)))
    assert cityscapes.cut == (1024, 2048) and cityscapes.stored == (896, 1792)
    assert cityscapes.corners(1024, 2048) == [(0, 0)]
    # Of any size, but resized to one: as tiled, not squashed again.
    ade20k = Tiling(224, 224, image_size=(448, 672)).whole(sizes((512, 683), (300, 400)))
    assert ade20k.stored == (448, 672) and ade20k.corners(512, 683) == [(0, 0)]
    # 480 * 224 / 360 = 298.67
    assert Tiling(360, 224).whole(sizes((360, 480))).stored == (224, 299)
    with pytest.raises(DataError, match=r"the images have 2 sizes, and full images need one: set tiling\.image_size"):
        Tiling(224, 224).whole(sizes((512, 683), (300, 400)))


@pytest.mark.parametrize(
    ("grid", "side", "full", "expected"),
    [
        ((14, 14), (224, 224), (896, 1792), (896, 1792)),  # dino on Cityscapes
        ((16, 16), (224, 224), (896, 1792), (896, 1792)),  # dinov2: 64 x 128 patches of 14 px
        ((32, 32), (512, 512), (896, 1792), (2048, 4096)),  # a model that sees tiles enlarged
        ((14, 7), (224, 112), (896, 1792), (896, 896)),  # ... and squashed
        ((14, 14), (224, 224), (224, 299), (224, 304)),  # 18.7 patches are 19
        ((14, 14), (224, 224), (5, 224), (16, 224)),  # at least one
    ],
)
def test_input_sizes_by_hand(grid, side, full, expected):
    assert full_input_size({"grid": list(grid), "input_size": list(side)}, (224, 224), full) == expected


@pytest.fixture(scope="module")
def scenes():
    dataset = Synthetic(None, {"images": 6, "height": 64, "width": 128})
    splits = {"train": {"source": "train"}, "evaluation": {"source": "val", "images": 4}}
    return dataset, build_index(dataset, "demo", {"splits": splits, "tiling": {"size": 32}}, seed=0)[0]


def stored(folder, scenes, tiling, model, **options):
    """Return the tile, the label and the token store of a tiling and a model."""
    folder.mkdir()
    dataset, index = scenes
    with build_store(folder / "tiles.zarr", spec="{}", code="") as build:
        write_tiles(build, dataset, index, tiling=tiling)
    with build_store(folder / "labels.zarr", spec="{}", code="") as build:
        write_labels(build, dataset, index, tiling=tiling)
    tiles = open_store(folder / "tiles.zarr")
    with build_store(folder / "tokens.zarr", spec="{}", code="") as build:
        extract(build, tiles, model, **options)
    return tiles, open_store(folder / "labels.zarr"), open_store(folder / "tokens.zarr")


def pixels(rows, columns):
    entry = {"source": "pixels", "patch_size": 8}
    return load_model("pixels", entry, checkpoint_root=None, input_size=[rows, columns], device="cpu")


def test_pictures_and_label_maps_are_resized_whole(tmp_path, scenes):
    dataset, index = scenes
    tiling = Tiling(64, 32).whole(index)
    tiles, labels, _ = stored(tmp_path / "full", scenes, tiling, pixels(32, 64))
    assert tiles.image.shape == (1, 10, 32, 64, 3) and labels.label.shape == (10, 32, 64)
    assert tiles.tile.values.tolist() == [f"{image}#r0c0" for image in index["image_id"]]
    records = {record.image_id: record for split in ("train", "val") for record in dataset.records(split)}
    for place, image_id in enumerate(index["image_id"]):
        picture = Image.fromarray(dataset.read_image(records[image_id]))
        want = np.asarray(picture.resize((64, 32), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(tiles.image.values[0, place], want)
        np.testing.assert_array_equal(labels.label.values[place], dataset.read_label(records[image_id])[1::2, 1::2])


def test_full_images_are_the_same_to_pixels_as_tiles(tmp_path, scenes):
    """Without resizing, the patches of raw pixels are the same, cut once or twice; so are all scores of 1-NN."""
    tiling = Tiling(32, 32)
    _, tile_labels, tile_tokens = stored(tmp_path / "tiles", scenes, tiling, pixels(32, 32))
    whole = tiling.whole(scenes[1])
    _, labels, tokens = stored(tmp_path / "full", scenes, whole, pixels(64, 128), tiles_each=8.0)
    # 10 images of 2 x 4 tiles of 4 x 4 patches of 192 values.
    tiled = tile_tokens.tokens.values.reshape(10, 2, 4, 4, 4, 192).transpose(0, 1, 3, 2, 4, 5)
    np.testing.assert_array_equal(tokens.tokens.values.reshape(10, 2, 4, 4, 4, 192), tiled)
    common = {"dataset": "d", "bootstrap": {"resamples": 100, "level": 0.9}, "seed": 0, "spec": "s"}
    rows = pd.DataFrame(full_image_rows(tokens, labels, OPTIONS, model="m", threads=1, **common))
    assert set(rows["protocol"]) == {"full-images-v1"}
    expected = []
    for method, ids in classify_clean(
        labelled_tokens(tile_tokens, tile_labels, "train"), tile_tokens, OPTIONS, seed=0, threads=1
    ):
        expected += clean_rows(ids, tile_tokens, tile_labels, method=method, **common)
    keys, numbers = ["method", "metric", "class"], ["value", "ci_low", "ci_high"]
    ours, theirs = (table.set_index(keys)[numbers] for table in (rows, pd.DataFrame(expected)))
    pd.testing.assert_frame_equal(ours.loc["1-nn"], theirs.loc["1-nn"])
    # Minibatches of the probe hold the same patches in another order.
    metrics = [("linear", metric, "") for metric in ("pixel_accuracy", "patch_accuracy", "pixel_miou")]
    np.testing.assert_allclose(ours.loc[metrics, "value"], theirs.loc[metrics, "value"], atol=0.05)


def demo_model(name):
    entry = {"arguments": {}, "ground_sample_distance": None} | dict(registered_model(name).entry)
    size = [entry["input_size"]] * 2
    return entry, {"input_size": size, "grid": [side // 8 for side in size]}


def test_position_embedding_is_interpolated_as_the_entry_says(tmp_path):
    entry, card = demo_model("demo-mae")
    tiling = Tiling(128, 64)
    given = {"checkpoint_root": tmp_path, "tiling": tiling, "whole": tiling.whole(sizes((256, 512)))}
    for method in ("timm", "dino", "vitmae"):
        entry["position_embedding"] = method
        full = json.loads(describe_for_full_images("mae", entry, card, **given))
        assert full["grid"] == [16, 32] and full["input_size"] == [128, 256]
        assert tiles_each(card, full) == 8
        position = full["provenance"]["position_embedding"]
        assert position == {"applied": True, "checkpoint_grid": [8, 8], "grid": [16, 32], "method": method}
    model = load_model(
        "mae", entry | {"input_size": full["input_size"]}, checkpoint_root=tmp_path, input_size=64, device="cpu"
    )
    tiled = load_model("mae", entry, checkpoint_root=tmp_path, input_size=64, device="cpu").module.pos_embed
    want = torch.nn.functional.interpolate(
        tiled[:, 1:].reshape(1, 8, 8, 192).permute(0, 3, 1, 2), (16, 32), mode="bicubic"
    )
    torch.testing.assert_close(model.module.pos_embed[:, 1:], want.flatten(2).transpose(1, 2))
    torch.testing.assert_close(model.module.pos_embed[:, :1], tiled[:, :1])
    # One tile that is the full image is seen as a tile.
    alone = json.loads(describe_for_full_images("mae", entry, card, **given | {"whole": tiling}))
    assert not alone["provenance"]["position_embedding"]["applied"] and tiles_each(card, alone) == 1


def test_size_that_patches_do_not_divide_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    card = {"input_size": [64, 64], "grid": [8, 8]}
    entry = {"source": "pixels", "patch_size": 8, "input_size": None}
    tiling = Tiling(50, 64)
    given = {"checkpoint_root": tmp_path, "tiling": tiling, "whole": tiling.whole(sizes((100, 130)))}
    full = json.loads(describe_for_full_images("pixels", entry, card, **given))
    assert full["input_size"] == [128, 168]  # 130 * 64 / 50 = 166.4, which is stored as 166
    said = "pixels: full images of 128 x 166 px at the scale of tiles are resized to 128 x 168 px, whole patches"
    assert said in caplog.messages


def test_model_of_a_fixed_input_size_is_refused(tmp_path):
    arguments = {"embed_dim": 48, "depth": 1, "num_heads": 3}
    weights = timm.create_model("beitv2_base_patch16_224", img_size=32, num_classes=0, **arguments).state_dict()
    torch.save(weights, tmp_path / "w.pth")
    entry = {"source": "timm", "architecture": "beitv2_base_patch16_224", "arguments": arguments}
    entry |= {"layout": "timm", "checkpoint": "w.pth", "input_size": 32}
    card = {"input_size": [32, 32], "grid": [2, 2]}
    given = {"checkpoint_root": tmp_path, "tiling": Tiling(32, 32)}
    describe_for_full_images("beit", entry, card, **given, whole=Tiling(32, 32))
    message = (
        r"full_images\.models: beit cannot see full images, 32 x 64 px: take it out of the list \(.*relative_position"
    )
    with pytest.raises(ModelError, match=message):
        describe_for_full_images("beit", entry, card, **given, whole=Tiling((32, 64), (32, 64)))


def test_blocks_and_chunks_of_large_images_are_small(tmp_path):
    dataset = Synthetic(None, {"images": 6, "height": 32, "width": 64})
    splits = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
    scenes = dataset, build_index(dataset, "demo", {"splits": splits, "tiling": {"size": 32}}, seed=0)[0]
    tiling = Tiling(32, 1024).whole(scenes[1])
    tiles, _, tokens = stored(tmp_path / "full", scenes, tiling, pixels(1024, 2048), tiles_each=2.0)
    assert tiles.image.encoding["chunks"][1] == 4  # of 2 million pixels each
    assert tokens.tokens.encoding["chunks"][2] == 4
    # 32,768 patches each.
    assert [block.shape[0] for block in token_blocks(tokens, 0)] == [1] * 6
