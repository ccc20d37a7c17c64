"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.analyses.variance_spectrum.declaration import DECLARATION as VARIANCE_SPECTRUM
from patchprobe.tokens.variant_kinds import OF_BLACK

_BLOCKS = "removal_blocks_figure"


class RemovalStability(Analysis):
    """Asked for where there are two data sets whose features are judged, or several blocks; a job has all data sets of a model."""

    shows = (
        Table(title="stability of removals", section="variance of features"),
        Figure(title="stability of removals between data sets", each_dataset=False),
        Figure(title="stability of removals between blocks", function=_BLOCKS, file="removal_blocks"),
    )
    rows = "results/models/{model}.{analysis}.parquet"

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        found = VARIANCE_SPECTRUM.datasets(config)
        several = len(found) > 1 or config["extraction"]["layers"]["clean"] == "all"
        return found if several and config["removal_stability"]["removals"] else []

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        asked = self.datasets(config)
        if what.function == _BLOCKS:
            return asked if config["extraction"]["layers"]["clean"] == "all" else []
        return asked if isinstance(what, Table) or len(asked) > 1 else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        names = self.datasets(config)
        needed = OF_BLACK & set(config["removal_stability"]["removals"])
        return {
            "tokens": [f"results/{name}/features/{model}/clean.zarr" for name in names],
            "labels": [f"results/{name}/labels.zarr" for name in names],
            "black": [f"results/{name}/black/{model}.zarr" for name in names] if needed else [],
        }

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = config["removal_stability"]
        return {"datasets": self.datasets(config), **own, "seed": config["seed"]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {"models": sorted(config["models"]), "removals": config["removal_stability"]["removals"]}


DECLARATION = RemovalStability()
