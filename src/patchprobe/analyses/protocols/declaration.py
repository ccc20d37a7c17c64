"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.capi.declaration import DECLARATION as CAPI
from patchprobe.analyses.declaring import Analysis, Config
from patchprobe.analyses.hummingbird.declaration import DECLARATION as HUMMINGBIRD


class Protocols(Analysis):
    """Shows what others measured, where there is something beside patch classification; measures nothing."""

    title = "protocols"
    figure_title = "protocols side by side"
    section = "patch classification"

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if CAPI.datasets(config) or HUMMINGBIRD.datasets(config) else []

    def notes(self, config: Config) -> dict[str, Any]:
        """See Analysis."""
        quirks = config["hummingbird"]["quirks"] if config["hummingbird"]["enabled"] else {}
        return {**super().notes(config), "quirks": quirks}

    def shown(self, config: Config, datasets: Iterable[str]) -> list[str]:
        """See Analysis."""
        names = sorted(datasets)
        plain = [
            f"results/{name}/patch_classification/{model}.clean.parquet"
            for name in names
            for model in self.models(config)
        ]
        return [*plain, *CAPI.files(config, names), *HUMMINGBIRD.files(config, names)]

    def shown_beside(self, config: Config) -> dict[str, list[str]]:
        """See Analysis."""
        return {"settings": CAPI.files(config, suffix="json")}


DECLARATION = Protocols()
