"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.reconstruction.paper_values import paper_values
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.errors import suggestion


class Reconstruction(Analysis):
    """Asked for of the models that say that they have a decoder; the rule ``reconstruct`` makes the store that it reads."""

    shows = (
        Table(title="reconstruction", section="reconstruction", paper="table 4"),
        Figure(title="reconstruction"),
        Figure(title="reconstructed tiles", function="reconstruction_sheet", file="reconstructions", category="Sheets"),
    )
    minutes = 30

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["reconstruction"]["enabled"] and self.models(config) else []

    def models(self, config: Config) -> list[str]:
        """See Analysis."""
        named = config["reconstruction"]["models"]
        having = [name for name in super().models(config) if config["models"][name].get("decoder")]
        return [name for name in having if named is None or name in named]

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        return {"reconstructions": self._store(dataset, model)}

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        asked = list(datasets)
        rows: Inputs = {} if what.function == "reconstruction_sheet" else {"rows": self.files(config, asked)}
        if what.function == "figure":
            return rows
        stores = [self._store(dataset, model) for dataset in asked for model in self.models(config)]
        return {**rows, "reconstructions": stores}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        given = super().notes(config, what)
        if what.function != "table":
            return given
        own = config["reconstruction"]
        return {
            **given,
            "clip": own["clip"],
            "scope": own["scope"],
            "paper": paper_values(config, self.models(config)),
        }

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which models that are named cannot reconstruct."""
        for name in config["reconstruction"]["models"] or ():
            if name not in config["models"]:
                hint = suggestion(name, config["models"], f"there are {', '.join(sorted(config['models']))}")
                yield f"key reconstruction.models names {name}, which is not under models: {hint}"
            elif not config["models"][name].get("decoder"):
                yield (
                    f"key reconstruction.models names {name}, which has no decoder: say with models.{name}.decoder where it is, or "
                    "take the name out"
                )

    def _store(self, dataset: str, model: str) -> str:
        return f"results/{dataset}/reconstruction/{model}.zarr"


DECLARATION = Reconstruction()
