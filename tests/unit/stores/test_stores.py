import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from patchprobe import files
from patchprobe.errors import StoreError
from patchprobe.stores import writing
from patchprobe.stores.file_list import manifest_path, read_manifest
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

SPEC, CODE = '{"seed": 0}', "abc"


def write(
    store: Path,
    units: int = 4,
    stop_after: int | None = None,
    made: list[str] | None = None,
    spec: str = SPEC,
):
    with build_store(store, spec=spec, code=CODE) as build:
        array = build.array("tokens", (units, 8), (1, 8), np.float16, ("tile", "feature"))
        build.coordinate("tile", [f"image#{i}" for i in range(units)], ("tile",))
        build.attributes(model="toy")
        for unit in build.pending([str(i) for i in range(units)]):
            array[int(unit)] = np.arange(8) + int(unit)
            build.finish(unit)
            if made is not None:
                made.append(unit)
            if stop_after is not None and len(build._finished) > stop_after:
                raise KeyboardInterrupt


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_round_trip_is_labelled(tmp_path):
    write(tmp_path / "a.zarr")
    dataset = open_store(tmp_path / "a.zarr")
    assert dataset.tokens.dims == ("tile", "feature")
    assert list(dataset.tile.values) == [f"image#{i}" for i in range(4)]
    assert dataset.attrs == {"model": "toy"}
    np.testing.assert_array_equal(dataset.tokens.values, np.arange(8)[None] + np.arange(4)[:, None])


def test_interrupted_build_leaves_no_store_and_is_resumed_to_the_same_bytes(tmp_path, capsys):
    write(tmp_path / "whole" / "a.zarr")
    cut, made = tmp_path / "cut" / "a.zarr", []
    with pytest.raises(KeyboardInterrupt):
        write(cut, stop_after=1)
    assert not cut.exists() and not manifest_path(cut).exists()
    write(cut, made=made)
    assert made == ["2", "3"]
    assert "resuming: 2 of 4" in capsys.readouterr().err
    assert tree(cut) == tree(tmp_path / "whole" / "a.zarr")
    assert manifest_path(cut).read_bytes() == (tmp_path / "whole" / "a.manifest.json").read_bytes()


def test_other_spec_does_not_resume_foreign_units(tmp_path):
    store, made = tmp_path / "a.zarr", []
    with pytest.raises(KeyboardInterrupt):
        write(store, stop_after=1)
    write(store, made=made, spec='{"seed": 1}')
    assert made == ["0", "1", "2", "3"]


def test_store_deleted_before_anyone_read_it_is_taken_over(tmp_path, capsys):
    store, made = tmp_path / "a.zarr", []
    write(store)
    before = tree(store)
    shutil.rmtree(store)
    manifest_path(store).unlink()
    write(store, made=made)
    assert made == [] and tree(store) == before
    assert "taken over" in capsys.readouterr().err


def test_reading_drops_the_spare_links_so_that_deleting_a_store_redoes_it(tmp_path):
    store, made = tmp_path / "a.zarr", []
    write(store)
    open_store(store)
    assert list((tmp_path / ".partial").iterdir()) == []
    shutil.rmtree(store)
    write(store, made=made)
    assert len(made) == 4


@pytest.mark.parametrize("damage", ["no manifest", "chunk missing", "chunk truncated", "foreign manifest", "not json"])
def test_damaged_store_is_refused(tmp_path, damage):
    store = tmp_path / "a.zarr"
    write(store)
    manifest = manifest_path(store)
    chunk = store / "data" / "tokens" / "c" / "2" / "0"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "chunk missing":
        chunk.unlink()
    elif damage == "chunk truncated":
        chunk.write_bytes(chunk.read_bytes()[:-1])
    elif damage == "foreign manifest":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digest": "other"}))
    else:
        manifest.write_text("{")
    with pytest.raises(StoreError, match=r"a\.(zarr|manifest)"):
        open_store(store)


