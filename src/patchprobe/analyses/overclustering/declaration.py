"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.tokens.variant_kinds import OF_BLACK, taken_by


class Overclustering(Analysis):
    """Asked for where numbers of clusters are named; removes as many features as global context."""

    shows = (
        Table(title="overclustering", section="variance of features"),
        Figure(title="overclustering"),
    )
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["overclustering"]["clusters"] else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        needed = OF_BLACK & set(config["overclustering"]["removals"])
        black = [f"results/{dataset}/black/{model}.zarr"] if needed else []
        return {**super().inputs(config, dataset, model), "black": black}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = config["overclustering"]
        return {
            **super().options(config, dataset, model),
            **own,
            "removals": taken_by(own["removals"]),
            "part": config["global_context"]["features"],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = config["overclustering"]
        stated = ("components", "seeds", "restarts", "iterations", "points_per_cluster", "mask")
        more = {key: own[key] for key in stated} if isinstance(what, Table) else {}
        return {**super().notes(config, what), "removals": taken_by(own["removals"]), **more}


DECLARATION = Overclustering()
