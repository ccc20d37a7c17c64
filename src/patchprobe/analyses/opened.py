"""The files that an analysis takes, opened as its functions expect them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from patchprobe import measurements
from patchprobe.datasets.index_tables import read_index
from patchprobe.stores.reading import open_store

Rows = list[dict[str, Any]]


def opened(given: Path | Sequence[Path]) -> Any:
    """Open an input of ``measure``; a list of files as a list.

    A store (``.zarr``) is a labelled data set, measurements (``.parquet``, one file or more) are one table, ``images.csv``
    is the table of a data set's images; anything else stays a path.
    """
    paths = [given] if isinstance(given, Path) else list(given)
    if paths and all(path.suffix == ".parquet" for path in paths):
        return measurements.read(paths)
    found = [_open(path) for path in paths]
    return found[0] if isinstance(given, Path) else found


def parted(made: Rows | tuple[Rows, dict[str, str]]) -> tuple[Rows, dict[str, str]]:
    """Return what ``measure`` returned as rows and other texts by name, which it may leave out."""
    return made if isinstance(made, tuple) else (made, {})


def _open(path: Path) -> Any:
    if path.suffix == ".zarr":
        return open_store(path)
    return read_index(path) if path.name == "images.csv" else path
