"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config


class Capi(Analysis):
    """Asked for where it is enabled; says which setting it chose."""

    also: ClassVar[Mapping[str, str]] = {"setting": "json"}
    searches = True
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["capi"]["enabled"] else []

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = {key: value for key, value in config["capi"].items() if key != "enabled"}
        return {**super().options(config, dataset, model), **own}


DECLARATION = Capi()
