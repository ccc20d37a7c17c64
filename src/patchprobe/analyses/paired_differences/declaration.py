"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs, view_name, views
from patchprobe.analyses.shown import Shown, Table


class PairedDifferences(Analysis):
    """Of each data set, between all models and variants, where there are two."""

    shows = (Table(title="paired differences", section="patch classification"),)
    rows = "results/{dataset}/{analysis}.csv"

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        asked = config["paired_differences"]["enabled"] and len(views(config)) > 1
        return super().datasets(config) if asked else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        stores = [f"results/{dataset}/predictions/{view_name(*view)}/clean.zarr" for view in views(config)]
        return {"predictions": stores, "labels": f"results/{dataset}/labels.zarr"}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {**super().options(config, dataset, model), "views": views(config)}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {"interval": config["patch_classification"]["bootstrap"]["level"]}


DECLARATION = PairedDifferences()
