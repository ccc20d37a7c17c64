"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from typing import Any

from patchprobe.analyses.declaring import Analysis, Config


class VarianceSpectrum(Analysis):
    """The only one without options."""

    title = "variance spectrum"
    section = "variance of features"

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """See Analysis."""
        return {"seed": config["seed"]}

    def notes(self, config: Config) -> dict[str, Any]:
        """See Analysis."""
        return {}


DECLARATION = VarianceSpectrum()
