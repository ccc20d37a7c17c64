"""Reading weight files safely, knowing the wrong ones, and loading them without a key left over."""

import argparse
import pickle
import pickletools
import re
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from patchprobe.downloads.wanted import first_sha256, record_of
from patchprobe.errors import ModelError, shown
from patchprobe.files import file_digests, fingerprint
from patchprobe.models.checkpoints.arrays import is_archive_of_arrays, read_arrays
from patchprobe.models.checkpoints.files import BEGINNING, Format, checkpoint_path, format_of, stranger
from patchprobe.models.checkpoints.limits import TooLargeError, check_archive, check_tensors, limited_memory
from patchprobe.models.checkpoints.pickled_numbers import NumberType, number
from patchprobe.models.checkpoints.sorting import beside, layout_hint, sort_file
from patchprobe.models.layout import Contents, Weights, shortened

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt", ".npz")
# Of each kind of digest, as hashlib calls it: its name, its digits, and the fewest of them that are compared.
_DIGESTS = {"sha256": ("SHA-256", 64, 8), "md5": ("MD5", 32, 6)}

# What official files carry beside tensors: the arguments of the training run, numbers that NumPy made, and settings
# of yacs, which are read as plain dictionaries. Nothing here runs code of the file.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    (OrderedDict, "yacs.config.CfgNode"),
    (NumberType, "numpy.dtype"),
    *((number, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
]

_PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Whole numbers in files of some code; no weights, so that strict loading reports those that no layout leaves out.
_COUNTS = ("relative_position_index", "num_batches_tracked")

# the one that torch.save writes by default, and torch's safe reader knows; the name of it in a zip archive
_PROTOCOL, _PICKLE = 2, "data.pkl"

_OTHER_ARCHITECTURE = "Name the architecture and the arguments these weights were trained with"


@dataclass(frozen=True)
class Checkpoint:
    """A file, read and checked: its tensors sorted, and JSON values for the provenance."""

    path: Path
    contents: Contents
    provenance: dict[str, Any]


def open_checkpoint(name: str, entry: Mapping[str, Any], checkpoint_root: Path) -> Checkpoint:
    """Read the file of ``models.<name>`` and sort its tensors by the layout of the entry.

    ``entry["sha256"]`` and ``entry["md5"]`` are compared with the file if they are given; without the former the file's own is
    printed. Raises ModelError naming key and file: no such file, not weights, another digest, Python objects that could run code,
    another layout, values that are not finite or not in half, single or double precision.
    """
    key = f"models.{name}.checkpoint"
    path = checkpoint_path(name, entry, checkpoint_root)
    _format(path, key)
    digest, verified = _verified(name, entry, path)
    layout = entry.get("layout") or "timm"
    file = read_checkpoint(path, key)
    try:
        contents = sort_file(file, layout, key, f"models.{name}.layout")
    except ModelError as error:
        raise ModelError(f"{error}{layout_hint(name, file)}; the file is {path}") from error
    except (RuntimeError, LookupError, TypeError, ValueError) as error:  # a tensor of another shape than all releases
        raise ModelError(
            f"{key}: not of layout {layout}: a tensor of {path} has another shape ({shown(error)})"
        ) from error
    others = beside(file, contents)
    if others:
        print(
            f"models.{name}: {path.name} holds several sets of weights; {contents.taken} is taken, not "
            f"{shortened(others)}",
            file=sys.stderr,
        )
    for part in (contents.encoder, contents.decoder):
        _refuse_other_types(part, key, path)
        _refuse_unfinite(part, key, path)
    return Checkpoint(
        path,
        contents,
        {
            "checkpoint": path.name,
            "checkpoint_fingerprint": fingerprint(path),
            "checkpoint_sha256": digest,
            "checkpoint_verified": verified,
            "layout": layout,
            "weights_taken": contents.taken,
            "weights_beside": others,
            "left_out": summary(contents.left_out),
            "decoder": summary(contents.decoder),
        },
    )


def open_decoder(name: str, entry: Mapping[str, Any], checkpoint_root: Path) -> tuple[Weights, dict[str, Any]]:
    """Read the file ``checkpoint`` of ``models.<name>.decoder``, the decoder's tensors alone by their official names.

    Returns them with JSON values for the provenance. Raises ModelError naming key and file as :func:`open_checkpoint` does.
    """
    key = f"models.{name}.decoder.checkpoint"
    path = checkpoint_path(f"{name}.decoder", entry, checkpoint_root)
    _format(path, key)
    digest, _ = _verified(f"{name}.decoder", entry, path)
    weights = read_checkpoint(path, key)
    others = [other for other, value in weights.items() if not isinstance(value, torch.Tensor)]
    if others or not weights:
        raise ModelError(
            f"{key}: {path} is no flat dictionary of tensors (it holds {shortened(list(map(str, others))) or 'nothing'}); save "
            "those of the decoder alone"
        )
    _refuse_other_types(weights, key, path)
    _refuse_unfinite(weights, key, path)
    return weights, {"checkpoint": path.name, "checkpoint_sha256": digest}


def read_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """Read a file onto the CPU as it is: a dictionary of tensors, or of anything that official files hold around them.

    Reads safetensors, what ``torch.save`` writes, in both of its formats, and NumPy's archives, by what the file holds,
    whatever its suffix; of the newer one only those tensors that are used are brought into memory. No code in the file is ever run
    (torch's ``weights_only``), and reading it takes no more memory than its size explains. Raises ModelError, naming the
    config ``key`` and the file, if it is missing, of another format, damaged, or not weights; Python objects beside
    tensors and a few harmless types are refused by name.
    """
    kind = _format(path, key)
    arrays = kind == "zip" and is_archive_of_arrays(path)
    if kind == "zip" and not arrays and (other := _other_archive(path)):
        raise ModelError(f"{key}: {path} {other}")
    try:
        if kind == "zip":
            check_archive(path, arrays=arrays)
        with limited_memory(path):
            file: Any = read_arrays(path, key) if arrays else _read_tensors(path, kind)
        check_tensors(file, path.stat().st_size)
    except TooLargeError as error:
        raise ModelError(
            f"{key}: {path} {error}; it is refused, and nothing of it was used. Save only its state dict, with torch.save "
            "as it is by default or, best, as .safetensors"
        ) from error
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise _unreadable(path, key, kind, str(error)) from error
    except Exception as error:  # a few wrong bytes make torch raise nearly any kind
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
        f"{shown(name, 80)} {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
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


def hint_for(name: str, checkpoint: Checkpoint) -> str:
    """Return a sentence that names the layouts under which a file that was read has other names, or nothing."""
    file = read_checkpoint(checkpoint.path, f"models.{name}.checkpoint")
    return layout_hint(name, file, checkpoint.contents)


def summary(names: Iterable[str]) -> list[str]:
    """Return names, those that share their first two parts as one, with the number of tensors."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return [same[0] if len(same) == 1 else f"{group} ({len(same)} tensors)" for group, same in sorted(groups.items())]


def _verified(name: str, entry: Mapping[str, Any], path: Path) -> tuple[str, bool]:
    """Return a file's SHA-256 and whether there was a digest, or the start of one, to compare; raise ModelError if it differs."""
    given = {kind: str(entry[kind]) for kind in _DIGESTS if entry.get(kind)}
    found = file_digests(path, {"sha256", *given})
    for kind, expected in given.items():
        title, most, fewest = _DIGESTS[kind]
        if not re.fullmatch(rf"[0-9a-f]{{{fewest},{most}}}", expected, re.IGNORECASE):
            raise ModelError(
                f"models.{name}.{kind}: {expected!r} is no {title}, nor its first {fewest} or more digits: correct it"
            )
        if not found[kind].startswith(expected.lower()):
            raise ModelError(
                f"models.{name}.{kind} is {expected}, but {path} ({path.stat().st_size} bytes) has {found[kind]}: the file is "
                "damaged or another one; delete it and download it again, or correct the key"
            )
    digest = found["sha256"]
    if "sha256" not in given:
        first = first_sha256(path)
        if first and first != digest:
            raise ModelError(
                f"models.{name}.checkpoint: {path} has sha256 {digest}, and had {first} when it was fetched "
                f"({record_of(path).name}): it is damaged or another file; delete it to have it fetched again or, if this is the "
                f"file you want, remove {record_of(path).name} or set models.{name}.sha256"
            )
        print(f"models.{name}: {path.name} has sha256 {digest}; models.{name}.sha256 is not set", file=sys.stderr)
    return digest, bool(given)


def _read_tensors(path: Path, kind: Format) -> Any:
    if kind == "safetensors":
        return safetensors.torch.load_file(path)
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        if path.suffix != ".safetensors":
            return torch.load(path, mmap=kind == "zip", **options)
        with path.open("rb") as file:  # torch goes by the suffix of a path
            return torch.load(file, **options)


def _format(path: Path, key: str) -> Format:
    """Tell a file's format; name what is no weight file, such as what is saved when the download did not happen."""
    if path.is_symlink() and not path.exists():
        raise ModelError(
            f"{key}: {path} is a link to {path.readlink()}, which is not there; correct or remove the link"
        )
    if path.is_dir():
        raise ModelError(f"{key}: {path} is a directory; name the file of weights in it")
    if not path.is_file():
        raise ModelError(f"{key}: there is no file {path}; put the weights there or correct the key")
    if path.suffix not in _SUFFIXES:
        raise ModelError(f"{key}: {path} is none of {', '.join(_SUFFIXES)}; save its state dict as .safetensors")
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError as error:
        raise ModelError(f"{key}: {path} cannot be read ({error.strerror})") from error
    kind, what = format_of(beginning), stranger(beginning)
    if kind:
        return kind
    if what is None:
        raise _damaged(path, key)
    if what == "a web page":
        remedy = "the download was answered with a page (log-in, licence, error); delete it and get the file itself"
    elif what == "a git LFS pointer":
        remedy = "run `git lfs pull` where it came from"
    elif what == "empty":
        raise ModelError(f"{key}: {path} is empty; delete it and download it again")
    elif what.startswith("a pickle"):
        remedy = (
            "it is refused because reading it can run code; nothing of it was run. Save only its state dict, with "
            "torch.save as it is by default or, best, as .safetensors"
        )
    elif what.startswith(("packed", "a tar")):
        remedy = "unpack it and name the file of weights"
    else:
        remedy = "delete it and download the file itself"
    raise ModelError(f"{key}: {path} is {what}, not weights: {remedy}")


def _unreadable(path: Path, key: str, kind: Format, message: str) -> ModelError:
    """Name the object or the opcode that torch refused, or call the file damaged if there is none."""
    named = re.search(r"GLOBAL (\S+) |unrecognized function (.+)|but got (<class .+>)", message)
    operand = re.search(r"Unsupported operand (\d+)", message)
    code = chr(int(operand[1])) if operand else None
    opcode = next((opcode.name for opcode in pickletools.opcodes if opcode.code == code), None)
    if named:
        what = shown(next(group for group in named.groups() if group).splitlines()[0])
        trouble = (
            f"holds Python objects beside tensors, here {what}, which are refused because reading them can run code"
        )
    elif (protocol := _protocol(path, kind)) > _PROTOCOL:
        trouble = f"is pickled with protocol {protocol}, which torch has no safe reader for"
    elif opcode:
        trouble = f"holds a pickle that torch.save did not write (opcode {opcode}), which is refused or damaged"
    else:
        return _damaged(path, key)
    return ModelError(
        f"{key}: {path} {trouble}; nothing of the file was run. Save only its state dict, with torch.save as it is by "
        "default or, best, as .safetensors"
    )


def _protocol(path: Path, kind: Format) -> int:
    """Return the protocol of the pickle in a file of torch.save, or 0 if there is none."""
    if kind == "legacy":
        with path.open("rb") as file:
            beginning = file.read(2)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith(_PICKLE))
                with archive.open(name) as file:
                    beginning = file.read(2)
        except (zipfile.BadZipFile, StopIteration, OSError, ValueError):
            return 0
    return beginning[1] if beginning[:1] == b"\x80" and len(beginning) == 2 else 0


