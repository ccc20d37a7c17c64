"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs, black_tokens, kinds_of
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.datasets.annotations import BOXES


class PatchRetrieval(Analysis):
    """Of data sets with boxes, under all their corruptions; a job has all variants of a model."""

    needs: ClassVar[frozenset[str]] = frozenset({BOXES})
    shows = (
        Table(title="patch retrieval", section="patch retrieval"),
        Figure(
            title="outcomes of retrieval",
            function="retrieval_outcomes_figure",
            file="retrieval_outcomes",
            paper="figures 5, 6 and 11",
        ),
        Figure(
            title="retrieval by level",
            function="retrieval_levels_figure",
            file="retrieval_levels",
            paper="figures 5, 6 and 11",
        ),
        Figure(
            title="retrieved patches", function="retrieval_gallery_sheet", file="retrieval_gallery", category="Sheets"
        ),
    )
    corrupted: ClassVar[bool] = True
    within_tiles: ClassVar[bool] = True
    also: ClassVar[Mapping[str, str]] = {"examples": "examples.csv"}
    searches = True
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["patch_retrieval"]["enabled"] else []

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        asked = self.datasets(config)
        # Clean tiles alone have no levels, and no misses to show.
        return [name for name in asked if kinds_of(config, name) or isinstance(what, Table)]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        folder, kinds = f"results/{dataset}", kinds_of(config, dataset)
        return {
            **super().inputs(config, dataset, model),
            "corrupted": [f"{folder}/features/{model}/{kind}.zarr" for kind in kinds],
            "clean": f"{folder}/tiles/clean.zarr",
            "tiles": [f"{folder}/tiles/{kind}.zarr" for kind in kinds],
            "black": black_tokens(config, dataset, model),
        }

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = {key: value for key, value in config["patch_retrieval"].items() if key != "enabled"}
        return {**super().options(config, dataset, model), **own, "variants": config["models"][model]["variants"]}

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        if what.function != "retrieval_gallery_sheet":
            return {"rows": self.files(config, datasets)}
        (dataset,) = datasets
        folder = f"results/{dataset}"
        versions = ("clean", *kinds_of(config, dataset))
        return {
            "examples": self.files(config, [dataset], suffix=self.also["examples"]),
            "tiles": [f"{folder}/tiles/{version}.zarr" for version in versions],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = {"near": config["patch_retrieval"]["near"]} if what.function == "table" else {}
        gallery = (
            {"examples_of_each": config["patch_retrieval"]["examples"]}
            if what.function == "retrieval_gallery_sheet"
            else {}
        )
        return {**super().notes(config, what), **own, **gallery}


DECLARATION = PatchRetrieval()
