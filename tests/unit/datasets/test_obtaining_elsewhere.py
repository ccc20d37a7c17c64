"""Data behind a log-in, and data sets of the Hugging Face hub, from a local server that answers as the hub does."""

import hashlib
import json
import shutil
import sys

import numpy as np
import pytest
from archives import QUICK, content, names, refused, zipped
from breaking_server import Server
from serving import serving

from patchprobe.datasets.obtaining import Obtained, obtain
from patchprobe.datasets.released import Archive, Release, fetched_state, release, state_to_be, wanted_release
from patchprobe.errors import PatchprobeError

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(Server({})) as server:
        yield server


def test_behind_a_login_the_steps_are_said(tmp_path):
    for name in ("fair1m", "bdd100k"):
        known = release(name)
        wanted = Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data")
        text = refused(wanted, "not to be had without a log-in")
        assert known.login in text and str(wanted.root) in text
    assert "has images/track and the labels, in labels/box_track_20, and run again" in refused(
        Obtained("mine", release("bdd100k"), tmp_path / "data/Set", tmp_path / "data"), "log-in"
    )


def tool(folder, body):
    folder.mkdir(exist_ok=True)
    program = folder / "csDownload"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{body}")
    program.chmod(0o755)


def cityscapes(tmp_path):
    """The release with archives of ours in place of those that nobody may have without an account."""
    files = {
        "gtFine_trainvaltest.zip": zipped({f"gtFine/{s}/a_gtFine_labelIds.png": b"x" for s in ("train", "val")}),
        "leftImg8bit_trainvaltest.zip": zipped({f"leftImg8bit/{s}/a.png": b"x" for s in ("train", "val")}),
    }
    known = release("cityscapes")
    archives = tuple(
        Archive(**{**a.__dict__, "about": None, "digests": {"md5": hashlib.md5(files[a.name]).hexdigest()}})
        for a in known.archives
    )
    known = Release(**{**known.__dict__, "archives": archives})
    return files, Obtained("mine", known, tmp_path / "data/cityscapes", tmp_path / "data")


def test_without_csdownload_its_steps_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(PatchprobeError, match="csDownload -l") as caught:
        obtain(cityscapes(tmp_path)[1], QUICK)
    text = str(caught.value)
    assert "gtFine_trainvaltest.zip" in text and "leftImg8bit_trainvaltest.zip" in text and "register" in text
    assert "csDownload is not installed here" in text


def test_csdownload_beside_python_without_a_log_in(tmp_path, monkeypatch, capfd):
    """As the real one it asks, and ends with Python's error since there is no keyboard."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv").mkdir()
    tool(tmp_path / ".venv/bin", "print('hello')\ninput('name: ')\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    with pytest.raises(PatchprobeError, match="it asked for name and password, so that it knows none yet") as caught:
        obtain(cityscapes(tmp_path)[1], QUICK)
    text, said = str(caught.value), capfd.readouterr().err
    assert "either run .venv/bin/csDownload -l once" in text and "not installed" not in text
    assert "gtFine_trainvaltest.zip" in text and "leftImg8bit_trainvaltest.zip" in text
    assert "hello\n" in said and "Traceback" not in said and "EOFError" not in said
    (tmp_path / ".venv/bin/csDownload").write_text(f"#!{tmp_path}/gone\n")
    with pytest.raises(PatchprobeError, match="bin/csDownload cannot be started: No such file"):
        obtain(cityscapes(tmp_path)[1], QUICK)


def test_csdownload_is_called_and_its_files_checked(tmp_path, monkeypatch):
    files, wanted = cityscapes(tmp_path)
    source = tmp_path / "server"
    source.mkdir()
    for name, archive in files.items():
        (source / name).write_bytes(archive)
    tool(
        tmp_path / "bin",
        "assert sys.argv[1] == '-d' and sys.argv[3] == '-r' and not sys.stdin.read()\n"
        f"Path(sys.argv[2], sys.argv[4]).write_bytes(Path({str(source)!r}, sys.argv[4]).read_bytes())\n",
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    obtain(wanted, QUICK)
    assert set(content(wanted.root)) == {
        *(f"gtFine/{s}/a_gtFine_labelIds.png" for s in ("train", "val")),
        *(f"leftImg8bit/{s}/a.png" for s in ("train", "val")),
    }
    shutil.rmtree(tmp_path / "data")
    (source / "gtFine_trainvaltest.zip").write_bytes(b"other")
    with pytest.raises(PatchprobeError, match="csDownload fetched another gtFine_trainvaltest"):
        obtain(wanted, QUICK)
    tool(tmp_path / "bin", "sys.exit('Bad credentials.')\n")
    with pytest.raises(PatchprobeError, match=r"did not fetch gtFine_trainvaltest\.zip \(it ended with 1: Bad creden"):
        obtain(wanted, QUICK)


def hub(server, files, *, lfs=True):
    """Let the server have a data set as the hub lists it."""
    revision = "f" * 40
    siblings = [
        {"rfilename": name, "size": len(content)}
        | (
            {"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}}
            if lfs
            else {}
        )
        for name, content in files.items()
    ]
    listed = json.dumps({"id": "org/name", "sha": revision, "siblings": siblings}).encode()
    server.content = {"name": listed, "abc": listed} | {name.rpartition("/")[2]: c for name, c in files.items()}
    return revision


@pytest.mark.parametrize("revision", ["", "@abc"])
def test_a_data_set_of_the_hub(server, tmp_path, monkeypatch, revision):
    files = {"data/train-0.parquet": RNG.bytes(200_000), "data/test-0.parquet": RNG.bytes(1000), "README.md": b"x"}
    commit = hub(server, files)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    known = wanted_release("datasets.mine", {"adapter": "any", "download": f"hf://datasets/org/name{revision}"})
    wanted = Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data")
    obtain(wanted, QUICK)
    assert content(wanted.root) == {name: c for name, c in files.items() if name.endswith(".parquet")}
    assert names(wanted.data_root) == ["Set", "Set.fetched.json", "downloads"]
    paths = [path.partition("?")[0] for path, _ in server.asked if "/org/name" in path]
    assert paths[0] == f"/api/datasets/org/name{'/revision/abc' if revision else ''}"
    assert f"/datasets/org/name/resolve/{commit}/data/train-0.parquet" in paths
    assert fetched_state(wanted.root, []) == state_to_be("hf://datasets/org/name")


def test_a_data_set_that_the_hub_has_not(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    known = wanted_release("datasets.mine", {"adapter": "any", "download": "hf://datasets/org/gone"})
    refused(Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data"), "HF_TOKEN")
    hub(server, {"README.md": b"x"})
    known = wanted_release("datasets.mine", {"adapter": "any", "download": "hf://datasets/org/name"})
    refused(Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data"), r"has no \.parquet files")


def test_a_changed_file_of_the_hub_is_found_by_its_sha256(server, tmp_path, monkeypatch):
    hub(server, {"a.parquet": b"PAR1 as listed"})
    server.content["a.parquet"] = b"PAR1 as nobody"
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    known = wanted_release("datasets.mine", {"adapter": "any", "download": "hf://datasets/org/name"})
    refused(Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data"), "the published digest of .* is")


def test_without_a_network_no_token_is_advised(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    known = wanted_release("datasets.mine", {"adapter": "any", "download": "hf://datasets/org/name"})
    text = refused(
        Obtained("mine", known, tmp_path / "data/Set", tmp_path / "data"), "the hub cannot be asked for hf://"
    )
    assert "HF_TOKEN" not in text and "HF_ENDPOINT" in text
