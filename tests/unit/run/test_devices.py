"""Claiming devices, with a stand-in for nvidia-smi and real processes that hold the locks."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

import patchprobe.run.devices as devices
from patchprobe.errors import DeviceError

UUIDS = ["GPU-aaaa0000-0000-0000-0000-000000000000", "GPU-bbbb0000-0000-0000-0000-000000000000"]
FOUR = [*UUIDS, "GPU-cccc0000-0000-0000-0000-000000000000", "GPU-dddd0000-0000-0000-0000-000000000000"]

# The installed torch may be a build without CUDA; here only the claim matters.
CLAIM = """
import importlib.metadata, os, sys
from pathlib import Path
importlib.metadata.version = lambda name: "2.0"
from patchprobe.run.devices import claim_device
claim_device("cuda", Path(sys.argv[1]))
claim_device("cuda", Path(sys.argv[1]))
assert "torch" not in sys.modules
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def fake_gpus(tmp_path, monkeypatch, request):
    """A machine with two GPUs, or those that a test gives, according to nvidia-smi."""
    lines = "\n".join(f"GPU {i}: NVIDIA Test (UUID: {uuid})" for i, uuid in enumerate(getattr(request, "param", UUIDS)))
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(devices.importlib.metadata, "version", lambda name: "2.0")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


@pytest.fixture
def no_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices, "_PROC", tmp_path / "absent")
    monkeypatch.setattr(devices.importlib.metadata, "version", lambda name: "2.0")


@pytest.fixture(autouse=True)
def release():
    yield
    for file in devices._held:
        file.close()
    devices._held.clear()


def claim_in_a_process(lock_dir, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(lock_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )


def test_two_processes_never_get_the_same_gpu_and_a_killed_one_blocks_nobody(fake_gpus, tmp_path):
    first, second = (claim_in_a_process(tmp_path / "locks") for _ in range(2))
    with first, second:
        assert sorted(p.stdout.readline().strip() for p in (first, second)) == ["0", "1"]
        # the same device under another name: UUID and index share a lock, so this one must wait
        with claim_in_a_process(tmp_path / "locks", CUDA_VISIBLE_DEVICES=",".join(UUIDS)) as third:
            time.sleep(0.7)
            assert third.poll() is None
            first.kill()
            assert third.stdout.readline().strip() in UUIDS
            third.kill()
        second.kill()


@pytest.mark.parametrize("fake_gpus", [FOUR], indirect=True)
def test_jobs_of_four_gpus_share_none_until_the_environment_says_how_many_may(fake_gpus, tmp_path):
    locks = tmp_path / "locks"
    with contextlib.ExitStack() as jobs:

        def started(number, **environment):
            running = [claim_in_a_process(locks, **environment) for _ in range(number)]
            for job in running:
                jobs.enter_context(job)
                jobs.callback(job.kill)
            return running

        def devices_of(running):
            return sorted(job.stdout.readline().strip() for job in running)

        first = started(4)
        assert devices_of(first) == ["0", "1", "2", "3"]
        (waiting,) = started(1)
        # Who is told so goes beside others, first of all where only one is.
        assert devices_of(started(4, PATCHPROBE_JOBS_PER_GPU="2")) == ["0", "1", "2", "3"]
        time.sleep(0.7)
        assert waiting.poll() is None
        first[0].kill()
        assert devices_of([waiting]) in (["0"], ["1"], ["2"], ["3"])


@pytest.mark.parametrize("number", ["0", "two", "1000", ""])
def test_a_number_of_jobs_that_is_none_is_named_with_the_remedy(fake_gpus, tmp_path, monkeypatch, number):
    monkeypatch.setenv("PATCHPROBE_JOBS_PER_GPU", number)
    with pytest.raises(DeviceError, match=f"^PATCHPROBE_JOBS_PER_GPU is {number!r}: set it to how many"):
        devices.claim_device("cuda", tmp_path / "locks")


def test_cpu_is_cpu_without_a_look_at_gpus(monkeypatch):
    monkeypatch.setattr(devices.subprocess, "run", lambda *_, **__: pytest.fail("looked"))
    assert devices.claim_device("cpu") == "cpu"


def test_auto_without_a_gpu_is_the_cpu_and_says_so(no_gpus, capsys):
    assert devices.claim_device("auto") == "cpu"
    assert capsys.readouterr().err == "device: cpu, because no NVIDIA GPU was found (nvidia-smi -L lists none)\n"


def test_what_a_device_stands_for_is_known_without_a_claim(fake_gpus, tmp_path, monkeypatch):
    assert [devices.resolve_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert not devices._held and "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.resolve_device("auto") == "cpu"


def test_auto_stands_for_the_cpu_without_a_gpu(no_gpus):
    assert devices.resolve_device("auto") == "cpu"


def test_cuda_without_a_gpu_is_an_error_with_the_remedy(no_gpus):
    with pytest.raises(DeviceError, match=r"^device: cuda was asked for, but no NVIDIA GPU .*; set device: auto"):
        devices.claim_device("cuda")


def test_gpus_are_found_without_nvidia_smi(no_gpus, tmp_path, monkeypatch):
    for name, text in (("0000:01:00.0", f"GPU UUID: \t {UUIDS[0]}\n"), ("0000:02:00.0", "Model: X\n")):
        (tmp_path / "proc" / name).mkdir(parents=True)
        (tmp_path / "proc" / name / "information").write_text(text)
    monkeypatch.setattr(devices, "_PROC", tmp_path / "proc")
    assert devices._installed_devices() == [UUIDS[0], None]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ("1", "1"),
        ("1,0", "1"),
        (UUIDS[1], UUIDS[1]),
        ("GPU-bbbb", "GPU-bbbb"),
        ("MIG-x/1/2", "MIG-x/1/2"),
        ("1,7,0", "1"),
    ],
)
def test_the_list_in_the_environment_is_the_choice(fake_gpus, tmp_path, monkeypatch, allowed, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert devices.claim_device("auto", tmp_path) == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize("allowed", ["", "-1", "5", "GPU-cccc"])
def test_a_list_that_names_no_gpu_leaves_the_cpu(fake_gpus, monkeypatch, capsys, allowed):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert devices.claim_device("auto") == "cpu"
    assert f"CUDA_VISIBLE_DEVICES={allowed!r} names none of the 2 GPUs here" in capsys.readouterr().err


def test_a_single_device_bound_by_slurm_is_taken_without_a_lock(fake_gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices.claim_device("cuda", tmp_path / "locks") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert not (tmp_path / "locks").exists()


def test_several_devices_of_one_slurm_job_are_shared_out(fake_gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    devices.claim_device("cuda", tmp_path / "locks")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert [file.name for file in (tmp_path / "locks").iterdir()] == [f"{UUIDS[1]}.lock"]


def test_a_torch_build_without_cuda_is_named(fake_gpus, monkeypatch, capsys):
    monkeypatch.setattr(devices.importlib.metadata, "version", lambda name: "2.15.0+cpu")
    assert devices.claim_device("auto") == "cpu"
    assert "build without CUDA" in capsys.readouterr().err
