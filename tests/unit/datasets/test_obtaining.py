"""Releases fetched from a local server and unpacked: killed, truncated, changed, escaping, offline, on a full disk."""

import base64
import hashlib
import json
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from archives import QUICK, content, names, refused, tarred, zipped
from breaking_server import Server
from serving import serving

from patchprobe.datasets.obtaining import Obtained, obtain
from patchprobe.datasets.released import MARKER, Archive, Release, fetched_state, is_absent, lock_file, state_to_be

RNG = np.random.default_rng(2)
IMAGES = {f"set/images/{n:03}.jpg": RNG.bytes(4000) for n in range(300)}
LABELS = {f"labels/{n:03}.png": RNG.bytes(100) for n in range(300)} | {"README": b"read"}
PROCESS = (
    "import sys, pickle, base64; from patchprobe.datasets.obtaining import *\n"
    "obtain(pickle.loads(base64.b64decode(sys.argv[1])), Patience(60, 3, 0.01))"
)


FILES = {"images.zip": zipped(IMAGES), "labels.tgz": tarred(LABELS)}
WHOLE = {name.removeprefix("set/"): content for name, content in (IMAGES | LABELS).items() if name != "README"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serving(Server(dict(FILES))) as server:
        yield server


def made(tmp_path, server=None, *, digests=True, repacked=False, **facts):
    """A release of two archives of the server, to be in tmp_path/data/Set."""
    address = f"http://127.0.0.1:{server.server_port}/data/" if server else "http://127.0.0.1:9/"
    archives = tuple(
        Archive(
            name,
            "by itself",
            (address + name,),
            digests={kind: hashlib.new(kind, FILES[name]).hexdigest()} if digests else {},
            inside=inside,
            into=into,
            repacked=repacked,
        )
        for name, kind, inside, into in (("images.zip", "md5", "set", ""), ("labels.tgz", "sha1", "labels", "labels"))
    )
    licence = {"name": "free", "address": "http://x", "terms": "none"}
    known = Release("set", "A set", None, "Set", licence, "Somebody", ("images", "labels"), archives)
    data = tmp_path / "data"
    return Obtained("mine", Release(**{**known.__dict__, **facts}), data / "Set", data)


def test_a_release_becomes_its_folder_and_nothing_else_stays(server, tmp_path, capfd):
    wanted = made(tmp_path, server)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and names(wanted.data_root) == ["Set", "Set.fetched.json", "downloads"]
    known = json.loads(lock_file(wanted.root).read_text())
    assert known["release"] == "set" and known["licence"] == "free"
    assert {n: f["sha256"] for n, f in known["files"].items()} == {
        n: hashlib.sha256(b).hexdigest() for n, b in FILES.items()
    }
    assert "Somebody" in capfd.readouterr().err
    asked = len(server.asked)
    obtain(wanted, QUICK)
    assert len(server.asked) == asked and "taken as it is" in capfd.readouterr().err


def test_the_state_is_the_same_until_something_comes_or_goes(server, tmp_path):
    wanted = made(tmp_path, server)
    obtain(wanted, QUICK)
    label = wanted.root / "labels/000.png"
    assert fetched_state(wanted.root, [label]) == state_to_be("set")
    (wanted.root / MARKER).touch()
    assert fetched_state(wanted.root, []) == state_to_be("set")
    time.sleep(0.01)
    label.write_bytes(b"changed in place")
    assert fetched_state(wanted.root, []) == state_to_be("set") and not fetched_state(wanted.root, [label])
    (wanted.root / "images/new.jpg").touch()
    assert not fetched_state(wanted.root, [])


def test_an_empty_root_is_filled_and_a_full_one_left_alone(server, tmp_path):
    wanted = made(tmp_path, server)
    wanted.root.mkdir(parents=True)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE
    other = made(tmp_path / "other", server)
    other.root.mkdir(parents=True)
    (other.root / "mine").touch()
    asked = len(server.asked)
    obtain(other, QUICK)
    assert content(other.root) == {"mine": b""} and len(server.asked) == asked


def start(wanted, **options):
    text = base64.b64encode(pickle.dumps(wanted)).decode()
    return subprocess.Popen([sys.executable, "-c", PROCESS, text], stderr=subprocess.PIPE, text=True, **options)


def test_killed_while_it_unpacks_it_starts_again_without_a_download(server, tmp_path):
    wanted = made(tmp_path, server)
    hidden = wanted.root.with_name(".Set.unpacking")
    process = start(wanted)
    deadline = time.time() + 60
    while not hidden.exists() and time.time() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert is_absent(wanted.root) and hidden.exists()
    asked = len(server.asked)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and len(server.asked) == asked
    assert names(wanted.data_root) == ["Set", "Set.fetched.json", "downloads"]


@pytest.mark.parametrize("seed", range(2))
def test_killed_three_times_at_random_it_ends_with_the_same_bytes(server, tmp_path, seed):
    draw = random.Random(seed)
    wanted = made(tmp_path, server)
    for _ in range(3):
        process = start(wanted)
        deadline = time.time() + 60
        while not wanted.data_root.exists() and time.time() < deadline and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert is_absent(wanted.root) or content(wanted.root) == WHOLE
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and names(wanted.data_root) == ["Set", "Set.fetched.json", "downloads"]


def test_a_full_disk_leaves_nothing_and_goes_on(server, tmp_path):
    """A limit on the size of files stands for the full disk: the archive of 1.2 MB does not fit, its pictures do."""
    wanted = made(tmp_path, server)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))

    text = start(wanted, preexec_fn=limit).communicate(timeout=60)[1]
    assert "free some space" in text and is_absent(wanted.root)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and [h.get("Range") for _, h in server.asked][1] == "bytes=700000-"


