"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs


class FullImages(Analysis):
    """Asked for by the models and data sets that ``full_images`` names; shown beside their tiles."""

    title = "full images beside tiles"
    section = "patch classification"
    searches = True
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        own = config["full_images"]
        named = super().datasets(config) if own["datasets"] is None else own["datasets"]
        return sorted(named) if own["models"] else []

    def models(self, config: Config) -> list[str]:
        """See Analysis."""
        return [name for name in super().models(config) if name in config["full_images"]["models"]]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        folder = f"results/{dataset}/full_images"
        return {"tokens": f"{folder}/features/{model}/clean.zarr", "labels": f"{folder}/labels.zarr"}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        more = {"linear": config["patch_classification"]["linear"], "probe": config["models"][model]["probe"]}
        return {**super().options(config, dataset, model), **more}

    def shown(self, config: Config, datasets: Iterable[str]) -> list[str]:
        """See Analysis."""
        asked = [name for name in self.datasets(config) if name in set(datasets)]
        tiles = [
            f"results/{name}/patch_classification/{model}.clean.parquet"
            for name in asked
            for model in self.models(config)
        ]
        return [*tiles, *self.files(config, asked)]


DECLARATION = FullImages()
