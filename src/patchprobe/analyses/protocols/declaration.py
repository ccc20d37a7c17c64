"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.capi.declaration import DECLARATION as CAPI
from patchprobe.analyses.declaring import Analysis, Config, Inputs
from patchprobe.analyses.hummingbird.declaration import DECLARATION as HUMMINGBIRD
from patchprobe.analyses.shown import Figure, Shown, Table


class Protocols(Analysis):
    """Shows what others measured, where there is something beside patch classification; measures nothing."""

    shows = (Table(title="protocols", section="patch classification"), Figure(title="protocols side by side"))

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return super().datasets(config) if CAPI.datasets(config) or HUMMINGBIRD.datasets(config) else []

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        quirks = config["hummingbird"]["quirks"] if config["hummingbird"]["enabled"] else {}
        return {**super().notes(config, what), **({"quirks": quirks} if what.function == "table" else {})}

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        names = sorted(datasets)
        plain = [
            f"results/{name}/patch_classification/{model}.clean.parquet"
            for name in names
            for model in self.models(config)
        ]
        rows = [*plain, *CAPI.files(config, names), *HUMMINGBIRD.files(config, names)]
        settings = {"settings": CAPI.files(config, suffix="json")} if what.function == "table" else {}
        return {"rows": rows, **settings}


DECLARATION = Protocols()
