"""Extraction against a plain loop, with interruptions, unusable tokens and failing threads."""

import functools
import threading
import time

import numpy as np
import pytest
import timm
import torch
import xarray as xr
from PIL import Image
from safetensors.torch import save_file

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Tokens, load_model
from patchprobe.stores.file_list import read_manifest
from patchprobe.stores.reading import open_store
from patchprobe.stores.shards import Shard, build_shard, take_over_shards
from patchprobe.stores.writing import build_store
from patchprobe.tokens import extraction
from patchprobe.tokens.extraction import extract


def make_tiles(folder, n=11, side=32, levels=1, chunk=4):
    """A tile store with chunks of ``chunk`` tiles."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (levels, n, side, side, 3), dtype=np.uint8)
    store = folder / "tiles.zarr"
    with build_store(store, spec="{}", code="") as build:
        array = build.array(
            "image", images.shape, (1, chunk, side, side, 3), np.uint8, ("level", "tile", "y", "x", "channel")
        )
        array[...] = images
        build.coordinate("level", np.arange(levels, dtype=float), ("level",))
        build.coordinate("tile", [f"city/{i}#r0c0" for i in range(n)], ("tile",))
        build.coordinate("image_id", [f"city/{i}" for i in range(n)], ("tile",))
        build.coordinate("split", ["train"] * n, ("tile",))
    return open_store(store)


def vit(architecture="test_vit", size=32):
    entry = {"source": "random", "architecture": architecture, "seed": 0}
    return load_model("m", entry, checkpoint_root=None, input_size=size, device="cpu")


@pytest.fixture
def vit_with_registers(monkeypatch):
    """A narrow ViT with [CLS] and four registers, three blocks, 2 x 2 patches of 14 px."""
    monkeypatch.setattr(timm, "create_model", functools.partial(timm.create_model, embed_dim=48, depth=3, num_heads=3))
    return vit("vit_small_patch14_reg4_dinov2", size=28)


def run(folder, tiles, model, **options):
    store = folder / "features.zarr"
    with build_store(store, spec="{}", code="") as build:
        extract(build, tiles, model, **options)
    return open_store(store)


class Interrupted:
    """A model that fails on its k-th batch, or spoils one token."""

    def __init__(self, model, fail_at=None, error=None, spoil=None):
        self._model, self._fail_at, self._error, self._spoil = model, fail_at, error, spoil
        self.batches = []

    def __getattr__(self, name):
        return getattr(self._model, name)

    def tokens(self, images, layers):
        self.batches.append(len(images))
        if len(self.batches) - 1 == self._fail_at and self._error:
            raise self._error
        tokens = self._model.tokens(images, layers)
        if len(self.batches) - 1 == self._fail_at:
            tokens.patch[0, 2, 1, 3] = self._spoil
        return tokens


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    left = [t.name for t in set(threading.enumerate()) - before if t.name.startswith(("read", "write"))]
    assert left == []


def test_a_batch_holds_fewer_full_images_than_tiles(tmp_path):
    tiles = make_tiles(tmp_path, n=8, chunk=4)
    for number, (tiles_each, expected) in enumerate([(1.0, [4, 4]), (3.2, [1] * 8), (1.9, [2] * 4), (1000.0, [1] * 8)]):
        model = Interrupted(vit())
        (tmp_path / f"{number}").mkdir()
        features = run(tmp_path / f"{number}", tiles, model, batch_size=4, tiles_each=tiles_each)
        assert model.batches == expected
        assert features.attrs["provenance"]["batch_size"] == expected[0]


@pytest.mark.parametrize("architecture", ["test_vit", "test_vit2", "vit_with_registers"])
def test_tokens_equal_those_of_a_plain_loop_over_tiles(tmp_path, architecture, request):
    model = request.getfixturevalue(architecture) if architecture == "vit_with_registers" else vit(architecture)
    tiles = make_tiles(tmp_path, n=5, levels=2, side=model.input_size[0])
    features = run(tmp_path, tiles, model, layers="all", dtype="float32", batch_size=2)
    for level in range(2):
        for tile in range(5):
            image = torch.from_numpy(tiles["image"].to_numpy()[level, tile]).permute(2, 0, 1) / 255
            mean, std = torch.tensor(model.mean).view(3, 1, 1), torch.tensor(model.std).view(3, 1, 1)
            with torch.inference_mode():
                expected = model.tokens(((image - mean) / std)[None], range(1, model.blocks + 1))
            got = features.isel(level=level, tile=tile)
            np.testing.assert_allclose(got["tokens"], expected.patch[:, 0], atol=2e-5)
            if model.has_cls:
                np.testing.assert_allclose(got["cls"], expected.cls[:, 0], atol=2e-5)
            if model.registers:
                np.testing.assert_allclose(got["registers"], expected.registers[:, 0], atol=2e-5)
    assert ("cls" in features, "registers" in features) == (model.has_cls, model.registers > 0)


def test_the_store_is_labelled_chunked_and_says_what_made_it(tmp_path, vit_with_registers):
    tiles = make_tiles(tmp_path, n=11, levels=2)
    features = run(tmp_path, tiles, vit_with_registers, layers="all")
    tokens = features["tokens"]
    assert tokens.dims == ("level", "layer", "tile", "patch", "feature")
    assert tokens.shape == (2, 3, 11, 4, 48) and tokens.dtype == np.float16
    assert tokens.encoding["chunks"] == (1, 1, 4, 4, 48)
    assert not tokens.encoding.get("compressors")
    assert features["cls"].dims == ("level", "layer", "tile", "feature")
    assert features["registers"].dims == ("level", "layer", "tile", "register", "feature")
    assert features["layer"].to_numpy().tolist() == [1, 2, 3]
    assert features["patch_row"].to_numpy().tolist() == [0, 0, 1, 1]
    assert features["patch_col"].to_numpy().tolist() == [0, 1, 0, 1]
    for name in ("tile", "image_id", "split", "level"):
        assert features[name].to_numpy().tolist() == tiles[name].to_numpy().tolist()
    provenance = features.attrs["provenance"]
    assert provenance["model"] == "m" and provenance["tile_size"] == [32, 32]
    assert provenance["resize"] == "bicubic, antialiased, uint8"
    expected = {"precision": "fp32", "dtype": "float16", "device": "cpu", "batch_size": 8}
    assert expected.items() <= provenance.items()


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_of_any_number_give_the_same_store_and_share_the_tiles(tmp_path, capsys, shards):
    tiles, model = make_tiles(tmp_path, n=11, levels=2, chunk=2), vit()
    run(tmp_path, tiles, model, batch_size=2)
    store, seen = tmp_path / "sharded/features.zarr", []
    for index in range(1, shards + 1):
        counting, shard = Interrupted(model), Shard(index, shards)
        with build_shard(store, tmp_path / f"{shard}.json", shard, spec="{}", code="") as build:
            extract(build, tiles, counting, batch_size=2, shard=shard)
        seen.append(sum(counting.batches))
        assert not store.exists() and not store.with_suffix(".manifest.json").exists()
    with build_store(store, spec="{}", code="") as build:
        take_over_shards(build, sorted(tmp_path.glob("*-of-*.json")))
    assert sum(seen) == 22 and (max(seen) - min(seen) <= 4 or shards == 7)
    assert capsys.readouterr().err.count("has no tiles, since there are fewer groups of chunks") == seen.count(0)
    for name in ("features.manifest.json", "features.zarr"):
        whole = (tmp_path / name, store.with_name(name))
        assert len({str(content(path)) for path in whole}) == 1
    assert not list((store.parent / ".partial").glob("*shard*"))
    open_store(store).load()


def content(path):
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return [(str(file.relative_to(path)), file.read_bytes()) for file in files]


def test_the_last_layer_alone_equals_the_last_of_all(tmp_path):
    tiles, model = make_tiles(tmp_path), vit()
    every = run(tmp_path / "all", tiles, model, layers="all")
    last = run(tmp_path / "last", tiles, model, layers="last")
    assert last["layer"].to_numpy().tolist() == [6]
    np.testing.assert_array_equal(last["tokens"], every["tokens"][:, -1:])
    assert last["tokens"].dtype == np.float16


def test_all_layers_cost_one_forward_pass(tmp_path):
    tiles, model = make_tiles(tmp_path, n=8), vit()
    ran = []
    for block in model.module.blocks:
        block.register_forward_hook(lambda *_: ran.append(1))
    run(tmp_path, tiles, model, layers="all", batch_size=4)
    assert len(ran) == 6 * 2


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(3, [2, 2, 2, 2, 3]), (4, [4, 4, 3]), (8, [8, 3]), (10, [8, 3]), (64, [11])],
)
def test_units_are_whole_chunks_and_whole_batches(tmp_path, batch_size, expected):
    model = Interrupted(vit())
    run(tmp_path, make_tiles(tmp_path, n=11, chunk=4), model, batch_size=batch_size)
    assert model.batches == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_a_resumed_run_writes_the_bytes_of_an_undisturbed_one(tmp_path, capsys, error):
    tiles, model = make_tiles(tmp_path, n=11, levels=2), vit()
    run(tmp_path / "undisturbed", tiles, model, layers="all", batch_size=2)
    with pytest.raises(type(error)):
        run(tmp_path / "resumed", tiles, Interrupted(model, fail_at=7, error=error), layers="all", batch_size=2)
    counting = Interrupted(model)
    run(tmp_path / "resumed", tiles, counting, layers="all", batch_size=2)
    assert 0 < sum(counting.batches) < 22
    assert "resuming: 3 of 6 units are finished" in capsys.readouterr().err
    manifests = [read_manifest(tmp_path / name / "features.zarr") for name in ("undisturbed", "resumed")]
    assert manifests[0]["sha256"] == manifests[1]["sha256"]


def test_a_run_with_another_batch_starts_over(tmp_path):
    tiles, model = make_tiles(tmp_path), vit()
    with pytest.raises(RuntimeError):
        run(tmp_path, tiles, Interrupted(model, fail_at=4, error=RuntimeError()), batch_size=2)
    counting = Interrupted(model)
    run(tmp_path, tiles, counting, batch_size=4)
    assert sum(counting.batches) == 11


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_tokens_that_are_not_finite_are_an_error_naming_the_tile(tmp_path, value):
    tiles = make_tiles(tmp_path)
    spoilt = Interrupted(vit(), fail_at=1, spoil=value)
    message = r"^models\.m: block 6, tile city/6#r0c0: the tokens hold NaN or infinity; the weights are damaged"
    with pytest.raises(ModelError, match=message):
        run(tmp_path, tiles, spoilt, batch_size=4)


def test_an_overflow_in_half_precision_names_the_remedy(tmp_path, capsys):
    spoilt = Interrupted(vit(), fail_at=0, spoil=np.inf)
    with pytest.raises(ModelError, match=r"overflows in bf16: set extraction\.precision: fp32"):
        run(tmp_path, make_tiles(tmp_path, n=4), spoilt, precision="bf16")
    assert "bf16 on a CPU is many times slower than fp32" in capsys.readouterr().err


def test_a_value_beyond_float16_asks_for_float32(tmp_path):
    tiles = make_tiles(tmp_path)
    with pytest.raises(ModelError, match=r"value of 7e\+04 does not fit float16 .*set extraction\.dtype: float32"):
        run(tmp_path / "half", tiles, Interrupted(vit(), fail_at=0, spoil=-7e4))
    features = run(tmp_path / "full", tiles, Interrupted(vit(), fail_at=0, spoil=-7e4), dtype="float32")
    assert features["tokens"].to_numpy().min() == -7e4


def test_too_little_gpu_memory_names_the_remedy(tmp_path):
    model = Interrupted(vit(), fail_at=0, error=torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        ModelError, match=r"too little memory for a batch of 8 tiles; set a smaller extraction\.batch_size"
    ):
        run(tmp_path, make_tiles(tmp_path, n=8, chunk=8), model)


def test_bf16_is_near_fp32(tmp_path):
    tiles, model = make_tiles(tmp_path, n=4), vit()
    full, half = (run(tmp_path / p, tiles, model, precision=p)["tokens"].to_numpy() for p in ("fp32", "bf16"))
    assert 0 < np.abs(full.astype(float) - half).max() < 0.2


def test_tiles_of_another_size_are_resized_like_pillow(tmp_path):
    tiles = make_tiles(tmp_path, n=3, side=48)
    entry = {"source": "pixels", "patch_size": 16}
    model = load_model("m", entry, checkpoint_root=None, input_size=32, device="cpu")
    features = run(tmp_path, tiles, model, dtype="float32")
    for i in range(3):
        image = Image.fromarray(tiles["image"].to_numpy()[0, i]).resize((32, 32), Image.Resampling.BICUBIC)
        expected = np.asarray(image, dtype=float)
        got = features["tokens"].to_numpy()[0, 0, i].reshape(2, 2, 3, 16, 16).transpose(0, 3, 1, 4, 2)
        # uint8 arithmetic in another order: a grey level or two
        assert np.abs(got.reshape(32, 32, 3) * 255 - expected).max() <= 2.01


def test_an_error_while_reading_is_raised(tmp_path, monkeypatch):
    read = extraction._read
    monkeypatch.setattr(
        extraction,
        "_read",
        lambda job, unit: read(job, unit) if unit.start == 0 else (_ for _ in ()).throw(OSError("gone")),
    )
    with pytest.raises(OSError, match="gone"):
        run(tmp_path, make_tiles(tmp_path), vit(), batch_size=4)


def test_an_error_while_writing_is_raised_at_the_next_batch(tmp_path, monkeypatch):
    failed = threading.Event()

    def fail(*_):
        failed.set()
        raise OSError("read-only")

    class Waiting(Interrupted):
        def tokens(self, images, layers):
            if len(self.batches) >= 8:  # the second unit, while the first is written
                failed.wait(10)
                time.sleep(0.05)
            return super().tokens(images, layers)

    monkeypatch.setattr(extraction, "_write", fail)
    model = Waiting(vit())
    with pytest.raises(OSError, match="read-only"):
        run(tmp_path, make_tiles(tmp_path, n=16, chunk=8), model, batch_size=1)
    assert len(model.batches) < 16


def test_progress_in_a_log_file_is_one_line_per_update(tmp_path, capsys):
    run(tmp_path, make_tiles(tmp_path), vit())
    log = capsys.readouterr().err
    assert "\r" not in log
    assert "m: 100%" in log and "11/11" in log and "tile/s" in log


def test_tensorfloat32_is_off_during_extraction_and_restored(tmp_path):
    seen = []

    class Looking(Interrupted):
        def tokens(self, images, layers):
            seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
            return super().tokens(images, layers)

    before = torch.backends.cudnn.allow_tf32
    run(tmp_path, make_tiles(tmp_path, n=4), Looking(vit()))
    assert seen == [(False, False)]
    assert torch.backends.cudnn.allow_tf32 == before


def test_tiles_in_memory_can_be_extracted_too(tmp_path):
    stored = make_tiles(tmp_path)
    tiles = xr.Dataset(
        {"image": (stored["image"].dims, stored["image"].to_numpy())},
        {name: (stored[name].dims, stored[name].to_numpy()) for name in ("level", "tile", "image_id", "split")},
    )
    features = run(tmp_path, tiles, vit())
    assert features["tokens"].shape == (1, 1, 11, 4, 64)


@pytest.mark.requires_gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("layers", ["last", "all"])
def test_a_gpu_gives_the_tokens_of_the_cpu(tmp_path, layers):
    tiles = make_tiles(tmp_path, n=40, levels=2)
    entry = {"source": "random", "architecture": "test_vit", "seed": 0}
    models = {d: load_model("m", entry, checkpoint_root=None, input_size=32, device=d) for d in ("cpu", "cuda")}
    cpu, gpu = (
        run(tmp_path / d, tiles, models[d], layers=layers, device=d, batch_size=8, dtype="float32") for d in models
    )
    for name in ("tokens", "cls"):
        np.testing.assert_allclose(gpu[name], cpu[name], atol=1e-4)


def test_the_interface_is_all_that_is_needed(tmp_path):
    class Constant:
        name, grid, features, blocks, registers, has_cls = "c", (1, 2), 3, 2, 0, False
        input_size, mean, std, provenance = (32, 32), (0.0,) * 3, (1.0,) * 3, {}

        def tokens(self, images, layers):
            assert images.dtype == torch.float32 and images.min() >= 0 and images.max() <= 1
            return Tokens(torch.ones(len(layers), len(images), 2, 3), None, None)

    assert (run(tmp_path, make_tiles(tmp_path), Constant(), layers="all")["tokens"] == 1).all()


def seen_at(folder, metres):
    """A small ViT whose positions are counted in metres, with the same weights at any of them."""
    weights = timm.create_model("test_vit").state_dict() if not (folder / "w.safetensors").exists() else None
    if weights is not None:
        save_file(weights, folder / "w.safetensors")
    entry = {"source": "timm", "architecture": "test_vit", "checkpoint": "w.safetensors", "position_embedding": "gsd"}
    given = {"checkpoint_root": folder, "input_size": 32, "device": "cpu", "ground_sample_distance": metres}
    return load_model("m", entry, **given)


def test_every_tile_is_seen_at_its_own_ground_sample_distance(tmp_path):
    # Tiles of 64 px are made half as large for the model, so that a pixel of its input is twice as large on the ground.
    known = np.array([0.25, np.nan, 2.0, 0.25, np.nan, 1.0, 2.0])
    tiles = make_tiles(tmp_path, n=7, side=64).assign_coords(ground_sample_distance=("tile", known))
    ground = {"ground_of_images": {"otherwise": 0.3}, "batch_size": 3, "dtype": "float32"}
    got = run(tmp_path, tiles, seen_at(tmp_path, 1.0), **ground).tokens.values[0, 0]
    for place, metres in enumerate(np.where(np.isnan(known), 0.3, 2 * known)):
        folder = tmp_path / f"{place}"
        folder.mkdir()
        alone = run(folder, tiles.isel(tile=[place]), seen_at(tmp_path, float(metres)), dtype="float32")
        assert np.allclose(got[place], alone.tokens.values[0, 0, 0], atol=1e-5)
    assert not np.allclose(got[0], got[2], atol=1e-3)


def test_a_tile_of_unknown_size_on_the_ground_is_named(tmp_path):
    known = np.array([0.25, np.nan, 2.0])
    tiles = make_tiles(tmp_path, n=3).assign_coords(ground_sample_distance=("tile", known))
    with pytest.raises(ModelError, match=r"tile city/1#r0c0 is on the ground is not known.*set ground_sample_distance"):
        run(tmp_path, tiles, seen_at(tmp_path, 1.0), ground_of_images={"otherwise": None})
