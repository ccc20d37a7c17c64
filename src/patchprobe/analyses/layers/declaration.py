"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config


class Layers(Analysis):
    """Asked for where the tokens of all blocks of clean tiles are kept."""

    title = "layer by layer"
    section = "patch classification"
    searches = True
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["extraction"]["layers"]["clean"] == "all" else []

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {**super().options(config, dataset, model), "easy_classes": config["layers"]["easy_classes"]}

    def notes(self, config: Config) -> dict[str, Any]:
        """See Analysis."""
        return {**super().notes(config), "easy_classes": config["layers"]["easy_classes"]}


DECLARATION = Layers()
