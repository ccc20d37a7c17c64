"""What the workflow has to know of an analysis before anything of it runs: its declaration.

An analysis is a folder ``analyses/<name>`` that is found by being there. ``declaration.py`` holds ``DECLARATION``, an
object of a subclass of :class:`Analysis`. ``measure.py`` with a function ``measure`` makes its measurements; ``report.py``
with ``table`` and ``figure`` shows them, with the captions ``table.rst`` and ``figure.rst``. What is not there is not
made. A declaration is read whenever the workflow is, so it imports nothing heavy; it is in no digest of code, its values
are in the specs of jobs.
"""

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from patchprobe import analyses as package
from patchprobe.errors import PatchprobeError

Config = Mapping[str, Any]
Inputs = dict[str, str | list[str]]

_FOLDER = Path(package.__file__).parent
_MADE_OF = {"measure": ("measure.py",), "table": ("report.py", "table.rst"), "figure": ("report.py", "figure.rst")}


class Analysis:
    """An analysis with measurements for each data set and model; subclasses say what is special."""

    name: str
    """That of its folder, which :func:`analyses` sets."""
    title: ClassVar[str]
    """Its name in the report."""
    figure_title: ClassVar[str] = ""
    """The name of its figure there, if it is another."""
    section: ClassVar[str]
    """The section of the report's tables that its table stands in."""
    rows: ClassVar[str] = "results/{dataset}/{analysis}/{model}.parquet"
    """The file of measurements; without ``{dataset}`` there is one for each model."""
    also: ClassVar[Mapping[str, str]] = {}
    """Other files of a job of measurements, by the name of the text that ``measure`` returns for each."""
    searches: ClassVar[bool] = False
    """Whether neighbours are searched: ``measure`` takes ``threads`` and ``device`` then."""
    minutes: ClassVar[int] = 60
    """The time that a job of measurements asks for on a cluster."""
    figure: ClassVar[str] = "results/figures/{analysis}.{dataset}"
    """Its figure without suffix; without ``{dataset}`` there is one of all data sets."""

    def has(self, part: str) -> bool:
        """Tell whether the folder has what makes ``measure``, ``table`` or ``figure``."""
        return all((_FOLDER / self.name / file).is_file() for file in _MADE_OF[part])

    def datasets(self, config: Config) -> list[str]:
        """Return the data sets that it is asked for; none, and it is not asked for at all."""
        return sorted(config["datasets"])

    def models(self, config: Config) -> list[str]:
        """Return the models that it is asked for."""
        return sorted(config["models"])

    def inputs(self, config: Config, dataset: str, model: str) -> Inputs:
        """Return the files that ``measure`` takes, by argument; how they arrive says
        :func:`patchprobe.analyses.opened.opened`."""
        folder = f"results/{dataset}"
        return {"tokens": f"{folder}/features/{model}/clean.zarr", "labels": f"{folder}/labels.zarr"}

    def options(self, config: Config, dataset: str, model: str) -> dict[str, Any]:
        """Return exactly the values of the config that measurements depend on: they are arguments of ``measure``."""
        return {"bootstrap": config["patch_classification"]["bootstrap"], "seed": config["seed"]}

    def notes(self, config: Config) -> dict[str, Any]:
        """Return the arguments of ``table`` beside rows, outputs and ``models``."""
        return {"interval": config["patch_classification"]["bootstrap"]["level"]}

    def shown(self, config: Config, datasets: Iterable[str]) -> list[str]:
        """Return the files of measurements that table and figure show of some data sets."""
        return self.files(config, datasets)

    def shown_beside(self, config: Config) -> dict[str, list[str]]:
        """Return other files that ``table`` takes, by argument, as lists of paths."""
        return {}

    def path(self, suffix: str = "parquet") -> str:
        """Return the pattern of the file of measurements, or with another ``suffix`` of another file of its job."""
        return self.rows.replace("{analysis}", self.name).removesuffix("parquet") + suffix

    def figure_path(self, suffix: str) -> str:
        """Return the pattern of the file of its figure."""
        return f"{self.figure.replace('{analysis}', self.name)}.{suffix}"

    def files(
        self,
        config: Config,
        datasets: Iterable[str] | None = None,
        models: Iterable[str] | None = None,
        suffix: str = "parquet",
    ) -> list[str]:
        """Return the files of measurements that are asked for, of some data sets and models or of all."""
        if not self.has("measure"):
            return []
        asked = [name for name in self.datasets(config) if datasets is None or name in set(datasets)]
        own = [name for name in self.models(config) if models is None or name in set(models)]
        pattern = self.path(suffix)
        if "{dataset}" not in pattern:
            asked = asked[:1]
        return [pattern.format(dataset=dataset, model=model) for dataset in asked for model in own]


@cache
def analyses() -> tuple[Analysis, ...]:
    """Return the declarations of all analyses, by name.

    Raises PatchprobeError for a folder in which something is missing.
    """
    found = []
    for file in sorted(_FOLDER.glob("*/declaration.py")):
        name = file.parent.name
        declared: Analysis = importlib.import_module(f"{package.__name__}.{name}.declaration").DECLARATION
        declared.name = name
        reports = [part for part in ("table", "figure") if (file.parent / f"{part}.rst").is_file()]
        if bool(reports) != (file.parent / "report.py").is_file():
            missing = "report.py" if reports else "table.rst or figure.rst"
            raise PatchprobeError(f"the analysis {name} has no {missing}: add it to {file.parent}")
        if not (reports or declared.has("measure")):
            raise PatchprobeError(f"the analysis {name} has no measure.py and no report.py: add them to {file.parent}")
        found.append(declared)
    return tuple(found)
