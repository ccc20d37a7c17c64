"""Reading weight files, and loading them without a key left over."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from patchprobe.errors import ModelError

Weights = dict[str, torch.Tensor]

_FORMATS = (".safetensors", ".pth")
_LISTED = 6


def read_weights(path: Path, key: str) -> Weights:
    """Read a flat file of named tensors onto the CPU: ``.safetensors``, or ``.pth`` holding tensors only.

    No code in the file is ever run (torch's ``weights_only``). Raises ModelError, naming the config ``key`` and
    the file, if it is missing, of another format, truncated, or not weights at all.
    """
    if not path.is_file():
        raise ModelError(f"{key}: there is no file {path}; put the weights there or correct the key")
    if path.suffix not in _FORMATS:
        raise ModelError(
            f"{key}: {path} is neither .safetensors nor .pth; save its state dict as .safetensors and name that"
        )
    _refuse_text(path, key)
    try:
        if path.suffix == ".safetensors":
            weights: Any = safetensors.torch.load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{key}: {path} is damaged or holds Python objects beside tensors, which are refused because reading "
            "them can run code; save only its state dict, best as .safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(
            f"{key}: {path} ({path.stat().st_size} bytes) is truncated or damaged; download it again"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        held = ", ".join(map(str, weights)) if isinstance(weights, dict) else type(weights).__name__
        raise ModelError(
            f"{key}: {path} is not a flat dictionary of tensors with timm's names (it holds: {held}); "
            "save the backbone's state dict alone"
        )
    return weights


def drop_classifier(weights: Mapping[str, torch.Tensor], module: nn.Module) -> Weights:
    """Return the weights without those of the classifier, which a backbone does not have."""
    names = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {name: value for name, value in weights.items() if not (prefixes and name.startswith(prefixes))}


def load_strictly(module: nn.Module, weights: Mapping[str, torch.Tensor], key: str) -> None:
    """Load weights into a model whose names and shapes they match exactly.

    Raises ModelError listing the missing, surplus and reshaped names otherwise; the model is then unchanged.
    """
    expected = module.state_dict()
    reshaped = (
        f"{name} {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & weights.keys())
        if weights[name].shape != expected[name].shape
    )
    problems = [
        *_listed("missing", sorted(expected.keys() - weights.keys())),
        *_listed("surplus", sorted(weights.keys() - expected.keys())),
        *_listed("reshaped", reshaped),
    ]
    if problems:
        raise ModelError(
            f"{key}: the weights do not fit {type(module).__name__}: {'; '.join(problems)}. "
            "Name the architecture these weights were trained with"
        )
    module.load_state_dict(dict(weights), strict=True)


def _refuse_text(path: Path, key: str) -> None:
    """Name the usual impostors: what a browser or git saves when the download did not happen."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(
            f"{key}: {path} is a web page, not weights: the download was answered with a page (log-in, licence, "
            "error); download the file itself"
        )
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{key}: {path} is a git LFS pointer, not weights; run `git lfs pull` where it came from")
    if not start:
        raise ModelError(f"{key}: {path} is empty; download it again")


def _listed(kind: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return [f"{len(names)} {kind}: {', '.join(names[:_LISTED])}{more}"]
