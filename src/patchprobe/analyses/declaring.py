"""What the workflow has to know of an analysis before anything of it runs: its declaration.

An analysis is a folder ``analyses/<name>`` that is found by being there. ``declaration.py`` holds ``DECLARATION``, an
object of a subclass of :class:`Analysis`. ``measure.py`` with a function ``measure`` makes its measurements, if it has
any; ``report.py`` has a function for each table and figure that the declaration ``shows``, with a caption
``<function>.rst``. A declaration is read whenever the workflow is, so it imports nothing heavy; it is in no digest of
code, its values are in the specs of jobs.
"""

import ast
import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from patchprobe import analyses as package
from patchprobe.analyses.shown import Shown, Table
from patchprobe.datasets.annotations import KINDS, LABEL_MAPS, annotations, whole_images_alone
from patchprobe.errors import PatchprobeError, suggestion
from patchprobe.tokens.variant_kinds import OF_BLACK

Config = Mapping[str, Any]
Inputs = dict[str, str | list[str]]

_FOLDER = Path(package.__file__).parent


class Analysis:
    """An analysis with measurements for each data set and model; subclasses say what is special."""

    name: str
    """That of its folder, which :func:`analyses` sets."""
    needs: ClassVar[frozenset[str]] = frozenset({LABEL_MAPS})
    """What a data set has to be annotated with, see :mod:`patchprobe.datasets.annotations`."""
    whole_images: ClassVar[bool] = False
    """Whether it is asked for on data sets, too, whose images have classes alone; nobody asks for patches of these."""
    shows: ClassVar[tuple[Shown, ...]] = ()
    """Its tables, figures and pages in the report."""
    rows: ClassVar[str] = "results/{dataset}/{analysis}/{model}.parquet"
    """The file of measurements, or the CSV of what fits no measurement; without ``{dataset}`` there is one for each model,
    without ``{model}`` one for each data set."""
    also: ClassVar[Mapping[str, str]] = {}
    """Other files of a job of measurements, by the name of the text that ``measure`` returns for each."""
    searches: ClassVar[bool] = False
    """Whether neighbours are searched: ``measure`` takes ``threads`` and ``device`` then."""
    corrupted: ClassVar[bool] = False
    """Whether it looks at corrupted tiles, so that data sets with what it needs are made under all corruptions by default."""
    within_tiles: ClassVar[bool] = False
    """Whether it follows patches under corruptions that move them, which it can within a tile alone."""
    minutes: ClassVar[int] = 60
    """The time that a job of measurements asks for on a cluster."""

    @property
    def folder(self) -> Path:
        """The folder that all of it lies in."""
        return _FOLDER / self.name

    @property
    def measures(self) -> bool:
        """Whether the folder has what makes measurements by the rule that analyses share."""
        return (self.folder / "measure.py").is_file()

    def datasets(self, config: Config) -> list[str]:
        """Return the data sets that it is asked for, of those with the annotations; none, and it is not asked for at all."""
        adapters = {name: entry["adapter"] for name, entry in config["datasets"].items()}
        return sorted(
            name
            for name, adapter in adapters.items()
            if self.needs <= annotations(adapter, name) and (self.whole_images or not whole_images_alone(adapter))
        )

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

    def conflicts(self, config: Config) -> Iterator[str]:
        """Say which of its keys do not go together with others, though each is valid by itself."""
        yield from ()

    def shown_datasets(self, config: Config, what: Shown) -> list[str]:
        """Return the data sets that a table or figure is asked for."""
        return self.datasets(config)

    def shown_models(self, config: Config, what: Shown) -> list[str]:
        """Return the models that a figure is asked for which there is one of for each."""
        return self.models(config)

    def shown(self, config: Config, what: Shown, datasets: Iterable[str]) -> Inputs:
        """Return the files that a table or figure of some data sets takes, by argument, as ``inputs`` does."""
        return {"rows": self.files(config, datasets)}

    def shown_of_model(self, config: Config, what: Shown, datasets: Iterable[str], model: str) -> Inputs:
        """Return the same of a figure which there is one of for each model."""
        return {"rows": self.files(config, datasets, [model])}

    def notes(self, config: Config, what: Shown) -> dict[str, Any]:
        """Return the arguments of a table or figure beside files, outputs and the data set of one that has its own."""
        models = {"models": sorted(config["models"])}
        level = config["patch_classification"]["bootstrap"]["level"]
        return {**models, "interval": level} if isinstance(what, Table) else models

    def path(self, suffix: str = "") -> str:
        """Return the pattern of the file of measurements, or with a ``suffix`` of another file of its job."""
        pattern = self.rows.replace("{analysis}", self.name)
        return str(Path(pattern).with_suffix(f".{suffix}")) if suffix else pattern

    def files(
        self,
        config: Config,
        datasets: Iterable[str] | None = None,
        models: Iterable[str] | None = None,
        suffix: str = "",
    ) -> list[str]:
        """Return the files of measurements that are asked for, of some data sets or all, and all models or some alone."""
        if not self.measures:
            return []
        asked = [name for name in self.datasets(config) if datasets is None or name in set(datasets)]
        own = [name for name in self.models(config) if models is None or name in set(models)]
        pattern = self.path(suffix)
        if "{dataset}" not in pattern:
            asked = asked[:1]
        if "{model}" not in pattern:
            own = own[:1] if models is None else []
        return [pattern.format(dataset=dataset, model=model) for dataset in asked for model in own]

    def rule(self, what: Shown) -> str:
        """Return the name of the rule of a table or figure."""
        return f"{self.name}_{what.function}" if what.function in ("table", "figure", "page") else what.function

    def shown_paths(self, what: Shown) -> dict[str, str]:
        """Return the patterns of the files of a table or figure, by their suffix."""
        of = (".{dataset}" if what.each_dataset else "") + (".{model}" if what.each_model else "")
        stem = f"results/{what.folder}/{what.file or self.name}{of}"
        return {suffix: f"{stem}.{suffix}" for suffix in what.formats}

    def report_files(self, config: Config) -> list[str]:
        """Return the files of the tables and figures that are asked for."""
        files: list[str] = []
        for what in self.shows:
            datasets = self.shown_datasets(config, what)
            models = self.shown_models(config, what) if what.each_model else [""]
            for pattern in self.shown_paths(what).values():
                # Of a table of all data sets there is one.
                files += dict.fromkeys(
                    pattern.replace("{dataset}", dataset).replace("{model}", model)
                    for dataset in datasets
                    for model in models
                )
        return files


