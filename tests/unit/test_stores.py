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

from patchprobe import files, stores
from patchprobe.errors import StoreError

SPEC, CODE = '{"seed": 0}', "abc"


def write(
    store: Path,
    units: int = 4,
    stop_after: int | None = None,
    made: list[str] | None = None,
    spec: str = SPEC,
):
    with stores.build_store(store, spec=spec, code=CODE) as build:
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
    dataset = stores.open_store(tmp_path / "a.zarr")
    assert dataset.tokens.dims == ("tile", "feature")
    assert list(dataset.tile.values) == [f"image#{i}" for i in range(4)]
    assert dataset.attrs == {"model": "toy"}
    np.testing.assert_array_equal(dataset.tokens.values, np.arange(8)[None] + np.arange(4)[:, None])


def test_interrupted_build_leaves_no_store_and_is_resumed_to_the_same_bytes(tmp_path, capsys):
    write(tmp_path / "whole" / "a.zarr")
    cut, made = tmp_path / "cut" / "a.zarr", []
    with pytest.raises(KeyboardInterrupt):
        write(cut, stop_after=1)
    assert not cut.exists() and not stores.manifest_path(cut).exists()
    write(cut, made=made)
    assert made == ["2", "3"]
    assert "resuming: 2 of 4" in capsys.readouterr().err
    assert tree(cut) == tree(tmp_path / "whole" / "a.zarr")
    assert stores.manifest_path(cut).read_bytes() == (tmp_path / "whole" / "a.manifest.json").read_bytes()


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
    stores.manifest_path(store).unlink()
    write(store, made=made)
    assert made == [] and tree(store) == before
    assert "taken over" in capsys.readouterr().err


def test_reading_drops_the_spare_links_so_that_deleting_a_store_redoes_it(tmp_path):
    store, made = tmp_path / "a.zarr", []
    write(store)
    stores.open_store(store)
    assert [p.name for p in (tmp_path / ".partial").iterdir()] == ["a.zarr.lock"]
    shutil.rmtree(store)
    write(store, made=made)
    assert len(made) == 4


@pytest.mark.parametrize("damage", ["no manifest", "chunk missing", "chunk truncated", "foreign manifest", "not json"])
def test_damaged_store_is_refused(tmp_path, damage):
    store = tmp_path / "a.zarr"
    write(store)
    manifest = stores.manifest_path(store)
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
        stores.open_store(store)


def test_unwritten_chunk_is_never_published(tmp_path):
    with (
        pytest.raises(StoreError, match="3 of 4 chunks"),
        stores.build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE) as build,
    ):
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[:3] = 1
    assert not (tmp_path / "a.zarr").exists()


def test_zero_chunks_count_as_written(tmp_path):
    with stores.build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE) as build:
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[...] = 0
    assert float(stores.open_store(tmp_path / "a.zarr").tokens.sum()) == 0


def test_inputs_count_by_content(tmp_path):
    data = tmp_path / "images.csv"
    data.write_text("one")
    with stores.build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE, inputs=[data]) as build:
        build.coordinate("x", [1], ("x",))
    first = stores.read_manifest(tmp_path / "a.zarr")["digest"]
    data.write_text("two")
    with stores.build_store(tmp_path / "a.zarr", spec=SPEC, code=CODE, inputs=[data]) as build:
        build.coordinate("x", [1], ("x",))
    assert stores.read_manifest(tmp_path / "a.zarr")["digest"] != first


def test_second_writer_waits_and_then_finds_the_work_done(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from patchprobe import files, stores
        with stores.build_store(Path(sys.argv[1]), spec="{}", code="") as build:
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
        "import sys; from pathlib import Path; from patchprobe import files, stores\n"
        "with stores.build_store(Path(sys.argv[1]), spec='{}', code='') as build:\n"
        "    a = build.array('x', (2,), (1,), 'i4', ('tile',)); a[0] = 1; build.finish('0')\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.zarr")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    with stores.build_store(tmp_path / "a.zarr", spec="{}", code="") as build:
        array = build.array("x", (2,), (1,), "i4", ("tile",))
        assert build.pending(["0", "1"]) == ["1"]
        array[1] = 2
        build.finish("1")
    assert stores.open_store(tmp_path / "a.zarr").x.values.tolist() == [1, 2]


def test_half_written_line_of_a_unit_does_not_count(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.zarr", units=12, stop_after=0)
    done = next((tmp_path / ".partial").glob("a.zarr-*")) / "finished-units.txt"
    done.write_text("0\n1")  # cut short while writing "11"
    made: list[str] = []
    write(tmp_path / "a.zarr", units=12, made=made)
    assert made == [str(i) for i in range(1, 12)]


def test_disk_full_names_the_target_and_keeps_finished_units(tmp_path):
    store = tmp_path / "a.zarr"
    with (
        pytest.raises(StoreError, match=r"disk is full while writing .*a\.zarr"),
        stores.build_store(store, spec=SPEC, code=CODE) as build,
    ):
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[0] = 1
        build.finish("0")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with stores.build_store(store, spec=SPEC, code=CODE) as build:
        assert build.pending(["0", "1", "2", "3"]) == ["1", "2", "3"]
        build.array("tokens", (4, 8), (1, 8), np.float16, ("tile", "feature"))[...] = 1
        for unit in "123":
            build.finish(unit)


def test_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise shutil.Error([("a", "b", os.strerror(errno.EPERM))])

    monkeypatch.setattr(stores.shutil, "copytree", refuse)
    write(tmp_path / "a.zarr")
    assert stores.open_store(tmp_path / "a.zarr").sizes["tile"] == 4


def test_write_atomic_leaves_nothing_behind_on_failure(tmp_path):
    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        files.write_atomic(tmp_path / "t.csv", fail)
    assert list(tmp_path.iterdir()) == []
    files.write_atomic(tmp_path / "t.csv", "whole")
    assert (tmp_path / "t.csv").read_text() == "whole"
