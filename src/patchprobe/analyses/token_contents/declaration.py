"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.tokens.variant_kinds import OF_BLACK, taken_by


class TokenContents(Analysis):
    """Asked for where removals are named; its classes, numbers and penalties are those of global context, which is one of its targets."""

    shows = (
        Table(title="what tokens hold", section="variance of features"),
        Figure(title="what tokens hold"),
    )
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["token_contents"]["removals"] else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        folder = f"results/{dataset}"
        needed = OF_BLACK & set(config["token_contents"]["removals"])
        return {
            **super().inputs(config, dataset, model),
            "tiles": f"{folder}/tiles/clean.zarr",
            "black": [f"{folder}/black/{model}.zarr"] if needed else [],
        }

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own, context = config["token_contents"], config["global_context"]
        return {
            **super().options(config, dataset, model),
            "removals": taken_by(own["removals"]),
            "number": own["tiles"],
            "plane_penalty": own["plane_penalty"],
            "part": context["features"],
            "classes": context["classes"],
            "penalties": context["penalties"],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {**super().notes(config, what), "removals": taken_by(config["token_contents"]["removals"])}


DECLARATION = TokenContents()
