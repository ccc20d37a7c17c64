"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterator
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Table


class TrainingSize(Analysis):
    """Asked for where sizes are given for the way in which a data set's images are drawn."""

    shows = (
        Table(title="training-set size", section="patch classification"),
        Figure(title="training-set size", paper="size of the training set"),
    )
    searches = True
    minutes = 600

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return [name for name in super().datasets(config) if [] not in _sizes(config, name).values()]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        return {**super().inputs(config, dataset, model), "images": f"results/{dataset}/images.csv"}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        linear = config["patch_classification"]["linear"]
        return {
            **super().options(config, dataset, model),
            "sizes": _sizes(config, dataset),
            "linear": {**linear, "steps": config["training_size"]["steps"] or linear["steps"]},
            "probe": config["models"][model]["probe"],
        }

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say where more images are asked for than are drawn."""
        asked = max(config["training_size"]["per_group"] or [0])
        for dataset in super().datasets(config):
            for key in ("per_group", "per_class"):
                drawn = config["datasets"][dataset]["splits"].get("train", {}).get(key)
                if drawn is not None and asked > drawn:
                    yield (
                        f"key training_size.per_group asks for {asked} images, but datasets.{dataset}.splits.train.{key} "
                        f"draws {drawn}: draw more, or ask for at most {drawn}"
                    )


def _sizes(config: Config, dataset: str) -> dict[str, Any]:
    """Return the sizes that concern a data set: images of each group or class, or shares of all."""
    drawn = config["datasets"][dataset]["splits"]["train"]
    key = "shares" if drawn["per_group"] is None and drawn["per_class"] is None else "per_group"
    return {key: config["training_size"][key]}


DECLARATION = TrainingSize()
