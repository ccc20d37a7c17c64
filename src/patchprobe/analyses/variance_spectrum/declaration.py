"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config
from patchprobe.analyses.shown import Figure, Shown, Table
from patchprobe.datasets.annotations import IDENTITIES, annotations


class VarianceSpectrum(Analysis):
    """Of any data set but videos, which have too many patches: tracking judges features on some frames."""

    needs: ClassVar[frozenset[str]] = frozenset()

    shows = (
        Table(title="variance spectrum", section="variance of features"),
        Figure(title="variance spectrum", paper="variance of every feature"),
    )

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        entries = config["datasets"]
        return [
            name for name in super().datasets(config) if IDENTITIES not in annotations(entries[name]["adapter"], name)
        ]

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {"seed": config["seed"]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        return {"models": sorted(config["models"])}


DECLARATION = VarianceSpectrum()
