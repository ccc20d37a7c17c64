"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Shown, Table


class DataSets(Analysis):
    """Shows stores; measures nothing. Predictions say on which patch grids a data set was evaluated."""

    shows = (Table(title="data sets", section="data sets", function="datasets_table", file="datasets"),)

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        folders = [f"results/{name}" for name in datasets]
        return {
            "images": [f"{folder}/images.csv" for folder in folders],
            "classes": [f"{folder}/classes.csv" for folder in folders],
            "labels": [f"{folder}/labels.zarr" for folder in folders],
            "predictions": [
                f"{folder}/predictions/{model}/clean.zarr" for folder in folders for model in self.models(config)
            ],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {"datasets": self.datasets(config)}


DECLARATION = DataSets()