@cache
def analyses() -> tuple[Analysis, ...]:
    """Return the declarations of all analyses, by name.

    Raises PatchprobeError for a folder in which something is missing, and for two analyses of one rule or file.
    """
    folders = sorted({path.parent for path in _FOLDER.glob("*/*.py")})
    if lost := [folder for folder in folders if not (folder / "declaration.py").is_file()]:
        raise PatchprobeError(
            f"the analysis {lost[0].name} has no declaration.py: add it to {lost[0]}, or remove the folder"
        )
    found = [_declared(folder) for folder in folders]
    taken: dict[str, str] = {}
    for analysis in found:
        names = [analysis.rule(what) for what in analysis.shows]
        names += [path for what in analysis.shows for path in analysis.shown_paths(what).values()]
        for name in [*names, *([analysis.name, analysis.path()] if analysis.measures else [])]:
            if name in taken:
                raise PatchprobeError(
                    f"{name} is both of {taken[name]} and of {analysis.name}, in {analysis.folder / 'declaration.py'}: give its "
                    "table or figure another function and file"
                )
            taken[name] = f"analysis {analysis.name}"
    return tuple(found)


def of_the_paper() -> list[tuple[str, Analysis, Shown]]:
    """Return what the paper (arXiv 2401.00463) shows too: its number there or, after the numbers, what it is of."""
    found = [(what.paper, analysis, what) for analysis in analyses() for what in analysis.shows if what.paper]

    def place(title: str) -> tuple[bool, str, int]:
        """Return what sorts tables and figures by number, and what has none behind them."""
        kind, _, number = title.partition(" ")
        first = number.split(",")[0]
        return (not first.isdigit(), kind.rstrip("s"), int(first)) if first.isdigit() else (True, title, 0)

    return sorted(found, key=lambda one: place(one[0]))


