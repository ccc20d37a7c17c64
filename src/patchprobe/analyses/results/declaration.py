"""What the workflow has to know of this analysis; see :mod:`patchprobe.analyses.declaring`."""

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

from patchprobe.analyses.declaring import Analysis, Config, Inputs, analyses, views
from patchprobe.analyses.shown import Figure, Page, Shown, Table
from patchprobe.files import file_sha256
from patchprobe.report.page_files import page_files


class Results(Analysis):
    """Shows the tables of all others; measures nothing."""

    needs: ClassVar[frozenset[str]] = frozenset()
    whole_images = True
    shows = (Page(title="all results", file="results", each_dataset=False),)

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """See Analysis."""
        return {"tables": [path for _, _, path in _tables(config)]}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """See Analysis; the page is made anew when its look or its script is another."""
        return {
            "shown": [
                {"title": table.title, "section": table.section, "figures": _files(config, analysis, Figure, "svg")}
                for analysis, table, _ in _tables(config)
            ],
            "also": [
                file
                for analysis in analyses()
                if analysis is not self
                for file in _files(config, analysis, Page, "html")
            ],
            "views": [" ".join(view).strip() for view in views(config)],
            "interval": config["patch_classification"]["bootstrap"]["level"],
            "look": [file_sha256(path) for path in page_files(self.folder)],
        }


def _tables(config: Config) -> Iterator[tuple[Analysis, Table, str]]:
    """Yield the tables that are asked for, each with its analysis and the file that holds all its rows."""
    for analysis in analyses():
        for what in analysis.shows:
            if isinstance(what, Table) and analysis.shown_datasets(config, what):
                yield analysis, what, analysis.shown_paths(what)["csv"]


def _files(config: Config, analysis: Analysis, kind: type[Shown], suffix: str) -> list[dict[str, str]]:
    """Return title, data set (if it has one) and path below results/ of all that an analysis shows of a kind."""
    found: dict[str, dict[str, str]] = {}
    for what in analysis.shows:
        if isinstance(what, kind):
            models = analysis.shown_models(config, what) if what.each_model else [""]
            for dataset, model in product(analysis.shown_datasets(config, what), models):
                path = analysis.shown_paths(what)[suffix].format(dataset=dataset, model=model)
                of = dataset if what.each_dataset else ""
                title = f"{what.title} of {model}" if model else what.title
                found[path] = {"title": title, "dataset": of, "path": str(Path(path).relative_to("results"))}
    return list(found.values())


DECLARATION = Results()
