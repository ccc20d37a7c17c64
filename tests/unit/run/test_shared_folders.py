"""Folders that other users can write to: what they put there first leads nothing astray and makes nobody wait.

Another user is a real one where the tests run as root; elsewhere this process is told that its own files are another's.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from breaking_server import Server
from serving import serving
from test_devices import fake_gpus  # noqa: F401

import patchprobe.run.devices as devices
from patchprobe.errors import DeviceError, DownloadError, PatchprobeError
from patchprobe.files import write_atomic
from patchprobe.models.checkpoints.fetching import Checkpoint, Patience, fetch

NOBODY = 65534
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 2000
QUICK = Patience(timeout=5, attempts=2, pause=0.01)


@pytest.fixture(autouse=True)
def release():
    yield
    for file in devices._held:
        file.close()
    devices._held.clear()


@pytest.fixture
def give_away(monkeypatch):
    """A function that makes a file another user's, to the eyes of this process."""

    def give(path):
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        else:
            user = os.geteuid() + 1
            monkeypatch.setattr(os, "geteuid", lambda: user)

    return give


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """The folder of GPU locks, which is not there yet, in one like /tmp."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(devices, "_LOCKS", shared)
    monkeypatch.delenv("PATCHPROBE_GPU_LOCKS", raising=False)
    return shared / f"patchprobe-gpus-{os.getuid()}"


@contextlib.contextmanager
def within(seconds):
    """Fail, in place of waiting for ever."""

    def alarm(*_):
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022])
def test_the_folder_of_gpu_locks_is_private_under_any_umask(fake_gpus, locks, umask):  # noqa: F811
    before = os.umask(umask)
    try:
        assert devices.claim_device("cuda") == "cuda"
    finally:
        os.umask(before)
    assert locks.stat().st_mode & 0o777 == 0o700


def refused(locks):
    with within(10), pytest.raises(DeviceError) as caught:
        devices.claim_device("cuda")
    assert str(locks) in str(caught.value) and "PATCHPROBE_GPU_LOCKS" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("inside", ["nothing", "a FIFO", "a held lock", "a link"])
def test_a_folder_of_locks_that_another_user_made_first_is_named(fake_gpus, locks, tmp_path, give_away, inside):  # noqa: F811
    locks.mkdir()
    locks.chmod(0o777)
    with contextlib.ExitStack() as stack:
        for uuid in ("GPU-aaaa0000-0000-0000-0000-000000000000", "GPU-bbbb0000-0000-0000-0000-000000000000"):
            file = locks / f"{uuid}.lock"
            if inside == "a FIFO":
                os.mkfifo(file)
            elif inside == "a held lock":
                fcntl.flock(stack.enter_context(file.open("w")), fcntl.LOCK_EX)
            elif inside == "a link":
                file.symlink_to(tmp_path / "elsewhere")
        give_away(locks)
        assert "belongs to another user" in refused(locks)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_of_locks_that_others_can_write_is_named(fake_gpus, locks):  # noqa: F811
    locks.mkdir()
    locks.chmod(0o775)
    assert "can be written by other users" in refused(locks)


def test_a_folder_of_locks_that_others_can_read_is_closed(fake_gpus, locks):  # noqa: F811
    """In one that they can read, they can hold its locks."""
    locks.mkdir()
    locks.chmod(0o755)
    assert devices.claim_device("cuda") == "cuda"
    assert locks.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["a link", "a link to nothing", "a file", "a FIFO"])
def test_what_is_no_folder_of_locks_is_named(fake_gpus, locks, tmp_path, what):  # noqa: F811
    target = tmp_path / "target"
    if what == "a file":
        locks.touch()
    elif what == "a FIFO":
        os.mkfifo(locks)
    else:
        if what == "a link":
            target.mkdir(mode=0o700)
        locks.symlink_to(target)
    assert "is no folder" in refused(locks)
    assert not target.exists() or not list(target.iterdir())


def test_another_folder_of_locks_can_be_named(fake_gpus, locks, tmp_path, monkeypatch):  # noqa: F811
    locks.touch()
    monkeypatch.setenv("PATCHPROBE_GPU_LOCKS", str(tmp_path / "own" / "locks"))
    assert devices.claim_device("cuda") == "cuda"
    assert (tmp_path / "own" / "locks").stat().st_mode & 0o777 == 0o700


def test_a_lock_that_is_a_link_is_not_followed(fake_gpus, locks, tmp_path):  # noqa: F811
    locks.mkdir(mode=0o700)
    for uuid in ("GPU-aaaa0000-0000-0000-0000-000000000000", "GPU-bbbb0000-0000-0000-0000-000000000000"):
        (locks / f"{uuid}.lock").symlink_to(tmp_path / "elsewhere")
    with within(10), pytest.raises(PatchprobeError, match="no plain file"):
        devices.claim_device("cuda")
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving(Server(CONTENT)) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints" / "dino.pth"


@pytest.mark.parametrize("suffix", [".partial", ".partial.json"])
@pytest.mark.parametrize("there", [True, False])
def test_a_download_does_not_follow_a_link(server, path, tmp_path, suffix, there):
    victim = tmp_path / "victim"
    if there:
        victim.write_text("precious")
    path.with_name(f".{path.name}{suffix}").symlink_to(victim)
    if suffix == ".partial":
        with pytest.raises(DownloadError, match=r"models\.dino\.checkpoint: .*\.dino\.pth\.partial is no plain file"):
            fetch(Checkpoint("dino", path, server.url, None), QUICK)
    else:
        fetch(Checkpoint("dino", path, server.url, None), QUICK)
        assert path.read_bytes() == CONTENT
    assert victim.read_text() == "precious" if there else not victim.exists()


@pytest.mark.parametrize("suffix", [".partial", ".partial.json"])
def test_a_download_does_not_wait_for_a_fifo(server, path, suffix):
    os.mkfifo(path.with_name(f".{path.name}{suffix}"))
    with within(15):
        if suffix == ".partial":
            with pytest.raises(DownloadError, match="is no plain file"):
                fetch(Checkpoint("dino", path, server.url, None), QUICK)
        else:
            fetch(Checkpoint("dino", path, server.url, None), QUICK)
            assert path.read_bytes() == CONTENT


def test_a_part_of_another_user_is_not_gone_on_with(server, path, give_away):
    """Who owns the file can change it after its SHA-256 was compared; and could hold its lock for ever."""
    hidden = path.with_name(f".{path.name}.partial")
    hidden.write_bytes(CONTENT[:1000])
    with hidden.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        give_away(hidden)
        with within(10), pytest.raises(DownloadError, match=r"belongs to another user: remove it"):
            fetch(Checkpoint("dino", path, server.url, None), QUICK)
    assert not path.exists() and not server.asked


def test_a_part_with_a_second_name_is_not_written_to(server, path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.link(victim, path.with_name(f".{path.name}.partial"))
    with pytest.raises(DownloadError, match="has a second name: remove it"):
        fetch(Checkpoint("dino", path, server.url, None), QUICK)
    assert victim.read_text() == "precious"


def test_the_note_of_a_download_is_whole_or_absent(server, path, monkeypatch):
    """Somebody who looks at it at any time sees all of it, since it is renamed into place."""
    note = path.with_name(f".{path.name}.partial.json")
    seen, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                seen.add(note.read_text())
            time.sleep(0)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(20):
        server.plans = [{"cut": 100_000}]
        fetch(Checkpoint("dino", path, server.url, None), QUICK)
        path.unlink()
    ended.set()
    watcher.join()
    assert all(text.startswith("{") and text.endswith("}") for text in seen)


def test_a_file_is_not_written_through_a_link_with_the_name_of_its_unfinished_form(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    code = (
        "import os, sys; from pathlib import Path; from patchprobe.files import write_atomic\n"
        "path = Path(sys.argv[1])\n"
        "for kind in ('text', lambda file: file.write_text('text')):\n"
        "    path.with_name(f'.{os.getpid()}.{path.name}').symlink_to(sys.argv[2])\n"
        "    write_atomic(path, kind)\n"
        "    assert path.read_text() == 'text' and not path.is_symlink()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "table.csv"), str(victim)], env=environment, check=True)
    assert victim.read_text() == "precious"
    write_atomic(tmp_path / "table.csv", "more")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["table.csv", "victim"]
