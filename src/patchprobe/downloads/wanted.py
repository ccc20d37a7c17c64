"""A file that is wanted: where it belongs, where it can be had, and how it is known to be the right one."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from patchprobe.downloads.addresses import without_secrets
from patchprobe.errors import DownloadError

# What hashlib calls the digests that publishers of data and weights give.
KINDS = ("md5", "sha1", "sha256")


@dataclass(frozen=True)
class Keys:
    """What messages name: the keys at which a user says the address, the digest of each kind, the place and the root folder of
    a file; ``correct``, what to correct if a digest of that kind is another, and ``unchecked``, what to do where none is known."""

    address: str
    digest: Mapping[str, str]
    place: str
    root: str
    correct: Mapping[str, str]
    unchecked: str


@dataclass(frozen=True)
class Difference:
    """A digest that is not as it has to be: its name and kind, what was expected, and what was found."""

    name: str
    kind: str
    expected: str
    found: str


@dataclass(frozen=True)
class Wanted:
    """A file with its addresses, the first one first.

    ``digests`` are in hexadecimal by kind (md5, sha1, sha256), whole or their first digits; ``size`` is in bytes.
    ``content`` says what kind of file is wanted, and ``foreign`` what a file is, by its first bytes, if it is of another
    kind, else nothing. ``own`` is the publisher's address where a mirror is asked in its place, for messages.
    """

    keys: Keys
    path: Path
    addresses: tuple[str, ...]
    digests: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    content: str = "the file"
    foreign: Callable[[bytes], str] = lambda beginning: ""
    own: str | None = None

    def differs(self, found: Mapping[str, str]) -> Difference | None:
        """Return the first digest that is not as it has to be; None if all are."""
        for kind, expected in self.digests.items():
            if not found[kind].startswith(expected.lower()):
                name = self.keys.digest[kind]
                shown = "" if kind == "sha256" or name.endswith(kind) else f"{kind} "
                return Difference(name, kind, f"{shown}{expected}", f"{shown}{found[kind]}")
        return None

    @property
    def origin(self) -> str:
        """The first address, and the publisher's own, as messages show them; empty without any."""
        return " or ".join(without_secrets(a) for a in dict.fromkeys((*self.addresses[:1], self.own)) if a)

    @property
    def by_hand(self) -> str:
        """What to put where if the file cannot be fetched."""
        origin = f"get {self.origin} elsewhere" if self.origin else "get it"
        known = [f"{kind} {digest}" for kind, digest in self.digests.items()]
        known += [f"{self.size} bytes"] if self.size else []
        facts = f" ({', '.join(known)})" if known else ""
        return f"{origin} and put it into the folder {self.path.parent.resolve()} as {self.path.name}{facts}"

    @property
    def record(self) -> Path:
        """The file beside it that says where it came from."""
        return record_of(self.path)


def record_of(path: Path) -> Path:
    """Return the file beside a fetched one that says where it came from."""
    return path.with_name(f"{path.name}.fetched.json")


def first_sha256(path: Path) -> str | None:
    """Return the SHA-256 that a file had when it was first fetched, or None if it was not; raises DownloadError if the record
    of that is damaged, for then nobody knows whether it is the same file."""
    record = record_of(path)
    try:
        found = json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found):
        return found
    raise DownloadError(
        f"{record} does not say which SHA-256 {path.name} had when it was fetched, so it is damaged: restore it or, if {path.name} is "
        "the file you want, remove it"
    )
