"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterator
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.datasets.annotations import IMAGE_CLASSES
from patchprobe.errors import suggestion
from patchprobe.models.ground import SENSOR
from patchprobe.models.registered import position_method
from patchprobe.tokens.variant_kinds import OF_BLACK, OF_PLACES


class ImageKnn(Analysis):
    """Of data sets whose images have a class each, by the models that ``image_knn`` names; a job has all variants of a model."""

    needs: ClassVar[frozenset[str]] = frozenset({IMAGE_CLASSES})
    whole_images = True
    shows = (
        Table(title="image classification", section="image classification"),
        Figure(title="accuracy by relative ground sample distance", paper="figure 8"),
    )
    searches = True
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if self.models(config) else []

    def models(self, config: Config) -> list[str]:
        """See Analysis."""
        named = config["image_knn"]["models"]
        return [name for name in super().models(config) if named is None or name in named]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        folder = f"results/{dataset}"
        kinds = {entry["transform"] for entry in config["models"][model]["variants"].values()}
        places = [f"{folder}/image_features/{model}.places.zarr"] if kinds & (OF_BLACK | OF_PLACES) else []
        return {
            "features": f"{folder}/image_features/{model}.zarr",
            "labels": f"{folder}/labels.zarr",
            "places": places,
        }

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own, linear = config["image_knn"], config["patch_classification"]["linear"]
        return {
            **super().options(config, dataset, model),
            "k": own["k"],
            "temperature": own["temperature"],
            "linear": {**linear, "steps": own["steps"] or linear["steps"]},
            "probe": config["models"][model]["probe"],
            "variants": config["models"][model]["variants"],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own, models = config["image_knn"], config["models"]
        if isinstance(what, Table):
            return {**super().notes(config, what), "k": own["k"], "temperature": own["temperature"]}
        # The paper's figure has models with all features and without those of highest variance.
        dropped = {
            model: [name for name, entry in models[model]["variants"].items() if entry["transform"] == _DROPPED]
            for model in self.models(config)
        }
        return {**super().notes(config, what), "dropped": dropped}

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which names are of no model, where images are not seen whole, and where a model would be told nothing."""
        own = config["image_knn"]
        for name in own["models"] or ():
            if name not in config["models"]:
                hint = suggestion(name, config["models"], f"there are {', '.join(sorted(config['models']))}")
                yield f"key image_knn.models names {name}, which is not under models: {hint}"
        for name in self.datasets(config):
            entry = config["datasets"][name]
            side = entry["tiling"]["size"]
            if entry["tiling"]["image_size"] != [side, side]:
                yield (
                    f"key datasets.{name}.tiling.image_size has to be [{side}, {side}], tiling.size, since its images are seen whole: "
                    "set it so"
                )
            for model in self.models(config):
                told = config["models"][model].get("ground_sample_distance")
                lacks = entry["ground_sample_distance"] is None and told in (None, SENSOR)
                if position_method(config["models"][model]) == "gsd" and own["distances"] == ["sensor"] and lacks:
                    yield (
                        f"key image_knn.distances asks for the sensor's distance alone, and nothing tells {model} that of {name}: "
                        f"give datasets.{name}.ground_sample_distance, or add recipe"
                    )


_DROPPED = "drop-top-variance"
DECLARATION = ImageKnn()
