"""Stores on object storage, on a real server: as on the disk, and absent unless they are whole."""

import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from patchprobe.errors import StoreError
from patchprobe.run.verification import main, store_files
from patchprobe.stores import objects
from patchprobe.stores.file_list import manifest_path, read_manifest
from patchprobe.stores.located import VerifiedObjects, read_location
from patchprobe.stores.objects import ObjectStorage, announce
from patchprobe.stores.reading import open_store
from patchprobe.stores.writing import build_store

PREFIX = "s3://bucket/study/one"


@pytest.fixture
def server(object_server, tmp_path, monkeypatch):
    """The server with an empty bucket, announced, in a folder of its own."""
    object_server.clear()
    use(object_server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield object_server
    announce(None)


def use(server, monkeypatch):
    server.use(monkeypatch)
    monkeypatch.setattr(objects, "_PATIENCE", 2.0)
    announce(f"{PREFIX}/")


def write(store, units=6, spec="{}", before_end=lambda: None):
    with build_store(store, spec=spec, code="") as build:
        array = build.array("tokens", (units, 300), (1, 300), np.float32, ("tile", "feature"))
        build.coordinate("tile", [f"image#{i}" for i in range(units)], ("tile",))
        build.attributes(model="toy")
        for unit in build.pending([str(i) for i in range(units)]):
            array[int(unit)] = np.arange(300) + int(unit)
            build.finish(unit)
        before_end()


STORE = Path("results/a/features/vit/clean.zarr")
EXPECTED = np.arange(300)[None] + np.arange(6)[:, None]


def test_a_store_on_object_storage_reads_as_one_on_the_disk_and_has_its_manifest(server):
    announce(None)
    write(Path("disk.zarr"))
    announce(PREFIX)
    write(STORE)
    assert manifest_path(STORE).read_bytes() == Path("disk.manifest.json").read_bytes()
    assert sorted(path.name for path in STORE.iterdir()) == ["build.json", "files.json", "location.json"]
    digest = read_manifest(STORE)["digest"]
    address = f"study/one/a/features/vit/clean.zarr/{digest}"
    assert read_location(STORE) == f"s3://bucket/{address}"
    stored = server.objects()
    for path in (file for file in Path("disk.zarr/data").rglob("*") if file.is_file()):
        assert stored[f"{address}/{path.relative_to('disk.zarr')}"] == path.read_bytes()
    assert stored[f"{address}/manifest.json"] == manifest_path(STORE).read_bytes()
    assert len(stored) == read_manifest(STORE)["files"] + 2

    on_disk, remote = open_store(Path("disk.zarr")), open_store(STORE)
    assert remote.encoding["source"] == str(STORE)
    assert remote.identical(on_disk.load()) or remote.load().identical(on_disk)
    np.testing.assert_array_equal(open_store(STORE).tokens[2:4, 7], EXPECTED[2:4, 7])
    assert not list(STORE.parent.glob(".partial/*"))


def test_blocks_are_read_in_other_processes_from_the_address_alone(server):
    write(STORE)
    source = VerifiedObjects(read_location(STORE), read_manifest(STORE)["file_list_sha256"])
    assert len(pickle.dumps(source)) < 400
    program = f"""
        import pickle, zarr, sys
        group = zarr.open_group(pickle.loads({pickle.dumps(source)!r}), mode="r")
        print(int(group["tokens"][5].sum()), sorted(group.array_keys()))
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=environment, cwd="/"
    )
    assert done.stdout.split("\n")[0] == f"{EXPECTED[5].sum()} ['tile', 'tokens']", done.stderr
    with pytest.raises(ValueError, match="not written again"):
        source.with_read_only(False)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_an_object_that_changed_is_refused_when_it_is_read(server, damage):
    write(STORE)
    (chunk,) = server.bucket.glob("**/data/tokens/c/3/0")
    if damage == "gone":
        chunk.unlink()
    else:
        content = chunk.read_bytes()
        chunk.write_bytes(content[:-1] if damage == "cut" else content[:40] + b"\xff" + content[41:])
    server.look_again()
    store = open_store(STORE)
    np.testing.assert_array_equal(store.tokens[:3], EXPECTED[:3])
    what = "is missing" if damage == "gone" else "has changed since it was written"
    with pytest.raises(StoreError, match=rf"data/tokens/c/3/0 {what}; delete the store and its manifest"):
        store.tokens.load()


def test_verification_compares_number_and_size_of_what_lies_there(server):
    write(STORE)
    assert store_files(STORE) == []
    (chunk,) = server.bucket.glob("**/data/tokens/c/3/0")
    chunk.unlink()
    server.look_again()
    with pytest.raises(
        StoreError, match=r"clean.zarr: tokens/c/3/0 is missing; delete clean.zarr and clean.manifest.json"
    ):
        store_files(STORE)


def test_verification_calls_nothing_damaged_where_the_storage_refuses(server, monkeypatch, capsys):
    write(STORE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert main([str(STORE.parent)]) == 1
    said = capsys.readouterr().out
    assert "the credentials are refused" in said and "nothing was checked" in said and "damaged" not in said


def test_a_list_that_changed_is_refused_by_readers_elsewhere(server):
    write(STORE)
    (listed,) = server.bucket.glob("**/files.json")
    listed.write_text("{}")
    server.look_again()
    source = VerifiedObjects(read_location(STORE), read_manifest(STORE)["file_list_sha256"])
    with pytest.raises(StoreError, match=r"files.json has changed"):
        source._read("zarr.json", None, None)


def killed_in_an_upload(after):
    """A process that writes the store and is killed when so many objects have been put."""
    program = f"""
        import os, signal, sys, threading
        sys.path[:0] = {[str(p) for p in sys.path]!r}
        from pathlib import Path
        from patchprobe.stores.objects import ObjectStorage
        import test_object_storage
        put, done, lock = ObjectStorage.put, [], threading.Lock()
        def count(self, path, content):
            with lock:
                if len(done) == {after}:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.append(path)
                put(self, path, content)
        ObjectStorage.put = count
        test_object_storage.write(Path({str(STORE)!r}))
    """
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)]).returncode


@pytest.mark.parametrize("after", [0, 3, 10, 11])
def test_a_job_killed_in_its_upload_leaves_no_store_and_the_next_one_goes_on(server, after, monkeypatch):
    assert killed_in_an_upload(after) == -signal.SIGKILL
    left = server.objects()
    assert len(left) == after and not [name for name in left if name.endswith("manifest.json")]
    assert not STORE.exists() and not manifest_path(STORE).exists()
    with pytest.raises(StoreError, match="was never finished; run again"):
        open_store(STORE)

    again = []
    monkeypatch.setattr(
        ObjectStorage,
        "put",
        lambda s, path, content, put=ObjectStorage.put: (again.append(path), put(s, path, content)),
    )
    write(STORE)
    assert len([path for path in again if path.startswith("data/")]) == max(0, 10 - after)
    np.testing.assert_array_equal(open_store(STORE).tokens, EXPECTED)


def test_a_server_that_goes_down_in_an_upload_and_comes_back(server, monkeypatch):
    """Within the patience nothing is noticed; beyond it, one message, and the next run goes on."""
    put, count = ObjectStorage.put, []

    def stop_at_the_third(self, path, content):
        count.append(path)
        if len(count) == 3:
            server.stop()
        put(self, path, content)

    monkeypatch.setattr(ObjectStorage, "put", stop_at_the_third)
    with pytest.raises(
        StoreError, match=r"object storage s3://bucket/study/one/a/.* at http://127.* does not work .*run again"
    ):
        write(STORE)
    assert not STORE.exists() and not manifest_path(STORE).exists()
    assert not [name for name in server.objects() if name.endswith("manifest.json")]
    server.start()
    count.clear()
    monkeypatch.setattr(objects, "_PATIENCE", 30.0)
    back = threading.Timer(1.5, server.start)
    back.start()
    write(STORE)
    back.join()
    np.testing.assert_array_equal(open_store(STORE).tokens, EXPECTED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"the credentials are refused \(SignatureDoesNotMatch\); correct AWS_ACC"),
        (
            {"AWS_ACCESS_KEY_ID": "wrong"},
            r"the credentials are refused \(InvalidAccessKeyId\); correct AWS_ACCESS_KEY_ID",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, r"s3://bucket/study/one\S* at http://127.0.0.1:9 does not work"),
        ({"bucket": "other"}, r"there is no bucket other \(NoSuchBucket\); create it, or correct object_storage"),
    ],
)
def test_what_is_wrong_is_said_in_one_message_before_and_after_and_no_store_is_there(
    server, monkeypatch, change, message
):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    prefix = PREFIX.replace("bucket", change.get("bucket", "bucket"))
    announce(prefix)
    for attempt in (ObjectStorage(prefix, patience=1).check, lambda: write(STORE)):
        with pytest.raises(StoreError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value) and caught.value.__cause__ is None
    assert not STORE.exists() and not manifest_path(STORE).exists() and not server.objects()
    use(server, monkeypatch)
    made = []
    write(STORE, before_end=lambda: made.append(1))
    np.testing.assert_array_equal(open_store(STORE).tokens, EXPECTED)


def test_reading_without_a_server_is_said_likewise(server, monkeypatch):
    write(STORE)
    store = open_store(STORE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match="the credentials are refused"):
        open_store(STORE)
    np.testing.assert_array_equal(store.tokens, EXPECTED)


def test_without_credentials_nobody_is_asked_twice(server, monkeypatch):
    error = Exception("Error performing PUT http://169.254.169.254/latest/api/token in 46ms - HTTP error")
    assert re.search("there are no credentials; set AWS_ACCESS_KEY_ID", str(ObjectStorage(PREFIX)._explained(error)))


def test_one_half_of_the_credentials_is_not_enough(server, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        StoreError, match=r"one half of the credentials is missing; set both AWS_ACCESS_KEY_ID and AWS_SEC"
    ):
        ObjectStorage(PREFIX).check()


def test_a_server_that_takes_requests_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"does not work .* and the server answers, and run again"):
            ObjectStorage("s3://bucket/study", patience=0.1, longest=0.5).check()


def test_without_the_package_the_remedy_is_named(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreError, match=r"needs the package obstore: install it \(pip install 'patchprobe\[s3\]'\)"):
        ObjectStorage(PREFIX).check()


def test_another_build_takes_the_place_of_the_first_and_leaves_neighbours_alone(server):
    write(STORE.with_name("other.zarr"))
    write(STORE)
    first = read_location(STORE)
    write(STORE, spec='{"seed": 1}')
    assert read_location(STORE) != first
    digests = {name.split("/")[6] for name in server.objects() if "/clean.zarr/" in name}
    assert digests == {read_manifest(STORE)["digest"]}
    np.testing.assert_array_equal(open_store(STORE.with_name("other.zarr")).tokens, EXPECTED)
    np.testing.assert_array_equal(open_store(STORE).tokens, EXPECTED)


def test_what_an_unlike_build_of_the_same_digest_left_is_replaced_and_not_vouched_for(server, monkeypatch):
    write(STORE)
    (chunk,) = server.bucket.glob("**/data/tokens/c/3/0")
    right = chunk.read_bytes()
    chunk.write_bytes(b"\1" * len(right))
    stranger = chunk.parents[1] / "stranger"
    stranger.write_bytes(b"0")
    (vouching,) = server.bucket.glob("**/manifest.json")
    vouching.write_bytes(vouching.read_bytes().replace(b"toy", b"yot") + b" ")
    server.look_again()
    seen = []
    put = ObjectStorage.put
    monkeypatch.setattr(
        ObjectStorage, "put", lambda s, path, content: (seen.append(vouching.exists()), put(s, path, content))
    )
    shutil.rmtree(STORE)
    manifest_path(STORE).unlink()
    write(STORE)
    assert seen and not any(seen) and chunk.read_bytes() == right and not stranger.exists()
    np.testing.assert_array_equal(open_store(STORE).tokens, EXPECTED)


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "HTTP://127.0.0.1:9000"])
def test_an_address_without_its_scheme_is_refused_before_anybody_is_asked(monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(StoreError, match=re.escape(f"AWS_ENDPOINT_URL is {address}: write it")):
        ObjectStorage("s3://bucket/study").get("a")