def test_a_release_that_does_not_fit_is_not_begun(server, tmp_path):
    wanted = made(tmp_path, server)
    huge = Archive("images.zip", "", wanted.release.archives[0].addresses, about=10**17)
    wanted = made(tmp_path, server, archives=(huge, wanted.release.archives[1]))
    text = refused(wanted, "where .* are free: free some space")
    assert "A set, with its archives, needs 200000000.0 GB" in text and not server.asked


@pytest.mark.parametrize("name", ["images.zip", "labels.tgz"])
def test_a_truncated_archive_is_not_unpacked(server, tmp_path, name):
    server.content[name] = FILES[name][:-2000]
    assert name in refused(made(tmp_path, server), "the published digest of .* is (md5|sha1) ")
    server.content[name] = FILES[name]
    obtain(made(tmp_path, server), QUICK)


@pytest.mark.parametrize("repacked", [False, True])
def test_a_truncated_archive_without_a_digest_is_deleted_and_fetched_anew(server, tmp_path, repacked):
    server.content["images.zip"] = FILES["images.zip"][:-2000]
    wanted = made(tmp_path, server, digests=False, repacked=repacked)
    refused(wanted, "truncated, damaged or no archive")
    assert not (wanted.data_root / "downloads/images.zip").exists()
    server.content["images.zip"] = FILES["images.zip"]
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE


def mirrored(wanted, mirror):
    return Obtained(wanted.name, wanted.release, wanted.root, wanted.data_root, mirror=mirror)


@pytest.mark.parametrize(
    "bad", [FILES["images.zip"][:-2000], zipped({"set/../../out": b"x"}), zipped({"set/a": b"1", "set/./a": b"2"})]
)
def test_a_bad_archive_is_deleted_and_its_origin_named(server, tmp_path, bad):
    server.content["images.zip"] = bad
    plain = made(tmp_path, server, digests=False)
    address, place = plain.release.archives[0].addresses[0], plain.data_root / "downloads/images.zip"
    text = refused(plain, f"it came from {address} and was deleted: run again")
    assert "delete it" not in text and not place.exists()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "images.zip").write_bytes(bad)
    (mirror / "labels.tgz").write_bytes(FILES["labels.tgz"])
    text = refused(
        mirrored(plain, mirror.as_uri()), f"it came from {mirror.as_uri()}/images.zip of your mirror and was deleted"
    )
    assert address in text and "set mirror to" in text and not place.exists()
    place.write_bytes(bad)
    refused(plain, "put there by hand and is kept: replace it")
    assert place.read_bytes() == bad


