"""Whether two folders of results are the same, byte for byte."""

import hashlib
from pathlib import Path


def digests(results: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path in it; hidden files and folders are the library's notes."""
    found = {}
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found["/".join(parts)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(results: Path, right: dict[str, str], *, before: dict[str, str] | None = None) -> list[str]:
    """What a folder of results has otherwise than ``right``, a line each.

    Files that nobody wants any more may stay as they were ``before``.
    """
    found, allowed = digests(results), set((before or {}).items())
    lines = [f"missing: {name}" for name in sorted(right.keys() - found.keys())]
    lines += [f"other bytes: {name}" for name in sorted(right.keys() & found.keys()) if right[name] != found[name]]
    extra = found.keys() - right.keys()
    return lines + [f"not expected: {name}" for name in sorted(extra) if (name, found[name]) not in allowed]
