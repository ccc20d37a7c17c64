"""What a training run leaves behind: weights in half precision, the loss of each step, and a card that says how."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightly
import pandas as pd
import safetensors.torch
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.files import file_sha256, write_atomic
from patchprobe.pretraining.training import Course

# Losses on the card, evenly spread over the run, each the mean of its part.
_POINTS = 20


def write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write weights as float16 safetensors; raises ModelError naming a tensor that does not fit float16."""
    halved = {name: weight.detach().to("cpu", torch.float16).contiguous() for name, weight in sorted(weights.items())}
    for name, weight in halved.items():
        if not torch.isfinite(weight).all():
            raise ModelError(f"{path.name}: {name} holds values that do not fit float16; set a smaller learning_rate")
    write_atomic(path, lambda file: safetensors.torch.save_file(halved, file))


def write_losses(path: Path, course: Course, batch_size: int) -> None:
    """Write one row per step: ``step`` from 1, ``images`` seen so far, ``learning_rate``, ``loss``."""
    steps = range(1, len(course.losses) + 1)
    rows = pd.DataFrame(
        {
            "step": steps,
            "images": [step * batch_size for step in steps],
            "learning_rate": course.learning_rates,
            "loss": course.losses,
        }
    )
    write_atomic(path, rows.to_csv(index=False))


def write_card(path: Path, facts: Mapping[str, Any], course: Course, weights: Mapping[str, Path]) -> None:
    """Write the card: ``facts``, then seconds, loss curve, versions, commit, and size and SHA-256 of each file.

    It holds no path and no name of a machine.
    """
    card = {
        **facts,
        "seconds": round(course.seconds, 1),
        "loss": _summary(course.losses),
        "versions": {"torch": str(torch.__version__), "timm": timm.__version__, "lightly": lightly.__version__},
        "git_commit": _commit(),
        "files": {
            name: {"bytes": file.stat().st_size, "sha256": file_sha256(file), "dtype": "float16"}
            for name, file in weights.items()
        },
    }
    write_atomic(path, json.dumps(card, indent=1, sort_keys=True) + "\n")


def _summary(losses: list[float]) -> list[dict[str, float]]:
    """Return the mean loss of up to 20 equal parts of the run, by the last step of each."""
    ends = sorted({round(len(losses) * part / _POINTS) for part in range(1, _POINTS + 1)} - {0})
    starts = [0, *ends[:-1]]
    parts = zip(starts, ends, strict=True)
    return [{"step": end, "loss": round(sum(losses[start:end]) / (end - start), 5)} for start, end in parts]


def _commit() -> str | None:
    """Return the commit of the checkout that this code runs in, with ``-modified`` if files differ; None without one."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    try:
        # A file that git does not track lies in somebody else's checkout, such as that of a virtual environment.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("-modified" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
