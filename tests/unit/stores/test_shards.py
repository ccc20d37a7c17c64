"""Stores of shards: the same bytes whoever writes which part, and nothing of a damaged part in a store."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from patchprobe.errors import StoreError
from patchprobe.stores.file_list import manifest_path
from patchprobe.stores.reading import open_store
from patchprobe.stores.shards import Shard, build_shard, take_over_shards
from patchprobe.stores.writing import build_store

SPEC, CODE, UNITS = '{"seed": 0}', "abc", 7


def fill(build, units=range(UNITS), made=None, attributes=("toy",), stop_after=None):
    """Lay a store of seven chunks out and write those of ``units`` that are not there."""
    array = build.array("tokens", (UNITS, 8), (1, 8), np.float16, ("tile", "feature"))
    build.coordinate("tile", [f"image#{i}" for i in range(UNITS)], ("tile",))
    build.attributes(model=list(attributes))
    for number, unit in enumerate(build.pending([str(i) for i in units])):
        if number == stop_after:
            raise KeyboardInterrupt
        array[int(unit)] = np.arange(8) + int(unit)
        build.finish(unit)
        if made is not None:
            made.append(int(unit))


def write_shard(store, index, of=3, **options):
    shard = Shard(index, of)
    mark = store.parent / "marks" / f"{shard}.json"
    with build_shard(store, mark, shard, spec=SPEC, code=CODE) as build:
        fill(build, range(UNITS)[shard.share(UNITS)], **options)
    return mark


def put_together(store, marks):
    with build_store(store, spec=SPEC, code=CODE) as build:
        take_over_shards(build, marks)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def whole(tmp_path):
    """The store as one job writes it."""
    store = tmp_path / "whole/a.zarr"
    with build_store(store, spec=SPEC, code=CODE) as build:
        fill(build)
    return store


@pytest.fixture
def store(tmp_path):
    (tmp_path / "sharded").mkdir()
    return tmp_path / "sharded/a.zarr"


def assert_same(store, whole):
    assert tree(store) == tree(whole)
    assert manifest_path(store).read_bytes() == manifest_path(whole).read_bytes()
    np.testing.assert_array_equal(open_store(store).tokens, np.arange(8)[None] + np.arange(UNITS)[:, None])


@pytest.mark.parametrize("of", [1, 2, 3, 7, 9])
def test_every_thing_is_in_one_shard_and_all_have_as_many(of):
    shares = [range(UNITS)[Shard(index, of).share(UNITS)] for index in range(1, of + 1)]
    assert [unit for share in shares for unit in share] == list(range(UNITS))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("name", ["0-of-2", "3-of-2", "1-of-0", "1", "01-of-2", "1-of-2.json"])
def test_other_names_are_no_shards(name):
    with pytest.raises(ValueError, match="no shard"):
        Shard.parse(name)
    assert str(Shard.parse("2-of-10")) == "2-of-10"


def test_files_of_shards_are_linked_not_written(store, whole):
    marks = [write_shard(store, index) for index in (3, 1, 2)]
    hidden = store.parent.glob(".partial/*.shard-*/data/tokens/c/*/0")
    before = sorted(p.stat().st_ino for p in hidden)
    put_together(store, marks)
    assert sorted(p.stat().st_ino for p in (store / "data/tokens/c").glob("*/0")) == before and len(before) == UNITS
    assert_same(store, whole)
    assert not list(store.parent.glob(".partial/*shard*"))


def test_without_links_files_are_copied(store, whole, monkeypatch):
    def refuse(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    put_together(store, [write_shard(store, index) for index in (1, 2, 3)])
    assert_same(store, whole)
    assert not list(store.parent.glob(".partial/*shard*"))


def test_a_killed_shard_goes_on_and_the_others_are_left_alone(store, whole):
    program = f"""
        import os, signal, sys
        sys.path[:0] = {[str(p) for p in sys.path]!r}
        import test_shards
        from pathlib import Path
        made = type("Killer", (list,), {{"append": lambda self, unit: os.kill(os.getpid(), signal.SIGKILL)}})()
        test_shards.write_shard(Path({str(store)!r}), 2, made=made)
    """
    marks = [write_shard(store, 1)]
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=Path(__file__).parent)
    assert killed.returncode == -signal.SIGKILL
    assert not (store.parent / "marks/2-of-3.json").exists() and not store.exists()
    again, other = [], []
    marks += [write_shard(store, 2, made=again), write_shard(store, 3, made=other)]
    assert (again, other) == ([3], [4, 5, 6])
    put_together(store, marks)
    assert_same(store, whole)


@pytest.mark.parametrize("damage", ["chunk gone", "chunk cut", "stranger", "folder gone", "list changed", "mark cut"])
def test_a_damaged_shard_is_named_and_it_alone_is_made_again(store, whole, damage):
    marks = [write_shard(store, index) for index in (1, 2, 3)]
    (hidden,) = store.parent.glob(".partial/*.shard-2-of-3")
    chunk = hidden / "data/tokens/c/3/0"
    {
        "chunk gone": chunk.unlink,
        "chunk cut": lambda: chunk.write_bytes(b"0"),
        "stranger": lambda: (hidden / "data/other").write_bytes(b"0"),
        "folder gone": lambda: shutil.rmtree(hidden),
        "list changed": lambda: (hidden / "files.json").write_text("{}"),
        "mark cut": lambda: marks[1].write_text("{"),
    }[damage]()
    with pytest.raises(StoreError, match=r"2-of-3\.json is not what was written .*; run again"):
        put_together(store, marks)
    assert [mark.exists() for mark in marks] == [True, False, True]
    assert not store.exists() and not manifest_path(store).exists()
    marks[1] = write_shard(store, 2)
    put_together(store, marks)
    assert_same(store, whole)


def test_shards_of_two_kinds_of_devices_are_not_mixed(store, whole):
    marks = [write_shard(store, 1), write_shard(store, 2, attributes=("cuda",)), write_shard(store, 3)]
    with pytest.raises(StoreError, match=r"shard-1-of-3 and shard-2-of-3 do not fit together, zarr.json .* key device"):
        put_together(store, marks)
    assert not any(mark.exists() for mark in marks) and not store.exists()
    put_together(store, [write_shard(store, index) for index in (1, 2, 3)])
    assert_same(store, whole)


def test_a_missing_shard_makes_no_store(store):
    marks = [write_shard(store, index) for index in (1, 3)]
    with pytest.raises(StoreError, match="'tokens' has 5 of 7 chunks"):
        put_together(store, marks)
    assert not store.exists() and not manifest_path(store).exists()


def test_another_number_of_shards_leaves_nothing_of_the_first(store, whole):
    write_shard(store, 1)
    put_together(store, [write_shard(store, index, of=2) for index in (1, 2)])
    assert_same(store, whole)
    assert not list(store.parent.glob(".partial/*shard*"))


def test_shards_go_with_a_build_of_another_spec(store):
    write_shard(store, 1)
    with build_store(store, spec='{"seed": 1}', code=CODE) as build:
        fill(build)
    assert not list(store.parent.glob(".partial/*shard*"))


def test_a_run_that_was_killed_while_it_put_shards_together_does_so_again(store, whole):
    marks = [write_shard(store, index) for index in (1, 2, 3)]
    with pytest.raises(KeyboardInterrupt), build_store(store, spec=SPEC, code=CODE) as build:
        take_over_shards(build, marks)
        raise KeyboardInterrupt
    assert not store.exists()
    put_together(store, marks)
    assert_same(store, whole)


def test_marks_of_another_number_of_shards_go_when_the_store_is_there(store, whole):
    left = write_shard(store, 3, of=3)
    put_together(store, [write_shard(store, index, of=2) for index in (1, 2)])
    assert_same(store, whole)
    # It would vouch for a shard whose folder went with the store's.
    assert not left.exists()
