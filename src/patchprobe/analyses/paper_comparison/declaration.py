"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable
from typing import Any

from patchprobe.analyses.declaring import Analysis, Config, Inputs, analyses, view_name
from patchprobe.analyses.paper_comparison.paper_values import comparable, paper_images
from patchprobe.analyses.shown import Shown, Table


class PaperComparison(Analysis):
    """Shown where the paper has values for data sets and models of the run; measures nothing."""

    shows = (
        Table(
            title="beside the paper", section="beside the paper", function="paper_comparison", file="paper_comparison"
        ),
    )

    def datasets(self, config: Config) -> list[str]:
        """See Analysis."""
        return sorted({value["dataset"] for value in _values(config)})

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        rows = sorted({_file(config, value) for value in _values(config)})
        return {"rows": rows, "drawn": [f"results/{name}/images.csv" for name in self.datasets(config)]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis."""
        names = self.datasets(config)
        images = {name: counts for name, counts in paper_images(config).items() if name in names}
        return {"datasets": names, "images": images, "values": _values(config)}


def _values(config: Config) -> list[dict[str, Any]]:
    """Return the paper's values that stand beside scores of the run."""
    return [value for value in comparable(config) if _file(config, value)]


def _file(config: Config, value: dict[str, Any]) -> str:
    """Return the measurements that a value of the paper is compared with; empty if the run does not have them."""
    dataset, model, name = value["dataset"], value["model"], value["analysis"]
    if name == "patch_classification":
        return f"results/{dataset}/patch_classification/{view_name(model, value['variant'])}.clean.parquet"
    (analysis,) = (analysis for analysis in analyses() if analysis.name == name)
    return next(iter(analysis.files(config, [dataset], [model])), "")


DECLARATION = PaperComparison()
