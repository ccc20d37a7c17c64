"""Folders that a configuration names below a root, which it does not leave."""

import os
from pathlib import Path

from patchprobe.errors import ConfigError


def is_below(path: Path, root: Path) -> bool:
    """Tell whether ``path`` is ``root`` or lies below it, by text alone: links may lead elsewhere."""
    return Path(os.path.normpath(Path.cwd() / path)).is_relative_to(os.path.normpath(Path.cwd() / root))


def folder_below(key: str, given: str, root: Path) -> Path:
    """Return the folder ``given`` relative to ``root``, whether it is there or not.

    Raises ConfigError naming ``key`` if the path leads out of ``root``, also if it is absolute.
    """
    path = root / given
    if not is_below(path, root):
        raise ConfigError(
            f"{key}: {given} lies outside {root}; put the folder there, or link it, and name it from there"
        )
    return path
