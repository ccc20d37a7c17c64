"""Measurements: tidy rows, one number each, under one schema for every analysis.

The schema is ``measurements.schema.json`` beside this module: columns in their order, types, allowed names
and what each column means. Its ``$id`` carries the version and is stored in every file. Facts about metrics and methods
are data there too (``x-metrics``, ``x-methods``), so that one more changes no code: ``title``, the name in tables and
figures; ``per``, what a metric has one value for each of; ``of: features`` where no classifier or regression is behind it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from patchprobe.errors import StoreError
from patchprobe.files import write_atomic

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("measurements.schema.json").read_text())
SCHEMA_ID: str = SCHEMA["$id"]
COLUMNS: tuple[str, ...] = tuple(SCHEMA["properties"])
# No two rows may agree in all of these; files are sorted by them.
KEY: tuple[str, ...] = (*COLUMNS[: COLUMNS.index("value")], "seed")

_SCHEMA_HINT = "correct it, or say so in src/patchprobe/measurements.schema.json"
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, np.integer),
    "number": (int, float, np.integer, np.floating),
}


def write(rows: pd.DataFrame | Sequence[Mapping[str, Any]], path: Path) -> None:
    """Check rows against the schema and write them as Parquet, whole or not at all.

    Columns that the schema has a default for may be left out. Rows are sorted by ``KEY``, so the same rows in any order give the same bytes. Raises StoreError that
    names the file, the column and the first row at fault: a column is missing or unknown, a type or name is
    not allowed, a row occurs twice, an interval is reversed, or a number is missing where only an absent class
    may lack one.
    """
    table = pd.DataFrame(rows) if len(rows) else pd.DataFrame(columns=list(COLUMNS))
    defaults = {column: rule["default"] for column, rule in SCHEMA["properties"].items() if "default" in rule}
    table = table.assign(**{column: value for column, value in defaults.items() if column not in table.columns})
    _check_columns(table, path)
    for column, rule in SCHEMA["properties"].items():
        _check_column(table[column], rule, path)
    table = table.loc[:, list(COLUMNS)].astype(_pandas_types())
    _check_numbers(table, path)
    _check_unique(table, path)
    table = table.sort_values(list(KEY), kind="stable")
    arrays = [pa.array(table[field.name].to_numpy(), type=field.type) for field in _arrow_schema()]
    content = pa.Table.from_arrays(arrays, schema=_arrow_schema())
    write_atomic(path, lambda temporary: pq.write_table(content, temporary, version="2.6", compression="zstd"))


def titles(kind: str) -> dict[str, str]:
    """Return the names under which ``metrics`` or ``methods`` are shown, for those that have one, in their usual order."""
    return {name: facts["title"] for name, facts in SCHEMA[f"x-{kind}"].items() if "title" in facts}


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """Read measurement files into one frame with the columns of the schema, sorted by ``KEY``.

    Raises StoreError that names the file if it is missing, unreadable or of another version of the schema,
    and if a row is in more than one file.
    """
    tables = [_read_file(path) for path in paths]
    rows = pa.concat_tables(tables).to_pandas().astype(_pandas_types())
    _check_unique(rows, Path(", ".join(str(path) for path in paths)))
    return rows.sort_values(list(KEY), kind="stable", ignore_index=True)


def _read_file(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing: run the analysis that writes it") from None
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path} is not readable as Parquet ({error}); delete it and run again") from None
    found = (table.schema.metadata or {}).get(b"schema", b"none").decode()
    if found != SCHEMA_ID:
        raise StoreError(f"{path} has schema {found}, expected {SCHEMA_ID}; delete it and run again")
    if not set(COLUMNS) <= set(table.column_names):
        raise StoreError(f"{path} lacks columns of schema {SCHEMA_ID}; delete it and run again")
    return table


def _arrow_schema() -> pa.Schema:
    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    return pa.schema([(c, types[_type(c)]) for c in COLUMNS], metadata={"schema": SCHEMA_ID})


def _pandas_types() -> dict[str, str]:
    types = {"string": "str", "integer": "int64", "number": "float64"}
    return {column: types[_type(column)] for column in COLUMNS}


def _type(column: str) -> str:
    stated = SCHEMA["properties"][column].get("type", "string")
    return stated if isinstance(stated, str) else stated[0]


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    missing = [column for column in COLUMNS if column not in table.columns]
    unknown = [str(column) for column in table.columns if column not in COLUMNS]
    if missing or unknown:
        raise StoreError(
            f"{_final(path)}: columns missing: {missing}, unknown: {unknown}; give the columns of schema {SCHEMA_ID}"
        )


def _check_column(values: pd.Series, rule: Mapping[str, Any], path: Path) -> None:
    name, kind = str(values.name), _type(str(values.name))
    right = [isinstance(value, _KINDS[kind]) and not isinstance(value, bool) for value in values]
    _refuse(~np.array(right, bool), values, path, f"not of type {kind}")
    if "enum" in rule:
        _refuse(
            ~values.isin(rule["enum"]).to_numpy(),
            values,
            path,
            f"not one of {', '.join(filter(None, rule['enum']))}; {_SCHEMA_HINT}",
        )
    if "minimum" in rule:
        _refuse((values < rule["minimum"]).to_numpy(), values, path, f"below {rule['minimum']}")
    if "minLength" in rule:
        _refuse((values == "").to_numpy(), values, path, "empty")
    if "pattern" in rule:
        fits = [re.search(rule["pattern"], value) is not None for value in values]
        _refuse(~np.array(fits, bool), values, path, f"does not match {rule['pattern']}")
    if kind == "number":
        _refuse(np.isinf(values.to_numpy(float)), values, path, "infinite")
        if name in ("level", "at"):
            _refuse(values.isna().to_numpy(), values, path, "not a number")


def _check_numbers(table: pd.DataFrame, path: Path) -> None:
    per_class = table["metric"].isin(_metrics(per="class"))
    misplaced = per_class == (table["class"] == "")
    _refuse(
        misplaced.to_numpy(),
        table["class"],
        path,
        f"only and always set per class (per: class in x-metrics); {_SCHEMA_HINT}",
    )
    per_feature = table["metric"].isin(_metrics(per="feature"))
    misplaced = per_feature != (table["feature"] >= 0)
    _refuse(
        misplaced.to_numpy(),
        table["feature"],
        path,
        f"0 or more only and always per feature (per: feature in x-metrics); {_SCHEMA_HINT}",
    )
    misplaced = table["metric"].isin(_metrics(of="features")) != (table["method"] == "")
    _refuse(
        misplaced.to_numpy(),
        table["method"],
        path,
        f"empty only and always for metrics of features themselves (of: features in x-metrics); {_SCHEMA_HINT}",
    )
    off = (table["axis"] == "") & (table["at"] != 0)
    _refuse(off.to_numpy(), table["at"], path, "not 0 without an axis")
    clean = (table["corruption"] == "clean") & (table["level"] != 0)
    _refuse(clean.to_numpy(), table["level"], path, "not 0 for clean")
    absent = table["value"].isna()
    _refuse((absent & ~per_class).to_numpy(), table["value"], path, "missing, and it is not one of a class")
    half = table["ci_low"].isna() != table["ci_high"].isna()
    _refuse(half.to_numpy(), table["ci_high"], path, "missing at one end of the interval only")
    stray = absent & table["ci_low"].notna()
    _refuse(stray.to_numpy(), table["ci_low"], path, "an interval without a value")
    _refuse((table["ci_low"] > table["ci_high"]).to_numpy(), table["ci_low"], path, "above ci_high")


def _final(path: Path) -> Path:
    """Return where a file goes that a job writes in a hidden place first."""
    parts = path.parts
    return Path(*parts[: parts.index(".partial")], path.name) if ".partial" in parts else path


def _metrics(**facts: str) -> list[str]:
    return [name for name, known in SCHEMA["x-metrics"].items() if facts.items() <= known.items()]


def _check_unique(table: pd.DataFrame, path: Path) -> None:
    twice = table.duplicated(list(KEY))
    if twice.any():
        row = table.loc[twice, list(KEY)].iloc[0].to_dict()
        raise StoreError(f"{_final(path)}: {int(twice.sum())} rows occur twice, first {row}: write each once")


def _refuse(bad: npt.NDArray[np.bool_], values: pd.Series, path: Path, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise StoreError(f"{_final(path)}: {values.name} of row {row} is {values.tolist()[row]!r}: {what}")
