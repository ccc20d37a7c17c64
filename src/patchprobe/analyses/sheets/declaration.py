"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs, kinds_of, view_name, views
from patchprobe.analyses.shown import Figure, Shown
from patchprobe.datasets.annotations import LABEL_MAPS, annotations


class Sheets(Analysis):
    """Shows stores; measures nothing. Of any data set under corruptions, of one with label maps its segmentations."""

    needs: ClassVar[frozenset[str]] = frozenset()

    shows = (
        Figure(title="corruptions", function="corruption_sheet", file="corruptions", category="Sheets"),
        Figure(
            title="segmentations",
            function="segmentation_sheet",
            file="segmentations",
            category="Sheets",
            paper="figure 13",
        ),
    )

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        if what.function == "corruption_sheet":
            return [name for name in self.datasets(config) if kinds_of(config, name)]
        entries = config["datasets"]
        return [name for name in self.datasets(config) if LABEL_MAPS in annotations(entries[name]["adapter"], name)]

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        (dataset,) = datasets
        folder = f"results/{dataset}"
        labels = {"labels": f"{folder}/labels.zarr"}
        if what.function == "corruption_sheet":
            versions = ("clean", *kinds_of(config, dataset))
            return {"tiles": [f"{folder}/tiles/{version}.zarr" for version in versions], **labels}
        predictions = [f"{folder}/predictions/{view_name(*view)}/clean.zarr" for view in views(config)]
        return {"tiles": f"{folder}/tiles/clean.zarr", "predictions": predictions, **labels}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        models = {"models": [" ".join(view).strip() for view in views(config)]}
        own = models if what.function == "segmentation_sheet" else {}
        return {**own, "images": config["report"]["images"]}


DECLARATION = Sheets()