def test_unwritten_chunk_is_never_published(tmp_path):
    with (
        pytest.raises(StoreError, match="3 of 4 chunks"),
        build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE) as build,
    ):
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[:3] = 1
    assert not (tmp_path / "a.zarr").exists()


def test_zero_chunks_count_as_written(tmp_path):
    with build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE) as build:
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[...] = 0
    assert float(open_store(tmp_path / "a.zarr").tokens.sum()) == 0


def test_inputs_count_by_content(tmp_path):
    data = tmp_path / "images.csv"
    data.write_text("one")
    with build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE, inputs=[data]) as build:
        build.coordinate("x", [1], ("x",))
    first = read_manifest(tmp_path / "a.zarr")["digest"]
    data.write_text("two")
    with build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE, inputs=[data]) as build:
        build.coordinate("x", [1], ("x",))
    assert read_manifest(tmp_path / "a.zarr")["digest"] != first


def test_second_writer_waits_and_then_finds_the_work_done(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from patchprobe import files
        from patchprobe.stores.writing import build_store
        with build_store(Path(sys.argv[1]), spec="{}", code="") as build:
            a = build.array("x", (3,), (1,), "i4", ("tile",))
            for unit in build.pending(["0", "1", "2"]):
                a[int(unit)] = 7
                build.finish(unit)
                print(unit, flush=True)
                sys.stdin.readline()
        """
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.zarr")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, **pipes)
    assert first.stdout is not None and first.stdout.readline() == "0\n"
    second = subprocess.Popen(command, **pipes)
    assert second.stderr is not None and "waiting" in second.stderr.readline()
    first.communicate("\n\n\n", timeout=60)
    made, _ = second.communicate(timeout=60)
    assert made == "" and first.returncode == second.returncode == 0


def test_sigkill_in_the_middle_is_resumed(tmp_path):
    program = (
        "import sys; from pathlib import Path; from patchprobe import files; from patchprobe.stores.writing import build_store\n"
        "with build_store(Path(sys.argv[1]), spec='{}', code='') as build:\n"
        "    a = build.array('x', (2,), (1,), 'i4', ('tile',)); a[0] = 1; build.finish('0')\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.zarr")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    with build_store(tmp_path / "a.zarr", spec="{}", code="") as build:
        array = build.array("x", (2,), (1,), "i4", ("tile",))
        assert build.pending(["0", "1"]) == ["1"]
        array[1] = 2
        build.finish("1")
    assert open_store(tmp_path / "a.zarr").x.values.tolist() == [1, 2]


def test_half_written_line_of_a_unit_does_not_count(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.zarr", units=12, stop_after=0)
    (done,) = (tmp_path / ".partial").glob("a.zarr-*/finished-units.txt")
    done.write_bytes(done.read_bytes() + b'["11", {"tokens/c/11/0": [16')  # cut short
    made: list[str] = []
    write(tmp_path / "a.zarr", units=12, made=made)
    assert made == [str(i) for i in range(1, 12)]


def test_disk_full_names_the_target_and_keeps_finished_units(tmp_path):
    store = tmp_path / "a.zarr"
    with (
        pytest.raises(StoreError, match=r"disk is full while writing .*a\.zarr"),
        build_store(store, spec=SPEC, code=CODE) as build,
    ):
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[0] = 1
        build.finish("0")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with build_store(store, spec=SPEC, code=CODE) as build:
        assert build.pending(["0", "1", "2", "3"]) == ["1", "2", "3"]
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[...] = 1
        for unit in "123":
            build.finish(unit)


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise shutil.Error([("a", "b", os.strerror(errno.EPERM))])

    monkeypatch.setattr(writing.shutil, "copytree", refuse)
    write(tmp_path / "a.zarr")
    assert open_store(tmp_path / "a.zarr").sizes["tile"] == 4


def test_write_atomic_leaves_nothing_behind_on_failure(tmp_path):
    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_atomic(tmp_path / "t.csv", fail)
    assert list(tmp_path.iterdir()) == []
    files.write_atomic(tmp_path / "t.csv", "whole")
    assert (tmp_path / "t.csv").read_text() == "whole"


def partial_of(store: Path) -> Path:
    (partial,) = (p for p in (store.parent / ".partial").glob(f"{store.name}-*") if p.is_dir())
    return partial


def test_nothing_is_listed_or_renamed_before_it_is_on_the_disk(tmp_path, monkeypatch):
    """Every file has been synced in its final size, and every folder with its final names, when a name vouches for it."""
    synced: dict[int, object] = {}
    sync, rename, replace, missing = os.fsync, Path.rename, Path.replace, []

    def content(path: Path) -> object:
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else path.stat().st_size

    def note(descriptor: int) -> None:
        sync(descriptor)
        synced[os.fstat(descriptor).st_ino] = content(Path(f"/proc/self/fd/{descriptor}"))
        for path in (tmp_path / ".partial").glob("*/finished-units.txt"):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                check(path.parent / "data", files=[p for p in path.parent.rglob("c/*/*") if "tokens" in str(p)])

    def check(folder: Path, files: list[Path]) -> None:
        folders = {parent for file in files for parent in file.parents if parent.is_relative_to(folder)}
        missing.extend(p for p in [*files, *folders] if synced.get(p.stat().st_ino) != content(p))

    def checked_rename(path: Path, target: Path) -> Path:
        check(path, [p for p in path.rglob("*") if p.is_file()])
        renamed.append(path.name)
        return rename(path, target)

    def checked_replace(path: Path, target: Path) -> Path:
        missing.extend([path] if synced.get(path.stat().st_ino) != content(path) else [])
        renamed.append(path.name)
        return replace(path, target)

    renamed: list[str] = []
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", checked_replace)
    monkeypatch.setattr(Path, "rename", checked_rename)
    write(tmp_path / "a.zarr")
    assert missing == [] and len(renamed) > 10 and len(synced) > 10


def test_a_unit_whose_file_lost_bytes_is_made_again(tmp_path):
    store, made = tmp_path / "a.zarr", []
    with pytest.raises(KeyboardInterrupt):
        write(store, stop_after=2)
    partial = partial_of(store)
    os.truncate(partial / "data/tokens/c/1/0", 0)
    for metadata in partial.rglob("zarr.json"):
        os.truncate(metadata, 0)
    (partial / "data/tokens/c/0/.0.1234.partial").write_bytes(b"of a writer that was killed")
    write(store, made=made)
    write(tmp_path / "whole/a.zarr")
    assert made == ["1", "3"] and tree(store) == tree(tmp_path / "whole/a.zarr")


def test_an_unreadable_list_of_units_starts_over(tmp_path):
    store, made = tmp_path / "a.zarr", []
    with pytest.raises(KeyboardInterrupt):
        write(store, stop_after=2)
    (partial_of(store) / "finished-units.txt").write_bytes(bytes(40))
    write(store, made=made)
    assert made == ["0", "1", "2", "3"]


@pytest.mark.parametrize("lost", ["", "data", "tmp", "data/zarr.json", "data/tokens/c/0", "lock"])
@pytest.mark.parametrize("when", ["before the second unit", "at the end"])
def test_what_was_deleted_while_it_was_written_is_not_published(tmp_path, lost, when):
    store = tmp_path / "a.zarr"

    def lose() -> None:
        partial = partial_of(store)
        path = partial.with_name(f"{partial.name}.lock") if lost == "lock" else partial / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def attempt() -> None:
        with build_store(store, spec=SPEC, code=CODE) as build:
            array = build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))
            build.coordinate("tile", [f"image#{i}" for i in range(4)], ("tile",))
            build.attributes(model="toy")
            for unit in "0123":
                if unit == "1" and when != "at the end":
                    lose()
                array[int(unit)] = np.arange(8) + int(unit)
                build.finish(unit)
            if when == "at the end":
                lose()

    if (lost, when) == ("tmp", "at the end"):  # nothing of the store lies there
        attempt()
    else:
        with pytest.raises(StoreError, match=r"a\.zarr-.* run again"):
            attempt()
        assert not store.exists() and not manifest_path(store).exists()
        write(store)
    write(tmp_path / "whole/a.zarr")
    assert tree(store) == tree(tmp_path / "whole/a.zarr")


def test_a_spare_whose_bytes_changed_is_not_taken_over(tmp_path):
    store, made = tmp_path / "a.zarr", []
    write(store)
    before = tree(store)
    with (partial_of(store) / "data/tokens/c/2/0").open("r+b") as file:
        file.write(b"?")
    shutil.rmtree(store)
    write(store, made=made)
    assert made == ["2"] and tree(store) == before


def test_another_digest_neither_waits_nor_disturbs(tmp_path):
    store = tmp_path / "a.zarr"
    with build_store(store, spec=SPEC, code=CODE) as outdated:
        array = outdated.array("tokens", (1, 8), (1, 8), np.float16, ("tile", "feature"))
        write(store, spec='{"seed": 1}')  # in this very process: a lock would be waited for without end
        assert open_store(store).sizes["tile"] == 4
        array[...] = 1
    assert open_store(store).sizes["tile"] == 1
    with pytest.raises(KeyboardInterrupt):
        write(store, stop_after=1)
    write(store, spec='{"seed": 1}')
    open_store(store)
    assert list((tmp_path / ".partial").iterdir()) == []


def test_a_publication_that_is_refused_leaves_all_as_it_was(tmp_path):
    store, made = tmp_path / "a.zarr", []
    write(store, spec='{"seed": 1}')
    before = tree(tmp_path / "a.zarr")

    @contextlib.contextmanager
    def refuse():
        raise StoreError("outdated")
        yield

    def build(publishing):
        with build_store(store, spec=SPEC, code=CODE, publishing=publishing) as built:
            array = built.array("tokens", (1, 8), (1, 8), np.float16, ("tile", "feature"))
            for unit in built.pending(["0"]):
                array[0] = made.append(unit) or 1
                built.finish(unit)

    with pytest.raises(StoreError, match="outdated"):
        build(refuse)
    assert tree(store) == before and open_store(store).sizes["tile"] == 4
    build(contextlib.nullcontext)
    assert made == ["0"] and open_store(store).sizes["tile"] == 1


def test_store_without_hard_links_has_the_same_files(tmp_path, monkeypatch):
    write(tmp_path / "whole/a.zarr")
    monkeypatch.setattr(os, "link", lambda *_args, **_kwargs: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    write(tmp_path / "a.zarr")
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole/a.zarr")
    assert list((tmp_path / ".partial").iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "3", "{}", '{"format": "patchprobe-store-v2"}', "\x00\x00", "\xff"]
)
def test_a_manifest_that_is_none_is_one_clear_error(tmp_path, content):
    store = tmp_path / "a.zarr"
    write(store)
    manifest_path(store).write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match=r"a\.manifest\.json .*run again"):
        read_manifest(store)
    if '"' not in content:
        with (
            pytest.raises(StoreError, match=r"a\.manifest\.json .*run again"),
            build_store(tmp_path / "b.zarr", spec=SPEC, code=CODE, inputs=[manifest_path(store)]),
        ):
            pass


def test_killed_at_any_change_and_by_power_cuts_it_ends_in_the_same_bytes(tmp_path):
    program = [sys.executable, str(Path(__file__).with_name("kill_sweep.py")), str(tmp_path), "4"]
    ended = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout[-3000:]
    whole = tree(tmp_path / "whole")
    for kind in ("kill", "cut"):
        folders = [path for path in tmp_path.glob(f"{kind}-*") if path.is_dir()]
        assert len(folders) > 15
        for folder in folders:
            assert tree(folder) == whole, folder.name
