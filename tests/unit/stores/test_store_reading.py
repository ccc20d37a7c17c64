"""Finished stores are checked as they are read, wherever that is, and whole by ``make verify``."""

import pickle
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

from patchprobe.errors import StoreError
from patchprobe.files import file_sha256
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.run.verification import RecordedFile, find_stores, verify
from patchprobe.stores.file_list import manifest_path
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

TILES = 6


@pytest.fixture
def store(tmp_path):
    """A store of six tiles; each is filled with its number."""
    return make(tmp_path / "results/set/a.zarr")


def make(store: Path) -> Path:
    with build_store(store, spec="{}", code="") as build:
        tokens = build.array("tokens", (TILES, 4, 8), (1, 4, 8), np.float32, ("tile", "patch", "feature"))
        build.coordinate("tile", [f"t{i}" for i in range(TILES)], ("tile",))
        for unit in map(str, range(TILES)):
            tokens[int(unit)] = int(unit)
            build.finish(unit)
    return store


def chunk(store: Path, tile: int) -> Path:
    return store / "data/tokens/c" / str(tile) / "0/0"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_changed_byte_is_found_when_its_file_is_read(store):
    flip(chunk(store, 3))
    tokens = open_store(store).tokens
    assert tokens[2].values.tolist() == np.full((4, 8), 2).tolist()
    with pytest.raises(StoreError, match=r"a\.zarr: data/tokens/c/3/0/0 has changed .*delete a\.zarr and a\.manifest"):
        tokens[3].values  # noqa: B018


@pytest.mark.parametrize("name", ["zarr.json", "tokens/zarr.json", "tile/c/0"])
def test_changed_metadata_are_found_on_opening(store, name):
    flip(store / "data" / name)
    with pytest.raises(StoreError, match=f"data/{name} has changed"):
        open_store(store)


def test_a_file_that_goes_missing_is_no_fill_value(store):
    tokens = open_store(store).tokens
    chunk(store, 4).unlink()
    with pytest.raises(StoreError, match=r"data/tokens/c/4/0/0 cannot be read \(No such file"):
        tokens.values  # noqa: B018


def test_a_list_of_files_that_is_not_the_one_of_the_manifest(store):
    listed = store / "files.json"
    listed.write_text(listed.read_text().replace("tokens/c/0", "tokens/c/9"))
    with pytest.raises(StoreError, match=r"files\.json has changed"):
        open_store(store)
    listed.unlink()
    with pytest.raises(StoreError, match=r"files\.json is missing"):
        open_store(store)


def test_the_error_comes_through_dask_and_through_processes(store):
    flip(chunk(store, 5))
    tokens = open_store(store).tokens
    with pytest.raises(StoreError, match="c/5/0/0 has changed"):
        dask.delayed(np.asarray, pure=False)(tokens).compute(scheduler="threads")
    with pytest.raises(StoreError, match="c/5/0/0 has changed"):
        MemoryBank(np.eye(8)).search([tokens[:3], tokens[3:]], threads=2)
    travelled = pickle.dumps(tokens)
    assert pickle.loads(travelled)[4].values.tolist() == tokens[4].values.tolist()
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(StoreError, match="c/5/0/0 has changed"),
    ):
        pool.submit(np.asarray, tokens).result()


def test_threads_read_one_store(store):
    tokens = open_store(store).tokens
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: float(tokens[i % TILES].mean()), range(24)))
    assert found == [i % TILES for i in range(24)]


def test_the_job_that_made_a_store_keeps_its_spare(store):
    open_store(store, keep_spare=True)
    assert list((store.parent / ".partial").glob("a.zarr-*/data"))
    open_store(store)
    assert not list((store.parent / ".partial").glob("*"))


