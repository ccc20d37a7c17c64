"""From measurements to the cells of a table, and from tables to files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from patchprobe.files import write_atomic
from patchprobe.report import formats
from patchprobe.report.formats import Score, Table


def lay_out_scores(
    rows: pd.DataFrame,
    by: Sequence[str],
    labels: Sequence[str],
    keys: Sequence[tuple[Any, ...]],
    best_of: str = "column",
) -> list[tuple[str, list[Score]]]:
    """Lay scores out, a line per label and a column per key of ``by``; lines without a score are left out.

    ``rows`` have a column ``label`` and no two of them one label and key. The highest number of every column, or with
    ``best_of="row"`` of every line, is marked.
    """
    table = rows.set_index(["label", *by])[["value", "ci_low", "ci_high"]]
    grid = np.full((len(labels), len(keys), 3), np.nan)
    found = table.index
    for i, label in enumerate(labels):
        for j, key in enumerate(keys):
            if (label, *key) in found:
                grid[i, j] = table.loc[(label, *key)]
    kept = [i for i, label in enumerate(labels) if label in set(rows["label"])]
    values = np.where(np.isnan(grid[..., 0]), -np.inf, grid[..., 0])
    # Compared as printed, so that equal numbers are bold together.
    top = np.round(values, 3) == np.round(values.max(0 if best_of == "column" else 1, keepdims=True), 3)
    best = top & np.isfinite(values)
    lines = [[_score(grid[i, j], bool(best[i, j])) for j in range(len(keys))] for i in range(len(labels))]
    return [(labels[i], lines[i]) for i in kept]


def write_tables(outputs: Sequence[Path], title: str, rows: pd.DataFrame, tables: Sequence[Table]) -> None:
    """Write ``rows`` as ``.csv`` and ``tables`` as ``.md``, ``.tex`` and ``.html``, by the suffix of each output.

    Raises ValueError for another suffix, before anything is written.
    """
    writers = {
        ".csv": lambda: rows.to_csv(index=False, lineterminator="\n"),
        ".md": lambda: formats.markdown(title, tables),
        ".tex": lambda: formats.latex(tables),
        ".html": lambda: formats.page(title, tables),
    }
    unknown = [path for path in outputs if path.suffix not in writers]
    if unknown:
        raise ValueError(f"{unknown[0]}: tables are written as {', '.join(writers)}")
    for path in outputs:
        write_atomic(path, writers[path.suffix]())


def _score(numbers: npt.NDArray[np.float64], best: bool) -> Score:
    value, low, high = map(float, numbers)
    return Score(value, low, high, best)
