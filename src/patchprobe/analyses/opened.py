"""The files that an analysis takes, opened as its functions expect them, and what it makes, written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from patchprobe import measurements
from patchprobe.datasets.index_tables import read_index, read_objects
from patchprobe.errors import StoreError
from patchprobe.files import write_atomic
from patchprobe.stores.reading import open_store

Made = list[dict[str, Any]] | pd.DataFrame


def opened(given: Path | Sequence[Path]) -> Any:
    """Open an input of ``measure`` or of a function of ``report.py``; a list of files as a list.

    A store (``.zarr``) is a labelled data set, measurements (``.parquet``, one file or more) are one table, ``images.csv``
    is the table of a data set's images, ``objects.csv`` that of the objects of its videos; anything else stays a path.
    """
    paths = [given] if isinstance(given, Path) else list(given)
    if paths and all(path.suffix == ".parquet" for path in paths):
        return measurements.read(paths)
    found = [_open(path) for path in paths]
    return found[0] if isinstance(given, Path) else found


def write_made(made: Made | tuple[Made, dict[str, str]], outputs: Mapping[str, Path]) -> None:
    """Write what ``measure`` returned: measurements or a table of its own as ``rows``, and other texts, if any, by name.

    Raises StoreError for rows that are no measurements.
    """
    rows, texts = made if isinstance(made, tuple) else (made, {})
    if not isinstance(rows, list | pd.DataFrame) or not len(rows):
        raise StoreError(
            f"measure returned {'nothing' if rows is None else 'no rows'} for {outputs['rows'].name}: have it return rows, a table, "
            "or one of them with other texts by name"
        )
    if isinstance(rows, pd.DataFrame):
        write_atomic(outputs["rows"], rows.to_csv(index=False, lineterminator="\n"))
    else:
        measurements.write(rows, outputs["rows"])
    for name, text in texts.items():
        write_atomic(outputs[name], text)


def _open(path: Path) -> Any:
    if path.suffix == ".zarr":
        return open_store(path)
    tables = {"images.csv": read_index, "objects.csv": read_objects}
    return tables[path.name](path) if path.name in tables else path
