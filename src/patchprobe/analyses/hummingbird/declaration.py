"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config


class Hummingbird(Analysis):
    """Asked for where it is enabled."""

    searches = True
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["hummingbird"]["enabled"] else []

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = {key: value for key, value in config["hummingbird"].items() if key != "enabled"}
        return {**super().options(config, dataset, model), **own}


DECLARATION = Hummingbird()
