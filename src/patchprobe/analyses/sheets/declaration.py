"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs, kinds_of, view_name, views
from patchprobe.analyses.shown import Figure, Shown
from patchprobe.datasets.annotations import LABEL_MAPS, annotations
from patchprobe.errors import suggestion

_MOST = 4  # models on a sheet of segmentations, unless they are named


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
        names = [view_name(*view) for view in self._views(config)]
        return {
            "tiles": f"{folder}/tiles/clean.zarr",
            **labels,
            "predictions": [f"{folder}/predictions/{name}/clean.zarr" for name in names],
            "rows": [f"{folder}/patch_classification/{name}.clean.parquet" for name in names],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        report = config["report"]
        if what.function == "corruption_sheet":
            return {"images": report["images"]}
        models = [" ".join(view).strip() for view in self._views(config)]
        most = len(models) if report["models"] else _MOST
        return {"models": models, "most": most, "methods": report["methods"], "images": report["images"]}

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which names are of no model or variant."""
        known = [view_name(*view) for view in views(config)]
        for name in config["report"]["models"] or ():
            if name not in known:
                hint = suggestion(name, known, f"there are {', '.join(known)}")
                yield f"key report.models names {name}, which is not under models: {hint}"

    def _views(self, config: Config) -> list[tuple[str, str]]:
        """Return the models and variants that segmentations may be shown of: those that are named, or all models."""
        every = {view_name(*view): view for view in views(config)}
        named = config["report"]["models"]
        return [every[name] for name in named] if named else [view for view in every.values() if not view[1]]


DECLARATION = Sheets()
