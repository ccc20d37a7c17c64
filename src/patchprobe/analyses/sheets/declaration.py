"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs, view_name, views
from patchprobe.analyses.shown import Figure, Shown


class Sheets(Analysis):
    """Shows stores; measures nothing."""

    shows = (
        Figure(title="corruptions", function="corruption_sheet", file="corruptions", category="Sheets"),
        Figure(title="segmentations", function="segmentation_sheet", file="segmentations", category="Sheets"),
    )

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        if what.function == "corruption_sheet" and not config["corruptions"]:
            return []
        return self.datasets(config)

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        (dataset,) = datasets
        folder = f"results/{dataset}"
        labels = {"labels": f"{folder}/labels.zarr"}
        if what.function == "corruption_sheet":
            return {"tiles": [f"{folder}/tiles/{version}.zarr" for version in _versions(config)], **labels}
        predictions = [f"{folder}/predictions/{view_name(*view)}/clean.zarr" for view in views(config)]
        return {"tiles": f"{folder}/tiles/clean.zarr", "predictions": predictions, **labels}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        corrupted = what.function == "corruption_sheet"
        own = {"versions": _versions(config)} if corrupted else {"models": [" ".join(v).strip() for v in views(config)]}
        return {**own, "images": config["report"]["images"]}


def _versions(config: Config) -> list[str]:
    return ["clean", *sorted(config["corruptions"])]


DECLARATION = Sheets()
