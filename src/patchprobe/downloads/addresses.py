"""Addresses that files can be fetched from.

Nothing here imports what fetches, because the workflow asks these questions on every parse.
"""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from patchprobe.errors import ConfigError, printable

HUB = re.compile(r"hf://(?P<datasets>datasets/)?(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+)")
# What may stand between the second and the third slash of a file's address.
_HERE = ("", "localhost")


def check_address(key: str, url: str) -> None:
    """Raise ConfigError naming ``key`` unless ``url`` is one that a file can be fetched from."""
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.scheme == "file" else ""
        good = (
            (parts.scheme == "file" and host in _HERE)
            or (parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0)
            or HUB.fullmatch(url) is not None
        )
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else parts.path
    except ValueError:
        # It may hold a password, and nobody can say where.
        good, shown, host = False, "the text given", ""
    if host not in _HERE:
        raise ConfigError(
            f"{key}: {printable(shown)} names a machine, {printable(host)}, and file: is for files of this one: write three slashes, "
            f"file:///{printable(host + parts.path)}"
        )
    if not good:
        raise ConfigError(
            f"{key}: {shown} is not an address; write https://…, file:///… or hf://<organisation>/<repository>/<file>"
        )


def mirrored(mirror: str, name: str) -> str:
    """Return the address of a file in the folder of files that the configuration's ``mirror`` is."""
    return f"{mirror.rstrip('/')}/{name}"


def local_path(address: str) -> Path:
    """Return the path that a ``file:`` address is of."""
    return Path(url2pathname(urlsplit(address).path))


def check_mirror(mirror: str | None) -> None:
    """Raise ConfigError naming the key ``mirror`` if it is of this machine and no folder is there."""
    if mirror is None or not mirror.startswith("file:"):
        return
    folder = local_path(mirror)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise ConfigError(
            f"key mirror is {mirror}, but {folder} {what}: name the folder that has the files, or set mirror to null to ask their own "
            "addresses"
        )


def without_secrets(address: str) -> str:
    """Return what messages and records show of an address: no name, password or query, since queries may hold
    signatures that are as good as a password."""
    parts: SplitResult = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}") + ("?…" if parts.query else "")


def is_offline() -> bool:
    """Tell whether nothing may be fetched but ``file://``: HF_HUB_OFFLINE is set, which the hub's own code heeds too."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
