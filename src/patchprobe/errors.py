"""The errors a user can cause; each message names the file or config key at fault and the remedy."""

from patchprobe.foreign import printable


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


class StoreError(PatchprobeError):
    """A store is incomplete, does not match its manifest, or cannot be written."""


class DeviceError(PatchprobeError):
    """The device asked for is not there."""
