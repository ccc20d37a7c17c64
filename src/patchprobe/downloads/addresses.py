"""Addresses that files can be fetched from.

Nothing here imports what fetches, because the workflow asks these questions on every parse.
"""

import os
import re
from urllib.parse import SplitResult, urlsplit

from patchprobe.errors import ConfigError, printable

HUB = re.compile(r"hf://(?P<datasets>datasets/)?(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+)")


def check_address(key: str, url: str) -> None:
    """Raise ConfigError naming ``key`` unless ``url`` is one that a file can be fetched from."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme == "file"
            or (parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0)
            or HUB.fullmatch(url) is not None
        )
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else parts.path
    except ValueError:
        # It may hold a password, and nobody can say where.
        good, shown = False, "the text given"
    if not good:
        raise ConfigError(
            f"{key}: {shown} is not an address; write https://…, file:///… or hf://<organisation>/<repository>/<file>"
        )


def mirrored(mirror: str, name: str) -> str:
    """Return the address of a file in the folder of files that the configuration's ``mirror`` is."""
    return f"{mirror.rstrip('/')}/{name}"


def without_secrets(address: str) -> str:
    """Return what messages and records show of an address: no name, password or query, since queries may hold
    signatures that are as good as a password."""
    parts: SplitResult = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}") + ("?…" if parts.query else "")


def is_offline() -> bool:
    """Tell whether nothing may be fetched but ``file://``: HF_HUB_OFFLINE is set, which the hub's own code heeds too."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
