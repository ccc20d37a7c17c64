"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config
from patchprobe.analyses.shown import Figure, Table


class RemovalSweep(Analysis):
    """Asked for where numbers of features are given."""

    shows = (
        Table(title="removal sweep", section="variance of features"),
        Figure(title="removal sweep", paper="1-NN without the features of highest variance"),
    )
    searches = True
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["removal_sweep"]["features"] else []

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own, linear = config["removal_sweep"], config["patch_classification"]["linear"]
        return {
            **super().options(config, dataset, model),
            "features": own["features"],
            "linear": {**linear, "steps": own["steps"] or linear["steps"]},
            "probe": config["models"][model]["probe"],
        }


DECLARATION = RemovalSweep()
