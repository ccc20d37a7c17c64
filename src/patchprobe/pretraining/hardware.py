"""What a training run ran on, without any name of a machine."""

import platform
from pathlib import Path
from typing import Any

import torch

_CPU = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def describe_hardware(device: str, threads: int) -> dict[str, Any]:
    """Return the kind of processor or GPU, with the number of threads for a processor."""
    if device.startswith("cuda"):
        return {"device": "cuda", "name": torch.cuda.get_device_name(device)}
    return {"device": "cpu", "name": _cpu_field("model name") or platform.machine(), "threads": threads}


def has_bf16(device: str) -> bool:
    """Say whether products in bfloat16 are faster than in float32: on GPUs of compute capability 8 and up, and on
    processors with instructions for them."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(_BF16_FLAGS & set((_cpu_field("flags") or _cpu_field("Features")).split()))


def _cpu_field(name: str) -> str:
    try:
        lines = _CPU.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")
