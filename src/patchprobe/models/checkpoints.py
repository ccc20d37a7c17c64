"""Reading weight files safely, knowing the wrong ones, and loading them without a key left over."""

import argparse
import importlib.resources
import os
import pickle
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from patchprobe.errors import ModelError
from patchprobe.models.layouts import Contents, Weights, fitting_layouts, open_layout, shortened
from patchprobe.stores import file_sha256

_PACKAGED = "package:"
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")
_SHA256 = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)

# What official files carry beside tensors: the arguments of the training run, numbers that NumPy made, and settings
# of yacs, which are read as plain dictionaries. Nothing here runs code of the file.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),
    *((np.float64().__reduce__()[0], f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
    np.dtype,
    *(type(np.dtype(code)) for code in "?bhilqBHILQefdSU"),
]

_OTHER_ARCHITECTURE = "Name the architecture these weights were trained with"


@dataclass(frozen=True)
class Checkpoint:
    """A file, read and checked: its tensors sorted, and JSON values for the provenance."""

    path: Path
    contents: Contents
    provenance: dict[str, Any]


def checkpoint_path(name: str, entry: Mapping[str, Any], checkpoint_root: Path) -> Path:
    """Return the file that ``models.<name>.checkpoint`` names, whether it is there or not.

    That is a path relative to ``checkpoint_root``, or ``package:<file>`` for weights that the package brings along.
    Raises ModelError naming the key if the path leads out of its folder.
    """
    key, file = f"models.{name}.checkpoint", str(entry["checkpoint"])
    if file.startswith(_PACKAGED):
        root = Path(str(importlib.resources.files("patchprobe") / "weights"))
    else:
        root = Path(checkpoint_root)
    path = root / file.removeprefix(_PACKAGED)
    # By text alone: links in the folder may lead elsewhere.
    if not Path(os.path.normpath(Path.cwd() / path)).is_relative_to(os.path.normpath(Path.cwd() / root)):
        raise ModelError(f"{key}: {file} lies outside {root}; put the file there, or link it, and name it from there")
    return path


def open_checkpoint(name: str, entry: Mapping[str, Any], checkpoint_root: Path) -> Checkpoint:
    """Read the file of ``models.<name>`` and sort its tensors by the layout of the entry.

    ``entry["sha256"]`` is compared with the file if it is given, and the file's own is printed otherwise. Raises
    ModelError naming key and file: no such file, not weights, another SHA-256, Python objects that could run code,
    another layout, values that are not finite.
    """
    key = f"models.{name}.checkpoint"
    path = checkpoint_path(name, entry, checkpoint_root)
    _refuse_impostors(path, key)
    digest = file_sha256(path)
    verified = _verify(name, entry.get("sha256"), path, digest)
    layout = entry.get("layout") or "timm"
    file = read_checkpoint(path, key)
    try:
        contents = open_layout(layout, f"models.{name}.layout")(file, key)
    except ModelError as error:
        raise ModelError(f"{error}{_layout_hint(name, file)}") from error
    for part in (contents.encoder, contents.decoder):
        _refuse_unfinite(part, key, path)
    return Checkpoint(
        path,
        contents,
        {
            "checkpoint": path.name,
            "checkpoint_sha256": digest,
            "checkpoint_verified": verified,
            "layout": layout,
            "left_out": summary(contents.left_out),
        },
    )


def read_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """Read a file onto the CPU as it is: a dictionary of tensors, or of anything that official files hold around them.

    Reads ``.safetensors`` and what ``torch.save`` writes, in both of its formats; of the newer one only those tensors
    that are used are brought into memory. No code in the file is ever run (torch's ``weights_only``). Raises
    ModelError, naming the config ``key`` and the file, if it is missing, of another format, damaged, or not weights;
    Python objects beside tensors and a few harmless types are refused by name.
    """
    _refuse_impostors(path, key)
    try:
        if path.suffix == ".safetensors":
            file: Any = safetensors.torch.load_file(path)
        else:
            with torch.serialization.safe_globals(_HARMLESS):
                file = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise _unreadable(path, key, str(error)) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        if "TorchScript" in str(error):
            raise ModelError(f"{key}: {path} is a TorchScript program, not weights; save its state dict") from error
        raise _damaged(path, key) from error
    if not isinstance(file, dict):
        raise ModelError(f"{key}: {path} holds a {type(file).__name__}, not a dictionary of tensors; save a state dict")
    return file


def drop_classifier(weights: Mapping[str, torch.Tensor], module: nn.Module) -> tuple[Weights, tuple[str, ...]]:
    """Return the weights without those of the classifier, which a backbone does not have, and the names of those."""
    names = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    dropped = tuple(name for name in weights if prefixes and name.startswith(prefixes))
    return {name: value for name, value in weights.items() if name not in dropped}, dropped


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
        classifier = "fc_norm.weight" in weights.keys() - expected.keys()
        raise ModelError(
            f"{key}: the weights do not fit {type(module).__name__}: {'; '.join(problems)}. "
            + ("They were fine-tuned as a classifier, take the pre-trained ones" if classifier else _OTHER_ARCHITECTURE)
        )
    module.load_state_dict(dict(weights), strict=True)


def layout_hint(name: str, checkpoint: Checkpoint) -> str:
    """Return a sentence that names the layouts under which a file has other names, or nothing."""
    file = read_checkpoint(checkpoint.path, f"models.{name}.checkpoint")
    return _layout_hint(name, file, checkpoint.contents)


def summary(names: Iterable[str]) -> list[str]:
    """Return names, those that share their first two parts as one, with the number of tensors."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return [same[0] if len(same) == 1 else f"{group} ({len(same)} tensors)" for group, same in sorted(groups.items())]


def _layout_hint(name: str, file: Mapping[str, Any], contents: Contents | None = None) -> str:
    read_as = contents.encoder.keys() if contents else None
    fitting = [other for other, found in fitting_layouts(file).items() if found.encoder.keys() != read_as]
    return f". The file is laid out like {' or '.join(fitting)}: set models.{name}.layout" if fitting else ""


def _verify(name: str, expected: str | None, path: Path, digest: str) -> bool:
    """Compare a SHA-256, or the start of one, with that of the file; returns whether there was one to compare."""
    if not expected:
        print(f"models.{name}: {path.name} has sha256 {digest}; models.{name}.sha256 is not set", file=sys.stderr)
        return False
    if not _SHA256.fullmatch(expected):
        raise ModelError(f"models.{name}.sha256: {expected!r} is not a SHA-256, nor its first 8 or more digits")
    if not digest.startswith(expected.lower()):
        raise ModelError(
            f"models.{name}.sha256 is {expected}, but {path} ({path.stat().st_size} bytes) has {digest}: the file is "
            "damaged or another one; download it again or correct the key"
        )
    return True


def _refuse_impostors(path: Path, key: str) -> None:
    """Name what is no weight file, such as what a browser or git saves when the download did not happen."""
    if not path.is_file():
        raise ModelError(f"{key}: there is no file {path}; put the weights there or correct the key")
    if path.suffix not in _SUFFIXES:
        raise ModelError(f"{key}: {path} is none of {', '.join(_SUFFIXES)}; save its state dict as .safetensors")
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


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _unreadable(path: Path, key: str, message: str) -> ModelError:
    """Name the object that torch refused, or call the file damaged if there is none."""
    named = re.search(r"GLOBAL (\S+) |unrecognized function (.+)|but got (<class .+>)", message)
    if not named:
        return _damaged(path, key)
    what = next(group for group in named.groups() if group)
    return ModelError(
        f"{key}: {path} holds Python objects beside tensors, here {what.splitlines()[0]}, which are refused because "
        "reading them can run code; nothing of the file was run. Save only its state dict, best as .safetensors"
    )


def _damaged(path: Path, key: str) -> ModelError:
    return ModelError(f"{key}: {path} ({path.stat().st_size} bytes) is truncated or damaged; download it again")


def _refuse_unfinite(weights: Weights, key: str, path: Path) -> None:
    unusable = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if unusable:
        raise ModelError(f"{key}: {path} holds NaN or infinity in {shortened(unusable)}; download it again")


def _listed(kind: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    return [f"{len(names)} {kind}: {shortened(names)}"] if names else []
