"""Checkpoints as files: where they lie, and what their first bytes say they are.

Nothing here imports torch, because the workflow asks these questions on every parse.
"""

import io
import os
import pickletools
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from patchprobe.downloads.contents import BEGINNING, as_text, is_web_page
from patchprobe.errors import ConfigError, ModelError, suggestion
from patchprobe.files import is_below

Format = Literal["safetensors", "zip", "legacy"]


# What the package brings along.
WEIGHTS = Path(__file__).parents[2] / "weights"

_PACKAGED = "package:"
_LAYOUTS = Path(__file__).parents[1] / "layouts"
# torch.serialization.MAGIC_NUMBER as a pickle writes it, in the format of torch.save before 1.6
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19"
# longest header of the safetensors format
_LONGEST_HEADER = 100_000_000


def checkpoint_name(entry: Mapping[str, Any]) -> str:
    """Return the file that a model's entry names, below checkpoint_root, as short as can be; empty if there is none.

    Files that the package brings along are no such files. By text alone: links in the folder may lead elsewhere.
    """
    file = str(entry.get("checkpoint") or "")
    return "" if not file or file.startswith(_PACKAGED) else normalised(file)


def packaged_curve(entry: Mapping[str, Any]) -> Path | None:
    """Return the loss curve of a model whose weights the package brings along, or None if there is none."""
    file = normalised(str(entry.get("checkpoint") or ""))
    if not file.startswith(_PACKAGED):
        return None
    curve = (WEIGHTS / file.removeprefix(_PACKAGED)).with_suffix(".csv")
    return curve if curve.is_file() else None


def normalised(file: str) -> str:
    """Return ``models.<name>.checkpoint`` in its shortest form, so that one file has one name."""
    if file.startswith(_PACKAGED):
        return _PACKAGED + os.path.normpath(file.removeprefix(_PACKAGED))
    return os.path.normpath(file)


def checkpoint_path(name: str, entry: Mapping[str, Any], checkpoint_root: Path) -> Path:
    """Return the file that ``models.<name>.checkpoint`` names, whether it is there or not.

    That is a path relative to ``checkpoint_root``, or ``package:<file>`` for weights that the package brings along.
    Raises ModelError naming the key if the path leads out of its folder.
    """
    given = str(entry["checkpoint"])
    file = normalised(given)
    root = WEIGHTS if file.startswith(_PACKAGED) else Path(checkpoint_root)
    path = root / file.removeprefix(_PACKAGED)
    if not is_below(path, root):
        raise ModelError(
            f"models.{name}.checkpoint: {given} lies outside {root}; put the file there, or link it, and name it from there"
        )
    return path


def format_of(beginning: bytes) -> Format | None:
    """Return the format of weights that a file's first bytes are of, or None if they are of none."""
    if beginning.startswith(b"PK\x03\x04"):
        return "zip"
    if beginning.startswith(b"\x80") and _LEGACY in beginning[:32]:
        return "legacy"
    if beginning[8:9] == b"{" and 2 <= int.from_bytes(beginning[:8], "little") <= _LONGEST_HEADER:
        return "safetensors"
    return None


def stranger(beginning: bytes) -> str | None:
    """Say what a file is whose first bytes are those of no weights; None if they are, or of nothing that is known."""
    if not beginning:
        return "empty"
    if format_of(beginning):
        return None
    if beginning.startswith(b"\x1f\x8b"):
        return _packed(beginning)
    if beginning[257:262] == b"ustar":
        return "a tar archive"
    if is_web_page(beginning):
        return "a web page"
    if beginning.startswith(b"version https://git-lfs"):
        return "a git LFS pointer"
    if _is_pickle(beginning):
        return "a pickle of Python objects that torch.save did not write"
    text = as_text(beginning)
    if text is None:
        return None
    shown = repr(text.strip()[:60])
    return f"JSON ({shown})" if text.lstrip().startswith(("{", "[")) else f"text ({shown})"


def layout_names() -> list[str]:
    """Return the names of all layouts, sorted: the modules of ``patchprobe.models.layouts``."""
    return sorted(file.stem.replace("_", "-") for file in _LAYOUTS.glob("[!_]*.py"))


def check_layout(key: str, name: str) -> None:
    """Raise ConfigError naming ``key`` and the nearest layout if there is none called ``name``."""
    known = layout_names()
    if name not in known:
        hint = suggestion(name, known)
        raise ConfigError(f"{key}: unknown layout {name!r}; {hint} Known: {', '.join(known)}")


def _packed(beginning: bytes) -> str:
    try:
        inside = zlib.decompressobj(31).decompress(beginning, BEGINNING)
    except zlib.error:
        return "packed with gzip"
    return f"packed with gzip ({stranger(inside) or 'unpack it'})"


def _is_pickle(beginning: bytes) -> bool:
    """Tell a pickle by its first opcode, or one of the old protocols, which are text, if it is there to its end."""
    if beginning[:1] == b"\x80":
        return beginning[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    try:
        return sum(1 for _ in pickletools.genops(io.BytesIO(beginning))) > 1
    except Exception:  # whatever text makes of opcodes
        return False
