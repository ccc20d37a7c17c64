"""The errors a user can cause; each message names the file or config key at fault and the remedy.

Text that others wrote (servers, files of weights, data sets) is made fit to be shown in a terminal or on a page: a
terminal obeys some characters and hides others, and a line break can begin what looks like a message of ours.
"""

import difflib
from collections.abc import Iterable, Sequence


class PatchprobeError(Exception):
    """Base of every error that is shown to the user as one message, without a traceback.

    Its text may hold names from files and servers; nothing in it can drive a terminal or begin a new line.
    """

    _kept = ""

    def __str__(self) -> str:
        return printable(super().__str__(), keep=self._kept)


class ConfigError(PatchprobeError):
    """A config key is unknown, missing or has a value that cannot be used."""

    # A message may list several keys, one a line.
    _kept = "\n"


class DataError(PatchprobeError):
    """A file of a data set is missing, broken or contradicts its data set."""


class ModelError(PatchprobeError):
    """A model cannot be built, its checkpoint does not fit, or its tokens are unusable."""


class DownloadError(PatchprobeError):
    """A file cannot be fetched or unpacked, or is not the right one."""


class StoreError(PatchprobeError):
    """A store is incomplete, does not match its manifest, or cannot be written."""


class StorageError(StoreError):
    """Object storage does not answer or refuses, so that nothing can be said of what lies there."""


class DeviceError(PatchprobeError):
    """The device asked for is not there."""


def printable(text: str, *, keep: str = "") -> str:
    """Return text with everything but printable characters and those of ``keep`` written as Python escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shown(text: object, limit: int = 200) -> str:
    """Return :func:`printable` text of at most ``limit`` characters, the middle of a longer one left out."""
    # Cut first: the whole may be of any length.
    whole = str(text)
    written = printable(whole[:limit] if len(whole) <= limit else f"{whole[: limit // 2]}…{whole[-(limit // 2) :]}")
    return written if len(written) <= limit else f"{written[: limit // 2 - 1]}…{written[-(limit // 2) :]}"


def suggestion(
    given: object, known: Iterable[object], otherwise: str = "", *, prefix: str = "", cutoff: float = 0.6
) -> str:
    """Return ``did you mean <prefix><the nearest of known>?``, or ``otherwise`` if none is near."""
    near = difflib.get_close_matches(str(given), map(str, known), n=1, cutoff=cutoff)
    return f"did you mean {prefix}{near[0]}?" if near else otherwise


def several(errors: Sequence[object], what: str, first: int = 10) -> str:
    """Return one message of many that say ``what``, such as ``files are wrong``: their number and the first of them."""
    if len(errors) == 1:
        return str(errors[0])
    more = f"; and {len(errors) - first} more" if len(errors) > first else ""
    return f"{len(errors)} {what}: " + "; ".join(f"({i}) {e}" for i, e in enumerate(errors[:first], 1)) + more