def _other_archive(path: Path) -> str | None:
    """Say what a whole archive is that torch.save did not write, by the names in it, and what to do."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a few wrong bytes make it raise nearly any kind
        return None
    if any(name.endswith("/constants.pkl") for name in names):
        return "is a TorchScript program, not weights; save its state dict"
    if any(name.endswith(_PICKLE) for name in names):
        return None
    return f"is a zip archive of {shortened(names) or 'nothing'}, not of torch.save; save a state dict as .safetensors"


def _damaged(path: Path, key: str) -> ModelError:
    return ModelError(
        f"{key}: {path} ({path.stat().st_size} bytes) is truncated or damaged; delete it and download it again"
    )


def _refuse_other_types(weights: Weights, key: str, path: Path) -> None:
    for name, value in weights.items():
        if value.dtype not in _PRECISIONS and not name.endswith(_COUNTS):
            same = [other for other in weights if weights[other].dtype == value.dtype]
            raise ModelError(
                f"{key}: {path} holds {str(value.dtype).removeprefix('torch.')} in {shortened(same)}; weights are "
                "float16, bfloat16, float32 or float64, take a file that was not quantised"
            )


def _refuse_unfinite(weights: Weights, key: str, path: Path) -> None:
    unusable = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if unusable:
        raise ModelError(
            f"{key}: {path} holds NaN or infinity in {shortened(unusable)}; delete it and download it again"
        )


def _listed(kind: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    return [f"{len(names)} {kind}: {shortened(names)}"] if names else []
