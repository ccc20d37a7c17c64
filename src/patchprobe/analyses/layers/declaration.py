"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config
from patchprobe.analyses.shown import Figure, Shown, Table


class Layers(Analysis):
    """Asked for where the tokens of all blocks of clean tiles are kept."""

    shows = (
        Table(title="layer by layer", section="patch classification"),
        Figure(title="layer by layer", paper="1-NN layer by layer"),
    )
    searches = True
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["extraction"]["layers"]["clean"] == "all" else []

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {
            **super().options(config, dataset, model),
            **{key: config["layers"][key] for key in ("easy_classes", "every")},
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = {"easy_classes": config["layers"]["easy_classes"]} if what.function == "table" else {}
        return {**super().notes(config, what), **own}


DECLARATION = Layers()
