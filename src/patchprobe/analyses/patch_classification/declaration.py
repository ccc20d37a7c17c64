"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs, kinds_of, view_name, views
from patchprobe.analyses.shown import Figure, Shown, Table


class PatchClassification(Analysis):
    """Of every model and variant, on clean tiles and under every corruption; rules of its own make the measurements."""

    shows = (
        Table(title="patch classification", section="patch classification", paper="table 2"),
        Figure(title="clean scores", function="clean_scores_figure", file="clean_scores", each_dataset=False),
        Figure(title="robustness", function="robustness_figure", file="robustness", paper="robustness to corruptions"),
        Figure(title="IoU per class", function="class_iou_figure", file="class_iou"),
    )
    corrupted = True

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        asked = self.datasets(config)
        return [name for name in asked if kinds_of(config, name)] if what.function == "robustness_figure" else asked

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        names = [name for name in self.datasets(config) if name in set(datasets)]
        if what.function == "clean_scores_figure":
            return {"rows": self.clean_files(config, names)}
        if what.function == "class_iou_figure":
            return {"rows": self.clean_files(config, names), "classes": f"results/{names[0]}/classes.csv"}
        own = {"classes": [f"results/{name}/classes.csv" for name in names]} if what.function == "table" else {}
        return {"rows": self.files(config, names), **own}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = {"datasets": self.datasets(config)} if what.function == "table" else {}
        return {**super().notes(config, what), **own}

    def files(
        self,
        config: Config,
        datasets: Iterable[str] | None = None,
        models: Iterable[str] | None = None,
        suffix: str = "",
    ) -> list[str]:
        """Return all measurements of some data sets and models, of variants and under corruptions too."""
        asked = [name for name in self.datasets(config) if datasets is None or name in set(datasets)]
        own = set(config["models"] if models is None else models)
        return [
            f"results/{dataset}/patch_classification/{view_name(*view)}.{version}.parquet"
            for dataset in asked
            for view in views(config)
            if view[0] in own
            for version in ("clean", *kinds_of(config, dataset))
        ]

    def clean_files(self, config: Config, datasets: Iterable[str]) -> list[str]:
        """Return the measurements of clean tiles alone."""
        return [file for file in self.files(config, datasets) if file.endswith(".clean.parquet")]


DECLARATION = PatchClassification()
