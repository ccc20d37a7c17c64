"""The errors a user can cause; each message names the file or config key at fault and the remedy."""


class PatchprobeError(Exception):
    """Base of every error that is shown to the user as one message, without a traceback."""


class ConfigError(PatchprobeError):
    """A config key is unknown, missing or has a value that cannot be used."""


class DataError(PatchprobeError):
    """A file of a data set is missing, broken or contradicts its data set."""


class ModelError(PatchprobeError):
    """A model cannot be built, its checkpoint does not fit, or its tokens are unusable."""


class StoreError(PatchprobeError):
    """A store is incomplete, does not match its manifest, or cannot be written."""


class DeviceError(PatchprobeError):
    """The device asked for is not there."""
