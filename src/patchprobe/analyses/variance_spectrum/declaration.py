"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config
from patchprobe.analyses.shown import Figure, Shown, Table


class VarianceSpectrum(Analysis):
    """Of any data set; the only one without options."""

    needs: ClassVar[frozenset[str]] = frozenset()

    shows = (
        Table(title="variance spectrum", section="variance of features"),
        Figure(title="variance spectrum", paper="variance of every feature"),
    )

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {"seed": config["seed"]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {"models": sorted(config["models"])}


DECLARATION = VarianceSpectrum()
