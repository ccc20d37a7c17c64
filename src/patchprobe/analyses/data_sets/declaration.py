"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.paper_comparison.paper_values import official_datasets
from patchprobe.analyses.shown import Shown, Table

# Table 3 of arXiv 2401.00463: pixels of the 295 tiles, and patches on both grids.
_PAPER = {
    name: dict(zip(("pixels", "patches_14x14", "patches_16x16"), numbers, strict=True))
    for name, numbers in {
        "background": (13305235, 51970, 67897),
        "Boeing737": (36151, 139, 183),
        "A220": (42522, 159, 220),
        "airplane": (554797, 2171, 2818),
        "ship": (397209, 1560, 2011),
        "vehicle": (124185, 500, 637),
        "court": (268491, 1043, 1370),
        "road": (152003, 576, 787),
    }.items()
}


class DataSets(Analysis):
    """Shows stores of any data set; measures nothing. The cards of models say on which patch grids it was evaluated."""

    needs: ClassVar[frozenset[str]] = frozenset()

    shows = (
        Table(title="data sets", section="data sets", function="datasets_table", file="datasets", paper="table 3"),
    )

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        folders = [f"results/{name}" for name in datasets]
        return {
            "images": [f"{folder}/images.csv" for folder in folders],
            "classes": [f"{folder}/classes.csv" for folder in folders],
            "labels": [f"{folder}/labels.zarr" for folder in folders],
            "cards": [f"{folder}/features/{model}/card.json" for folder in folders for model in self.models(config)],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {
            "datasets": self.datasets(config),
            "paper": dict.fromkeys(official_datasets(config, "fair1m"), _PAPER),
        }


DECLARATION = DataSets()
