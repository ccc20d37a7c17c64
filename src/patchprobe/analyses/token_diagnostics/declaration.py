"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.shown import Figure, Shown, Table


class TokenDiagnostics(Analysis):
    """Looks at the stored blocks of clean tiles; one of its sheets shows tokens of example images."""

    shows = (
        Table(title="token diagnostics", section="variance of features"),
        Figure(title="token diagnostics"),
        Figure(title="lengths of tokens", function="token_norms_figure", file="token_norms"),
        Figure(title="tokens", function="token_pictures_sheet", file="token_pictures", category="Sheets"),
    )
    minutes = 240

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if config["token_diagnostics"]["enabled"] else []

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """See Analysis."""
        return {"tokens": f"results/{dataset}/features/{model}/clean.zarr"}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        own = config["token_diagnostics"]
        return {
            **super().options(config, dataset, model),
            "number": own["tiles"],
            **{key: own[key] for key in ("norm_cut", "relative_cut", "top_features")},
        }

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        names = list(datasets)
        rows: Inputs = {"rows": self.files(config, names)}
        if what.function != "token_pictures_sheet":
            return rows
        (dataset,) = names
        folder = f"results/{dataset}"
        return {
            **rows,
            "tiles": f"{folder}/tiles/clean.zarr",
            "labels": f"{folder}/labels.zarr",
            "tokens": [f"{folder}/features/{model}/clean.zarr" for model in self.models(config)],
        }

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        own = config["token_diagnostics"]
        more: dict[str, Any] = {}
        if isinstance(what, Table):
            more = {key: own[key] for key in ("norm_cut", "relative_cut")}
        elif what.function == "token_norms_figure":
            more = {"norm_cut": own["norm_cut"]}
        elif what.function == "token_pictures_sheet":
            more = {"images": own["pictures"]}
        return {**super().notes(config, what), **more}


DECLARATION = TokenDiagnostics()
