"""What an analysis shows in the report: tables, figures and pages, as its declaration names them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Shown(ABC):
    """A table, a figure or a page; see :class:`Table`, :class:`Figure` and :class:`Page`."""

    title: str
    """Its name in the report."""
    function: str
    """The function of ``report.py`` that makes it; its caption is ``<function>.rst``."""
    file: str = ""
    """The name of its files without data set and suffix; that of the analysis if left out."""
    each_dataset: bool = False
    """Whether there is one for each data set, and not one of all: the function takes ``dataset`` then."""
    each_model: bool = False
    """Whether there is one for each model, too; the function takes ``model`` then."""
    category: str
    """Where the report has it."""
    paper: str = ""
    """Which table or figure of arXiv 2401.00463 it is, such as ``table 2``; what it is of, where its number is not at hand."""

    folder: ClassVar[str]
    formats: ClassVar[Mapping[str, str]]
    """How the report calls each suffix; nothing for one that is not in the report."""

    @property
    @abstractmethod
    def subcategory(self) -> str:
        """Where in its category the report has it."""

    @abstractmethod
    def labels(self, suffix: str) -> dict[str, str]:
        """Return the labels of one file in the report."""


@dataclass(frozen=True, kw_only=True)
class Table(Shown):
    """A table of all data sets, in every format; the ones for reading are in the report."""

    section: str
    """The section of the report's tables that it stands in."""
    function: str = "table"
    category: str = "Tables"

    folder = "tables"
    formats = {"csv": "CSV", "md": "", "tex": "", "html": "page"}  # noqa: RUF012 (a ClassVar of the base)

    @property
    def subcategory(self) -> str:
        """See Shown."""
        return self.section

    def labels(self, suffix: str) -> dict[str, str]:
        """See Shown."""
        return {"table": self.title, "format": self.formats[suffix]}


@dataclass(frozen=True, kw_only=True)
class Figure(Shown):
    """A figure, of each data set if nothing else is said."""

    function: str = "figure"
    each_dataset: bool = True
    category: str = "Figures"

    folder = "figures"
    formats = {"svg": "SVG", "png": "PNG"}  # noqa: RUF012 (a ClassVar of the base)

    @property
    def subcategory(self) -> str:
        """See Shown."""
        return "{dataset}" if self.each_dataset else "all data sets"

    def labels(self, suffix: str) -> dict[str, str]:
        """See Shown."""
        of = "{dataset}" if self.each_dataset else "all"
        title = f"{self.title} of {{model}}" if self.each_model else self.title
        return {"dataset": of, "figure": title, "format": self.formats[suffix]}


@dataclass(frozen=True, kw_only=True)
class Page(Shown):
    """A page to work with in a browser, complete in itself; of each data set if nothing else is said."""

    function: str = "page"
    each_dataset: bool = True
    category: str = "Pages"

    folder = "pages"
    formats = {"html": "page"}  # noqa: RUF012 (a ClassVar of the base)

    @property
    def subcategory(self) -> str:
        """See Shown."""
        return "{dataset}" if self.each_dataset else "all data sets"

    def labels(self, suffix: str) -> dict[str, str]:
        """See Shown."""
        return {"dataset": "{dataset}" if self.each_dataset else "all", "page": self.title}
