"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from itertools import product
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.paper_comparison.paper_values import official_datasets
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.analyses.variance_spectrum.declaration import DECLARATION as VARIANCE_SPECTRUM

# Section 5 of arXiv 2401.00463: of the 200 features of highest variance, those that two data sets share.
_PAPER = {("ade20k", "cityscapes"): 196, ("cityscapes", "fair1m"): 192}


class VarianceOverlap(Analysis):
    """Asked for where there are two data sets with a variance spectrum."""

    shows = (
        Table(
            title="overlap of features of highest variance",
            section="variance of features",
            paper="features of highest variance that data sets share",
        ),
        Figure(title="overlap of features of highest variance", each_dataset=False),
    )
    rows = "results/models/{model}.{analysis}.parquet"
    minutes = 30

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        found = VARIANCE_SPECTRUM.datasets(config)
        return found if len(found) > 1 else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        return {"spectra": [f"results/{name}/variance_spectrum/{model}.parquet" for name in self.datasets(config)]}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {"features": config["variance_overlap"]["features"], "seed": config["seed"]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        paper = {
            " and ".join(sorted(names)): shared
            for adapters, shared in _PAPER.items()
            for names in product(*(official_datasets(config, adapter) for adapter in adapters))
        }
        return {"models": sorted(config["models"]), **({"paper": paper} if what.function == "table" else {})}


DECLARATION = VarianceOverlap()
