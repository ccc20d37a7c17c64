"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.global_context.paper import PAPER_CLASSES
from patchprobe.analyses.shown import Figure, Shown, Table


class GlobalContext(Analysis):
    """Asked for where classes are named; takes the variance of features from its own analysis."""

    shows = (Table(title="global context", section="global context", paper="table 6"), Figure(title="global context"))

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["global_context"]["classes"] != [] else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        variances = f"results/{dataset}/variance_spectrum/{model}.parquet"
        return {**super().inputs(config, dataset, model), "variances": variances}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = config["global_context"]
        more = {"classes": own["classes"], "part": own["features"], "penalties": own["penalties"]}
        return {**super().options(config, dataset, model), **more}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = {"classes": config["global_context"]["classes"] or PAPER_CLASSES} if what.function == "table" else {}
        return {**super().notes(config, what), **own}


DECLARATION = GlobalContext()