def test_verify_names_each_damaged_or_unfinished_store_once(store, capsys):
    results = store.parents[1]
    others = {
        name: make(results / f"other/{name}.zarr") for name in ("whole", "cut", "gone", "open", "unlisted", "empty")
    }
    assert verify(results).problems == ()
    for tile in (1, 2):
        flip(chunk(store, tile))
    chunk(others["cut"], 0).write_bytes(b"")
    shutil.rmtree(others["gone"])
    manifest_path(others["open"]).unlink()
    (others["unlisted"] / "data/more").touch()
    manifest_path(others["empty"]).write_text("null")
    with pytest.raises(KeyboardInterrupt), build_store(results / "set/begun.zarr", spec="{}", code=""):
        raise KeyboardInterrupt
    (results / "set/raw.manifest.json").write_text('{"format": "another"}')
    report = verify(results, threads=2)
    expected = {
        "set/a.zarr/data/tokens/c/1/0/0 has changed": "delete a.zarr and a.manifest.json and run again",
        "other/cut.zarr: tokens/c/0/0/0 has 0 bytes": "delete cut.zarr and cut.manifest.json and run again",
        "other/gone.zarr is missing": "delete gone.manifest.json and run again",
        "other/open.zarr has no manifest": "run again",
        "other/unlisted.zarr: more is not one of its files": "delete unlisted.zarr and",
        "other/empty.manifest.json cannot be read (no mapping": "delete it and run again",
        "set/begun.zarr is unfinished": "run again",
    }
    assert len(report.problems) == len(expected) and report.stores == len(find_stores(results)) == 8
    for what, remedy in expected.items():
        (line,) = [line for line in report.problems if what in line]
        assert remedy in line and "\n" not in line


def test_verify_takes_single_files_too(tmp_path):
    file = tmp_path / "probe.safetensors"
    file.write_bytes(b"weights")
    recorded = RecordedFile(file, 7, file_sha256(file), "fit it again")
    assert verify(tmp_path, others=[recorded]).problems == ()
    flip(file)
    assert verify(tmp_path, others=[recorded]).problems == (f"{file} has changed since it was written: fit it again",)


def test_verify_as_a_program(store):
    def run(*words):
        program = [sys.executable, "-m", "patchprobe.run.verification", *words]
        return subprocess.run(program, cwd=store.parents[2], capture_output=True, text=True, timeout=120)

    whole = run()
    assert whole.returncode == 0 and "checked 1 stores in results, 10 files with" in whole.stdout
    flip(chunk(store, 0))
    damaged = run("results")
    assert damaged.returncode == 1 and len(damaged.stdout.splitlines()) == 2 and "1 damaged" in damaged.stdout
    assert run("nowhere").returncode == 1


@pytest.mark.parametrize("place", ["", "/data"])
def test_xarray_alone_opens_a_store(store, place):
    tokens = xr.open_zarr(f"{store}{place}").tokens
    assert tokens.values[:, 0, 0].tolist() == list(range(TILES))


@pytest.mark.parametrize("way", ["xarray", "patchprobe", "zarr"])
def test_the_documented_ways_warn_of_nothing(store, way):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if way == "xarray":
            values = xr.open_zarr(f"{store}/data", consolidated=False).tokens.values
        elif way == "zarr":
            values = zarr.open_group(f"{store}/data", mode="r")["tokens"][:]
        else:
            values = open_store(store).tokens.values
    assert values[:, 0, 0].tolist() == list(range(TILES))


def test_links_are_no_part_of_a_store(store, tmp_path):
    links = [path for path in store.iterdir() if path.is_symlink()]
    assert {path.name for path in links} == {"zarr.json", "tile", "tokens"}
    for path in links:
        path.unlink()
    assert open_store(store).tokens.values[:, 0, 0].tolist() == list(range(TILES))
    moved = shutil.copytree(make(tmp_path / "other/set/a.zarr"), tmp_path / "moved.zarr", symlinks=True)
    assert xr.open_zarr(moved).sizes["tile"] == TILES


def test_a_file_system_without_links_keeps_the_group(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    store = make(tmp_path / "results/set/a.zarr")
    assert not [path for path in store.iterdir() if path.is_symlink()]
    assert open_store(store).sizes["tile"] == TILES
