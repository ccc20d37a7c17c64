"""The same disturbances by file systems that really lose and really fill up, where mounting is permitted."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from disturbance.kinds import Scene
from disturbance.runs import HangError, arm, kill_all, processes_in, send, send_group

_IMAGE = 400 << 20
_PLENTY = 400 << 20


def permitted() -> bool:
    """Whether a loop device and a small file system in memory can be mounted here."""
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(OSError, subprocess.CalledProcessError):
        folder, image = Path(name, "mounted"), Path(name, "image")
        folder.mkdir()
        with _memory(folder):
            pass
        _make_image(image)
        with _loop(image, folder):
            return True
    return False


def power_cut_of_ext4(scene: Scene) -> None:
    """The disk is copied while everything stands still, and the copy is what the machine finds after the cut.

    What ext4 has not written by then is not in the copy: with these options, all that nobody synced.
    """
    folder = scene.project.folder
    image, after = folder.with_name("image"), folder.with_name("image-after")
    _make_image(image)
    aside = _aside(folder)
    with contextlib.ExitStack() as mounts:
        mounts.enter_context(_loop(image, folder, "data=writeback", "commit=300"))
        shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        (arm(scene.project) / "really").touch()
        os.sync()
        scene.armed = True
        run = scene.start_until_moment()
        send_group(run, signal.SIGSTOP)
        for pid in processes_in(folder):
            send(pid, signal.SIGSTOP)
        shutil.copyfile(image, after)
        send_group(run, signal.SIGKILL)
        kill_all(folder)
        run.wait()
    scene.closing.enter_context(_loop(after, folder))
    scene.notes.append("ext4")


def disk_full_of_memory(scene: Scene) -> None:
    """The project lies on a file system which at the moment has hardly any space left, and later has."""
    folder = scene.project.folder
    aside = _aside(folder)
    scene.closing.enter_context(_memory(folder))
    shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
    run = scene.start_until_moment()
    state = os.statvfs(folder)
    left = scene.rng.choice([0, 4096, scene.rng.randrange(300_000)])
    _resize(folder, (state.f_blocks - state.f_bfree) * state.f_frsize + left)
    run.wait()
    kill_all(folder)
    _resize(folder, _PLENTY)
    scene.notes.append(f"{left} bytes left")


MOUNTED: dict[str, Callable[[Scene], None]] = {
    "power-cut-of-ext4": power_cut_of_ext4,
    "disk-full-of-memory": disk_full_of_memory,
}


def _aside(folder: Path) -> Path:
    """Move a project aside and leave an empty folder to mount on."""
    aside = folder.with_name(f"{folder.name}-before")
    folder.rename(aside)
    folder.mkdir()
    return aside


def _make_image(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_IMAGE)
    _call("mkfs.ext4", "-q", "-F", str(image))


@contextlib.contextmanager
def _loop(image: Path, folder: Path, *options: str) -> Iterator[None]:
    _call("mount", "-o", ",".join(["loop", *options]), str(image), str(folder))
    try:
        yield
    finally:
        _unmount(folder)


@contextlib.contextmanager
def _memory(folder: Path) -> Iterator[None]:
    _call("mount", "-t", "tmpfs", "-o", f"size={_PLENTY}", "tmpfs", str(folder))
    try:
        yield
    finally:
        _unmount(folder)


def _resize(folder: Path, size: int) -> None:
    _call("mount", "-o", f"remount,size={size}", str(folder))


def _unmount(folder: Path) -> None:
    kill_all(folder)
    # A process that was killed may close its files a little later.
    for _ in range(100):
        if subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise HangError(f"{folder} cannot be unmounted")


def _call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