@pytest.mark.parametrize("offline", ["0", "1"])
def test_what_a_mirror_has_not_is_named_with_its_own_address(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    plain = made(tmp_path)
    for mirror in (tmp_path.as_uri(), *(["http://127.0.0.1:9/mirror"] if offline == "1" else [])):
        text = refused(mirrored(plain, mirror), "images.zip")
        assert f"{mirror}/images.zip or {plain.release.archives[0].addresses[0]}" in text


def test_a_mirror_that_is_a_file(tmp_path):
    (tmp_path / "some.yaml").touch()
    text = refused(
        mirrored(made(tmp_path), (tmp_path / "some.yaml").as_uri()), r"some\.yaml/images\.zip cannot be read"
    )
    assert "data_root" not in text


def test_an_archive_with_an_escape_leaves_nothing(server, tmp_path):
    server.content["images.zip"] = zipped({"set/images/fine": b"x", "set/../../../out": b"x"})
    refused(made(tmp_path, server, digests=False), "a path that leads out of the archive")
    assert not list(tmp_path.rglob("out"))


def test_another_layout_than_known_is_said(server, tmp_path):
    server.content["images.zip"] = zipped({"set/pictures/1.jpg": b"x"})
    refused(made(tmp_path, server, digests=False), "has no images, so it is laid out otherwise")


def test_a_server_without_ranges(server, tmp_path):
    server.etag = None
    server.plans = [{"cut": 600_000, "ranges": False}, {"ranges": False}, {"ranges": False}]
    wanted = made(tmp_path, server)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE


def fetched_again(server, wanted, name, archive):
    """Fetch, delete the data, let the server have another archive."""
    obtain(wanted, QUICK)
    shutil.rmtree(wanted.root)
    server.content[name] = archive
    return wanted


def test_without_a_published_digest_that_of_the_first_time_counts(server, tmp_path):
    changed = zipped(IMAGES | {"set/images/new.jpg": b"new"})
    wanted = fetched_again(server, made(tmp_path, server, digests=False), "images.zip", changed)
    text = refused(wanted, r"the first \(.*Set\.fetched\.json\) digest of images\.zip is")
    assert hashlib.sha256(FILES["images.zip"]).hexdigest() in text and hashlib.sha256(changed).hexdigest() in text
    server.content["images.zip"] = FILES["images.zip"]
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE


def test_of_what_is_packed_anew_the_content_counts(server, tmp_path):
    again = zipped(dict(reversed(IMAGES.items())))
    assert again != FILES["images.zip"]
    wanted = fetched_again(server, made(tmp_path, server, digests=False, repacked=True), "images.zip", again)
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE
    changed = zipped(IMAGES | {"set/images/000.jpg": b"other"})
    wanted = fetched_again(server, wanted, "images.zip", changed)
    refused(wanted, "has other content than when it was first fetched")
    lock_file(wanted.root).unlink()
    obtain(wanted, QUICK)
    assert content(wanted.root)["images/000.jpg"] == b"other"


def test_archives_put_there_by_hand_are_checked_used_and_kept(tmp_path):
    wanted = made(tmp_path)
    downloads = wanted.data_root / "downloads"
    downloads.mkdir(parents=True)
    for name, archive in FILES.items():
        (downloads / name).write_bytes(archive)
    (downloads / "labels.tgz").write_bytes(FILES["labels.tgz"][:-1])
    refused(wanted, r"labels\.tgz .*, which was put there by hand, has sha1")
    (downloads / "labels.tgz").write_bytes(FILES["labels.tgz"])
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and names(downloads) == sorted(FILES)


def test_offline_it_says_what_to_put_where(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wanted = made(tmp_path, server)
    text = refused(wanted, "HF_HUB_OFFLINE")
    assert str(wanted.data_root / "downloads") in text and not server.asked
    for archive in wanted.release.archives:
        assert archive.name in text and archive.addresses[0] in text
        assert all(digest in text for digest in archive.digests.values())


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_mirror_is_asked_alone_and_may_be_a_folder(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name, archive in FILES.items():
        (mirror / name).write_bytes(archive)
    plain = made(tmp_path)
    wanted = Obtained(plain.name, plain.release, plain.root, plain.data_root, mirror=mirror.as_uri())
    obtain(wanted, QUICK)
    assert content(wanted.root) == WHOLE and names(mirror) == sorted(FILES)


def test_a_link_out_of_the_folder_is_not_unpacked_through(server, tmp_path):
    """The hidden folder is made new, so what lies there is deleted and not written into."""
    wanted = made(tmp_path, server)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    hidden = wanted.root.with_name(".Set.unpacking")
    hidden.mkdir(parents=True)
    (hidden / "part0").symlink_to(victim)
    obtain(wanted, QUICK)
    assert names(victim) == ["precious"] and content(wanted.root) == WHOLE
    assert Path(wanted.root, "images").is_dir()


def test_two_roots_from_one_archive_at_once(server, tmp_path):
    """The second waits, since the first deletes the archives when it has ended."""
    first = made(tmp_path, server)
    second = Obtained("other", first.release, first.data_root / "Other", first.data_root)
    processes = [start(wanted) for wanted in (first, second, first)]
    assert not any(process.communicate(timeout=120) and process.returncode for process in processes)
    assert content(first.root) == content(second.root) == WHOLE and not names(first.data_root / "downloads")
    assert names(first.data_root) == ["Other", "Other.fetched.json", "Set", "Set.fetched.json", "downloads"]
