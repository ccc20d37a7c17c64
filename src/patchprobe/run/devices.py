"""One GPU for one job: claimed by a file lock that dies with the process, without touching the GPU itself.

Jobs of one machine agree through the lock files alone, so a job that was killed in any way blocks nobody. The folder of
the locks is private to the user, because whoever can open a lock file can hold its lock.
"""

import contextlib
import importlib.metadata
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Literal

from patchprobe.errors import DeviceError
from patchprobe.files import try_lock

Device = Literal["cpu", "cuda"]

# Fixed, not TMPDIR: schedulers give each job its own, and the jobs must meet.
_LOCKS = Path("/tmp")
_OTHER_LOCKS = "PATCHPROBE_GPU_LOCKS"
_JOBS_EACH = "PATCHPROBE_JOBS_PER_GPU"
_PROC = Path("/proc/driver/nvidia/gpus")

_held: list[IO[str]] = []


def check_device(requested: str) -> None:
    """Raise DeviceError if ``requested`` is ``cuda`` and no GPU can be used here; nothing is claimed."""
    if requested == "cuda":
        devices, reason = _usable_devices()
        if not devices:
            raise DeviceError(f"device: cuda was asked for, but {reason}; set device: auto or device: cpu")


def resolve_device(requested: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device that ``requested`` stands for on this machine; nothing is claimed and ``cuda`` is not checked."""
    if requested == "auto":
        return "cuda" if _usable_devices()[0] else "cpu"
    return requested


def claim_device(requested: Literal["auto", "cpu", "cuda"], lock_dir: Path | None = None) -> Device:
    """Return ``cpu``, or claim one GPU for this process and return ``cuda``, which then means that GPU alone.

    Call it before torch touches CUDA, best before torch is imported: it works by ``CUDA_VISIBLE_DEVICES``. A list
    of devices already in that variable (indices or UUIDs) is the choice; under SLURM a single device in it is
    taken as the scheduler bound it. If all are claimed, waits until one is free. Jobs share a GPU only where the
    environment's ``PATCHPROBE_JOBS_PER_GPU`` says how many may, those that nobody has come first. ``auto`` is the CPU where no GPU
    can be used, ``cuda`` raises DeviceError there. ``lock_dir`` defaults to the environment's ``PATCHPROBE_GPU_LOCKS``
    or else one folder per user and machine. Raises DeviceError if that is not the user's alone or the number of jobs is none, StoreError if a lock
    in it is no plain file.
    """
    if requested == "cpu":
        return "cpu"
    if _held:
        return "cuda"
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        raise RuntimeError("claim_device was called after torch had initialised CUDA")
    devices, reason = _usable_devices()
    if not devices:
        check_device(requested)
        print(f"device: cpu, because {reason}", file=sys.stderr)
        return "cpu"
    # An index means what nvidia-smi shows; CUDA's own order puts the fastest device first.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    bound = "SLURM_JOB_ID" in os.environ and "CUDA_VISIBLE_DEVICES" in os.environ and len(devices) == 1
    if not bound:
        named = os.environ.get(_OTHER_LOCKS)
        device = _lock_one(devices, lock_dir or Path(named or _LOCKS / f"patchprobe-gpus-{os.getuid()}"))
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    print(f"device: cuda, GPU {os.environ['CUDA_VISIBLE_DEVICES']}", file=sys.stderr)
    return "cuda"


def _usable_devices() -> tuple[dict[str, str], str]:
    """Return lock names by device id (the form CUDA_VISIBLE_DEVICES takes), or none and the reason why."""
    if "+cpu" in importlib.metadata.version("torch"):
        return {}, "the installed torch is a build without CUDA (install a CUDA build to use a GPU)"
    installed = _installed_devices()
    if not installed:
        return {}, "no NVIDIA GPU was found (nvidia-smi -L lists none)"
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return {str(index): _lock_name(uuid, index) for index, uuid in enumerate(installed)}, ""
    devices: dict[str, str] = {}
    for entry in (part.strip() for part in allowed.split(",")):
        uuid = _resolve(entry, installed)
        if uuid is None:
            break  # as CUDA does: what follows an invalid entry is not visible
        devices[entry] = uuid
    return devices, f"CUDA_VISIBLE_DEVICES={allowed!r} names none of the {len(installed)} GPUs here"


def _installed_devices() -> list[str | None]:
    """Return the UUID (None if unknown) of each GPU in PCI order; empty without a driver."""
    try:
        command = ["nvidia-smi", "-L"]
        listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        listing = ""
    found = re.findall(r"^GPU \d+:.*?(?:UUID: (GPU-[0-9a-f-]+))?\)?$", listing, flags=re.MULTILINE)
    if found:
        return [uuid or None for uuid in found]
    folders = sorted(_PROC.iterdir()) if _PROC.is_dir() else []
    information = [(folder / "information") for folder in folders]
    matches = [re.search(r"GPU-[0-9a-f-]+", file.read_text()) if file.is_file() else None for file in information]
    return [match.group() if match else None for match in matches]


def _resolve(entry: str, installed: list[str | None]) -> str | None:
    """Return the lock name of one entry of CUDA_VISIBLE_DEVICES, None if it names no device."""
    if entry.isdigit():
        return _lock_name(installed[int(entry)], int(entry)) if int(entry) < len(installed) else None
    if entry.startswith("MIG-"):
        return entry.replace("/", "-")
    matches = [uuid for uuid in installed if entry.startswith("GPU-") and uuid and uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _lock_name(uuid: str | None, index: int) -> str:
    # Without a UUID, an index may be relative to what a scheduler's job can see, so it counts only within it.
    return uuid or "-".join(filter(None, [os.environ.get("SLURM_JOB_ID"), str(index)]))


def _lock_one(devices: dict[str, str], lock_dir: Path) -> str:
    """Lock the first free device, waiting for one if need be; the lock is kept until the process ends."""
    jobs_each = os.environ.get(_JOBS_EACH, "1")
    if not re.fullmatch(r"[1-9]\d{0,2}", jobs_each):
        raise DeviceError(
            f"{_JOBS_EACH} is {jobs_each!r}: set it to how many jobs may share a GPU, from 1 to 999, or unset it"
        )
    _make_private(lock_dir)
    waiting = False
    while True:
        for place in range(1, int(jobs_each) + 1):
            for device, name in devices.items():
                descriptor = try_lock(lock_dir / (f"{name}.lock" if place == 1 else f"{name}.{place}.lock"))
                if descriptor is not None:
                    _held.append(os.fdopen(descriptor, "r+"))
                    return device
        if not waiting:
            print(f"device: all {len(devices)} GPUs are claimed by other jobs; waiting for one", file=sys.stderr)
            waiting = True
        time.sleep(0.5)


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or see that it is one; raises DeviceError if it is another's."""
    remedy = f"have it removed, or name another folder in the environment variable {_OTHER_LOCKS}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        facts = folder.lstat()
    except OSError as error:
        raise DeviceError(f"the folder {folder} of GPU locks cannot be made ({error.strerror}): {remedy}") from None
    if not stat.S_ISDIR(facts.st_mode):
        wrong = "is no folder"
    elif facts.st_uid != os.geteuid():
        wrong = f"belongs to another user ({facts.st_uid})"
    elif facts.st_mode & 0o022:
        wrong = "can be written by other users"
    else:
        # In one that others can read, they can hold its locks.
        if facts.st_mode & 0o077:
            folder.chmod(0o700)
        return
    raise DeviceError(f"{folder}, where jobs agree about GPUs, {wrong}: {remedy}")
