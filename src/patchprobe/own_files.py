"""Files of our own: those that the workflow wrote, of which a damaged one ends in one message that names it and the remedy,
and those of the package."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from patchprobe.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

_TRUTH = {"True": True, "False": False}


def read_mapping(path: Path, keys: Mapping[str, type] | None = None) -> dict[str, Any]:
    """Read a JSON mapping that has at least ``keys``, each with a value of the given type.

    Raises StoreError that names the file, what is wrong with it and the remedy.
    """
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"no JSON, {error}") from None
    if not isinstance(content, dict):
        raise damaged(path, f"no mapping but a {type(content).__name__}")
    for key, kind in (keys or {}).items():
        if not isinstance(content.get(key), kind):
            raise damaged(path, f"no {kind.__name__} named {key}")
    return content


def read_table(path: Path, columns: Mapping[str, type], *, may_be_empty: bool = False) -> "pd.DataFrame":
    """Read ``columns`` of a CSV file, each with values of the given type: str, int, float or bool.

    Texts are kept as they are, so that "NA" is a name; an empty field of type float is NaN. Raises StoreError that
    names the file, what is wrong with it and the remedy. A table without rows is an error unless ``may_be_empty``.
    """
    # Not above, because the workflow imports this module on every parse.
    import pandas as pd

    table = read_texts(path)
    if missing := [column for column in columns if column not in table]:
        raise damaged(path, f"no column {missing[0]}")
    if table.empty and not may_be_empty:
        raise damaged(path, "no rows")
    return pd.DataFrame({name: _typed(path, table[name], kind) for name, kind in columns.items()})


def read_texts(path: Path) -> "pd.DataFrame":
    """Read a CSV file with whatever columns it has, all of them as texts; raises StoreError as :func:`read_table`."""
    import pandas as pd

    text = _text(path)
    if not text.endswith("\n"):
        raise damaged(path, "cut short" if text else "empty")
    try:
        head, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise damaged(path, f"no table, {error}") from None
    if uneven := [row for row in rows if len(row) != len(head)]:
        raise damaged(path, f"{len(uneven[0])} values for {len(head)} columns in row {rows.index(uneven[0]) + 1}")
    return pd.DataFrame(rows, columns=head, dtype=str)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of the package, in C where PyYAML was built with it: each run reads many before its first job.

    Raises yaml.YAMLError for a text that is no YAML.
    """
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def damaged(path: Path, what: str) -> StoreError:
    """Return the error of a file of ours that is missing or damaged; ``what`` says in a few words why."""
    return StoreError(f"{path} cannot be read ({what}): delete it and run again")


def _typed(path: Path, values: "pd.Series[str]", kind: type) -> "pd.Series[Any]":
    try:
        if kind is bool:
            return values.map(lambda text: _TRUTH[text]).astype(bool)
        return values.replace("", "nan").astype(float) if kind is float else values.astype(kind)
    except (ValueError, KeyError, OverflowError) as error:
        raise damaged(path, f"column {values.name} is not of type {kind.__name__}, {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise damaged(path, "no text") from None
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from None
