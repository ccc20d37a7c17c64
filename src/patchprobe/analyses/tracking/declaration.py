"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs, black_tokens
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.datasets.annotations import IDENTITIES

_FULL, _STRIPS = "tracking_full_frames_figure", "tracking_strips_sheet"


class Tracking(Analysis):
    """Of data sets with identities; a job has all variants of a model, on tiles and, where it sees them, on full frames."""

    needs: ClassVar[frozenset[str]] = frozenset({IDENTITIES})
    shows = (
        Table(title="tracking", section="tracking", paper="tracking, subset of four videos"),
        Figure(title="tracking by distance in time", paper="tracking by frames"),
        Figure(
            title="tracking on tiles and full frames", function=_FULL, file="tracking_full_frames", paper="figure 12"
        ),
        Figure(title="objects followed", function=_STRIPS, file="tracking_strips", category="Sheets"),
    )
    also: ClassVar[Mapping[str, str]] = {"examples": "examples.csv"}
    minutes = 480

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["tracking"]["enabled"] else []

    def full_frames(self, config: Config, dataset: str) -> list[str]:
        """Return the models that see full frames of a data set too, as ``full_images`` says."""
        own = config["full_images"]
        asked = own["datasets"] is None or dataset in own["datasets"]
        return [name for name in self.models(config) if asked and name in own["models"]]

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        return [name for name in self.datasets(config) if what.function != _FULL or self.full_frames(config, name)]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        folder = f"results/{dataset}"
        whole = model in self.full_frames(config, dataset)
        return {
            "tokens": f"{folder}/features/{model}/clean.zarr",
            "full_frames": [f"{folder}/full_images/features/{model}/clean.zarr"] if whole else [],
            "images": f"{folder}/images.csv",
            "objects": f"{folder}/objects.csv",
            "black": black_tokens(config, dataset, model),
            "black_full_frames": black_tokens(config, f"{dataset}/full_images", model) if whole else [],
        }

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = {key: config["tracking"][key] for key in ("frames", "seconds", "distance", "sizes", "variance_frames")}
        return {**super().options(config, dataset, model), **own, "variants": config["models"][model]["variants"]}

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        if isinstance(what, Table):
            return {"rows": self.files(config, datasets)}
        (dataset,) = datasets
        if what.function != _STRIPS:
            models = self.full_frames(config, dataset) if what.function == _FULL else None
            return {"rows": self.files(config, [dataset], models)}
        folder = f"results/{dataset}"
        examples = self.files(config, [dataset], suffix=self.also["examples"])
        return {"examples": examples, "tiles": f"{folder}/tiles/clean.zarr", "images": f"{folder}/images.csv"}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = {
            "table": {key: config["tracking"][key] for key in ("sizes", "frames")},
            _STRIPS: {"number": config["tracking"]["examples"]},
        }
        return {**super().notes(config, what), **own.get(what.function, {})}

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say where sizes have no order, and where the tiles of a resized frame overlap, so that they make no feature map."""
        small, large = config["tracking"]["sizes"]
        if self.datasets(config) and small >= large:
            yield f"key tracking.sizes is [{small:g}, {large:g}]: give the side of small boxes first, and a larger one"
        for name in self.datasets(config):
            tiling = config["datasets"][name]["tiling"]
            size, sides = tiling["size"], tiling["image_size"] or ()
            if any(side % size for side in sides):
                fitting = [max(1, round(side / size)) * size for side in sides]
                yield (
                    f"key datasets.{name}.tiling.image_size is {list(sides)}, but tiles make a feature map of a frame where they "
                    f"meet without overlap: give multiples of tiling.size, {size}, such as {fitting}"
                )


DECLARATION = Tracking()