def _declared(folder: Path) -> Analysis:
    """Return the declaration in a folder, and see that the folder has what it says."""
    name, file = folder.name, folder / "declaration.py"
    declared = getattr(importlib.import_module(f"{package.__name__}.{name}.declaration"), "DECLARATION", None)
    if not isinstance(declared, Analysis):
        raise PatchprobeError(f"{file} has no DECLARATION that is an Analysis: add DECLARATION = <its class>()")
    declared.name = name
    if not isinstance(declared.shows, tuple) or not all(isinstance(what, Shown) for what in declared.shows):
        raise PatchprobeError(
            f"{file}: shows has to be a tuple of tables and figures: write (Table(...),), with the comma"
        )
    if unknown := sorted(declared.needs - set(KINDS)):
        raise PatchprobeError(
            f"{file}: needs {unknown[0]!r}, which no data set can have: take some of {', '.join(KINDS)}"
        )
    captions = {path.stem for path in folder.glob("*.rst")}
    shown = {what.function for what in declared.shows}
    if missing := sorted((shown | captions) - _functions(folder / "report.py")):
        nearest = suggestion(missing[0], _functions(folder / "report.py"))
        raise PatchprobeError(
            f"{folder / 'report.py'} has no function {missing[0]}, which the declaration or a caption names"
            f"{nearest and f' ({nearest})'}: add it, or correct the name"
        )
    if uncaptioned := sorted(shown - captions):
        raise PatchprobeError(f"the analysis {name} has no {uncaptioned[0]}.rst: add the caption to {folder}")
    if unshown := sorted(captions - shown):
        raise PatchprobeError(
            f"the analysis {name} has the caption {unshown[0]}.rst of nothing that it shows: add a table or figure with "
            f"function={unshown[0]!r} to its declaration, or remove the file from {folder}"
        )
    if declared.measures and "measure" not in _functions(folder / "measure.py"):
        raise PatchprobeError(f"{folder / 'measure.py'} has no function measure: add it")
    if not (declared.shows or declared.measures):
        raise PatchprobeError(
            f"the analysis {name} has no measure.py and shows nothing: add measure.py to {folder}, or tables or figures to "
            "its declaration"
        )
    return declared


def _functions(module: Path) -> set[str]:
    """Return the names of a module's functions without importing it; none if it is not there."""
    if not module.is_file():
        return set()
    return {
        node.name for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }


def views(config: Config) -> list[tuple[str, str]]:
    """Return all models and their variants as pairs, a model as it is with an empty name first."""
    models = config["models"]
    return [(model, variant) for model in sorted(models) for variant in ["", *sorted(models[model]["variants"])]]


def kinds_of(config: Config, dataset: str) -> list[str]:
    """Return the kinds of corruptions that a data set is evaluated in, by name.

    Unless it says which, these are all where an analysis looks at corrupted tiles of what it is annotated with, and none elsewhere.
    """
    entry = config["datasets"][dataset]
    if entry["corruptions"] is not None:
        return sorted(entry["corruptions"])
    annotated = annotations(entry["adapter"], dataset)
    asked = any(analysis.corrupted and analysis.needs <= annotated for analysis in analyses())
    return sorted(config["corruptions"]) if asked else []


def black_tokens(config: Config, dataset: str, model: str, variants: Iterable[str] | None = None) -> list[str]:
    """Return the store of the tokens of a black image, if variants of a model are fitted on it: all, or those named."""
    entries = config["models"][model]["variants"]
    chosen = entries if variants is None else [name for name in variants if name]
    needed = any(entries[name]["transform"] in OF_BLACK for name in chosen if name in entries)
    return [f"results/{dataset}/black/{model}.zarr"] if needed else []


def view_name(model: str, variant: str) -> str:
    """Return how files of a model or of its variant are called, such as ``mae@no-top-200``."""
    return f"{model}@{variant}" if variant else model
