"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.datasets.annotations import IDENTITIES, annotations
from patchprobe.errors import suggestion
from patchprobe.models.registered import position_method


class FullImages(Analysis):
    """Asked for by the models and data sets that ``full_images`` names; shown beside their tiles."""

    shows = (
        Table(title="full images beside tiles", section="patch classification", paper="table 5"),
        Figure(title="full images beside tiles"),
    )
    searches = True
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        own = config["full_images"]
        with_maps = super().datasets(config)
        named = with_maps if own["datasets"] is None else [name for name in own["datasets"] if name in with_maps]
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

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        asked = [name for name in self.datasets(config) if name in set(datasets)]
        tiles = [
            f"results/{name}/patch_classification/{model}.clean.parquet"
            for name in asked
            for model in self.models(config)
        ]
        return {"rows": [*tiles, *self.files(config, asked)]}

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which names are of nothing, or of models without a position embedding to interpolate."""
        for part in ("models", "datasets"):
            for name in config["full_images"][part] or ():
                if name not in config[part]:
                    hint = suggestion(name, config[part], f"there are {', '.join(sorted(config[part]))}")
                    yield f"key full_images.{part} names {name}, which is not under {part}: {hint}"
        for name in config["full_images"]["datasets"] or ():
            if name not in config["datasets"] or name in super().datasets(config):
                continue
            if IDENTITIES not in annotations(config["datasets"][name]["adapter"], name):
                yield f"key full_images.datasets names {name}, whose images have neither label maps nor identities: take it out"
        for name in config["full_images"]["models"]:
            entry = config["models"].get(name, {})
            if entry.get("source") == "random":
                yield f"key full_images.models names {name}, whose random weights are those of one input size: take it out"
            if position_method(entry) == "gsd":
                yield (
                    f"key full_images.models names {name}, whose position embedding gsd is defined for square images and not "
                    "interpolated: take it out"
                )


DECLARATION = FullImages()
