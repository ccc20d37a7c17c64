"""Results put on object storage and taken from there, on a real server."""

import json
import os
import shutil
from pathlib import Path

import pytest

from patchprobe.errors import StoreError
from patchprobe.run.mirror import INDEX, check, main, pull, push
from patchprobe.stores import objects
from patchprobe.stores.objects import ObjectStorage

URL = "s3://bucket/study"
FILES = {
    "tables/a.csv": b"model,value\n",
    "a/tiles/clean.manifest.json": b"{}",
    "a/tiles/clean.zarr/location.json": b"{}",
    "a/tiles/clean.zarr/.snakemake_timestamp": b"",
    ".records/tables/a.csv.json": b"{}",
}


@pytest.fixture
def server(object_server, tmp_path, monkeypatch):
    """The server with an empty bucket, and a folder with results."""
    object_server.clear()
    object_server.use(monkeypatch)
    monkeypatch.setattr(objects, "_PATIENCE", 1.0)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for number, (name, content) in enumerate(FILES.items()):
        write(tmp_path / "here/results" / name, content, time=1_700_000_000_123_456_789 + number)
    for name in ("a/tiles/.partial/clean.zarr-0/data/x", ".records/plan.lock"):
        write(tmp_path / "here/results" / name, b"no result")
    return object_server


def write(path, content, time=1_600_000_000_000_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(time, time))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and ".partial" not in path.parts and path.suffix != ".lock" and path.name != ".identity"
    }


def test_results_come_back_with_their_times_elsewhere(server, tmp_path, monkeypatch, capsys):
    assert main(["push", URL]) == 0
    assert {name.removeprefix("study/") for name in server.objects()} == {*FILES, INDEX}
    monkeypatch.chdir(tmp_path / "there")
    assert main(["pull", URL]) == 0
    assert files(tmp_path / "there/results") == files(tmp_path / "here/results")
    assert capsys.readouterr().out == "put 5 new or changed files there\nresults is as it was there\n"


def test_only_what_changed_is_put_again_and_what_is_gone_goes(server, tmp_path):
    assert push(URL) == 5 and push(URL) == 0
    write(tmp_path / "here/results/tables/a.csv", b"model,other\n")
    write(tmp_path / "here/results/tables/b.csv", b"new\n")
    (tmp_path / "here/results/a/tiles/clean.zarr/location.json").unlink()
    # Another time with the same bytes.
    write(tmp_path / "here/results/a/tiles/clean.manifest.json", b"{}")
    assert push(URL) == 2
    names = {*FILES, "tables/b.csv", INDEX} - {"a/tiles/clean.zarr/location.json"}
    assert {name.removeprefix("study/") for name in server.objects()} == names


def test_a_push_that_stops_in_the_middle_leaves_the_rest_as_it_was(server, tmp_path, monkeypatch, capsys):
    push(URL)
    write(tmp_path / "here/results/tables/a.csv", b"model,other\n")
    put = ObjectStorage.put

    def stop_before_the_index(self, path, content):
        if path == INDEX:
            raise KeyboardInterrupt
        put(self, path, content)

    monkeypatch.setattr(ObjectStorage, "put", stop_before_the_index)
    with pytest.raises(KeyboardInterrupt):
        push(URL)
    monkeypatch.setattr(ObjectStorage, "put", put)
    monkeypatch.chdir(tmp_path / "there")
    assert main(["pull", URL]) == 0
    assert "tables/a.csv was being replaced" in capsys.readouterr().out
    assert set(files(tmp_path / "there/results")) == set(FILES) - {"tables/a.csv"}
    shutil.rmtree("results")
    monkeypatch.chdir(tmp_path / "here")
    assert push(URL) == 1
    monkeypatch.chdir(tmp_path / "there")
    assert pull(URL) == []
    assert files(tmp_path / "there/results") == files(tmp_path / "here/results")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda index: index["files"].update({"../../x": [1, "0", 1]}),
            r"names ../../x, which lies outside the results",
        ),
        (lambda index: index["files"].update({"/etc/x": [1, "0", 1]}), r"names /etc/x, which lies outside the results"),
        (lambda index: index.update(format="v0"), r"is no index of results of this version; delete it there"),
        (lambda index: index.update(files=[1]), r"is no index of results of this version"),
    ],
)
def test_an_index_that_is_none_is_refused(server, tmp_path, monkeypatch, change, message):
    push(URL)
    path = server.bucket / "study" / INDEX
    index = json.loads(path.read_bytes())
    change(index)
    path.write_text(json.dumps(index))
    server.look_again()
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(StoreError, match=message):
        pull(URL)
    assert not (tmp_path.parent / "x").exists()


def test_what_cannot_be_pulled_is_said_with_the_remedy(server, tmp_path, monkeypatch, capsys):
    assert main(["pull", URL]) == 1
    assert "results holds files already; move the folder away" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "there")
    assert main(["pull", URL]) == 1
    assert f"{URL} holds no results" in capsys.readouterr().err
    assert main(["pull", "/tmp"]) == 1 and main([]) == 1
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert main(["pull", URL]) == 1
    assert "the credentials are refused" in capsys.readouterr().err


@pytest.mark.parametrize("here", ["nothing", "other results"])
def test_a_folder_that_never_had_the_results_deletes_none_of_them(server, tmp_path, monkeypatch, here):
    push(URL)
    before = server.objects()
    monkeypatch.chdir(tmp_path / "there")
    if here == "other results":
        write(tmp_path / "there/results/tables/b.csv", b"other")
        with pytest.raises(
            StoreError, match=r"would lose them: run `python -m patchprobe.run.mirror pull s3://bucket/study`"
        ):
            check(URL)
    with pytest.raises(StoreError, match="there is nothing to push" if here == "nothing" else "would lose them"):
        push(URL)
    assert server.objects() == before


def test_whoever_pulled_goes_on_and_a_failed_run_deletes_nothing(server, tmp_path, monkeypatch):
    push(URL)
    monkeypatch.chdir(tmp_path / "there")
    pull(URL)
    check(URL)
    (tmp_path / "there/results/tables/a.csv").unlink()
    assert push(URL, delete=False) == 0
    assert "study/tables/a.csv" in server.objects()
    assert json.loads(server.objects()[f"study/{INDEX}"])["files"]["tables/a.csv"]
    assert push(URL) == 0
    assert "study/tables/a.csv" not in server.objects()


def test_a_clone_of_the_project_has_no_results_yet(server, tmp_path, monkeypatch):
    push(URL)
    monkeypatch.chdir(tmp_path / "there")
    Path("results").mkdir()
    Path("results/README.md").write_text("what lies here")
    assert pull(URL) == []
    assert files(tmp_path / "here/results").items() <= files(tmp_path / "there/results").items()
