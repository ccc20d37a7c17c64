"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Page, Shown
from patchprobe.files import file_sha256
from patchprobe.report.page_files import page_files


class Explorer(Analysis):
    """Of each data set whose tiles are learnt from; the page has no more images than fit."""

    shows = (Page(title="explorer"),)
    rows = "results/{dataset}/{analysis}/{model}.csv"
    also: ClassVar[Mapping[str, str]] = {"neighbors": "json"}
    searches = True

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        if not config["explorer"]["enabled"]:
            return []
        return [name for name in super().datasets(config) if "train" in config["datasets"][name]["splits"]]

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = {key: value for key, value in config["explorer"].items() if key != "enabled"}
        return {**own, "variants": config["models"][model]["variants"]}

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        (dataset,) = datasets
        folder = f"results/{dataset}"
        return {
            "neighbors": self.files(config, [dataset], suffix=self.also["neighbors"]),
            "tiles": f"{folder}/tiles/clean.zarr",
            "labels": f"{folder}/labels.zarr",
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis; the page is made anew when its look or its script is another."""
        own = config["explorer"]
        look = [file_sha256(path) for path in page_files(self.folder)]
        return {"images": own["images"], "tiles_of_image": own["tiles"], "look": look}


DECLARATION = Explorer()
