"""The style and the scripts of pages, which lie beside the code as files of their own."""

from collections.abc import Iterable
from pathlib import Path

_SHARED = Path(__file__).parent


def page_files(folder: Path) -> list[Path]:
    """Return what a page is made of whose own files lie in a folder: those that all pages share first, then its own by name."""
    return [*_files(_SHARED), *_files(folder)]


def text_of(paths: Iterable[Path], suffix: str) -> str:
    """Return the texts of the files with a suffix, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.suffix == suffix)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".css", ".html", ".js"))
