"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.errors import suggestion
from patchprobe.tokens.variant_kinds import OF_BLACK


class RemovalCurves(Analysis):
    """Asked for where removals are named; the controls, random weights and raw pixels, stand beside every model."""

    shows = (
        Table(title="removal curves", section="variance of features"),
        Figure(title="removal curves", each_model=True),
    )
    searches = True
    minutes = 1200

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["removal_curves"]["removals"] else []

    def models(self, config: Config) -> list[str]:
        """See Analysis."""
        named = config["removal_curves"]["models"]
        return [name for name in super().models(config) if named is None or name in named or name in controls(config)]

    def shown_models(self, config: Config, what: Shown) -> list[str]:
        """See Analysis."""
        models = self.models(config)
        return [name for name in models if name not in controls(config)] or models

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        needed = OF_BLACK & set(config["removal_curves"]["removals"])
        black = [f"results/{dataset}/black/{model}.zarr"] if needed else []
        return {**super().inputs(config, dataset, model), "black": black}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own, linear = config["removal_curves"], config["patch_classification"]["linear"]
        return {
            **super().options(config, dataset, model),
            **{key: own[key] for key in ("removals", "counts", "penalty", "images")},
            "draw": own["seed"],
            "linear": {**linear, "steps": own["steps"] or linear["steps"]},
            "probe": config["models"][model]["probe"],
        }

    def shown_of_model(self, config: Config, what: Shown, datasets: Iterable[str], model: str) -> Inputs:
        """See Analysis."""
        return {"rows": self.files(config, datasets, [model, *controls(config)])}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        order = {"removals": config["removal_curves"]["removals"]}
        if isinstance(what, Table):
            return {**super().notes(config, what), **order}
        return {**order, "controls": controls(config)}

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which names are of no model."""
        for name in config["removal_curves"]["models"] or ():
            if name not in config["models"]:
                hint = suggestion(name, config["models"], f"there are {', '.join(sorted(config['models']))}")
                yield f"key removal_curves.models names {name}, which is not under models: {hint}"


def controls(config: Config) -> list[str]:
    """Return the models that have learnt nothing: random weights and raw pixels."""
    return sorted(name for name, entry in config["models"].items() if entry["source"] in ("random", "pixels"))


DECLARATION = RemovalCurves()
