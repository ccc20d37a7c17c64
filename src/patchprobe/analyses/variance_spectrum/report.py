"""Table and figure of the variance spectrum: how the variance of tokens is spread over their features."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd

from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import order_labels, prepare
from patchprobe.report.style import RC, legend_columns, line_handles, looks, new_figure, save

_TOP = (1, 5, 10, 200)
_MARKS = 8  # marks along a line


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str]) -> None:
    """Write the highest variances of every model and how much of the whole they are, a table per data set.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines. Raises
    StoreError if seeds or protocols are mixed, ValueError for an unknown suffix in ``outputs``.
    """
    shown = prepare(rows)
    tables = [_summary(str(name), part, models) for name, part in shown.groupby("dataset", sort=True)]
    write_tables(outputs, "Variance spectrum", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw the variances of all features of one data set against their rank, a line per model, both axes logarithmic.

    Features that do not vary at all are left out. Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[shown["dataset"] == dataset]
    labels, look = order_labels(shown, models), looks(shown, models)
    with matplotlib.rc_context(RC):
        width = 5.0
        across = legend_columns(labels, width)
        drawn = new_figure(width, 2.9 + 0.17 * -(-len(labels) // across), layout="constrained")
        ax = drawn.subplots()
        for label in labels:
            values, style = _spectrum(shown, label), look[label]
            values = values[values > 0]
            ranks = np.arange(1, len(values) + 1)
            marked = np.unique(np.geomspace(1, max(len(values), 1), _MARKS).astype(int)) - 1
            ax.plot(ranks, values, linestyle=style.line, color=style.color, marker=style.marker, markevery=list(marked))
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("rank of the feature by variance")
        ax.set_ylabel("variance over training patches")
        ax.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
        ax.grid()
        drawn.legend(handles=line_handles(labels, look), loc="outside upper center", ncols=across)
        save(drawn, outputs)


def _summary(dataset: str, rows: pd.DataFrame, models: Sequence[str]) -> Table:
    columns = [
        ("", "features"),
        ("variance", "highest"),
        ("variance", "second"),
        ("variance", "median"),
        ("variance", "highest / median"),
        *(("share of the whole variance", f"top {count}") for count in _TOP),
    ]
    lines = [(label, _cells(_spectrum(rows, label))) for label in order_labels(rows, models)]
    notes = (
        "Variances of the features over the labelled training patches, on clean tiles, last block; "
        "the whole is the sum over all features.",
        f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}.",
    )
    return Table(f"{dataset}-variance-spectrum", f"{dataset}: variance of features", "model", columns, lines, notes)


def _cells(values: npt.NDArray[np.float64]) -> list[Cell]:
    whole, median = values.sum(), float(np.median(values))
    highest = [_plain(value) for value in values[:2]] + [""] * (2 - len(values[:2]))
    ratio = _plain(values[0] / median) if median > 0 else "-"
    shares = [
        Score(float(values[:count].sum() / whole)) if whole > 0 and count < len(values) else "-" for count in _TOP
    ]
    return [len(values), *highest, _plain(median), ratio, *shares]


def _plain(value: float) -> str:
    """Write a number with three digits and without an exponent where that stays short."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _spectrum(rows: pd.DataFrame, label: str) -> npt.NDArray[np.float64]:
    """Return the variances of one label, highest first."""
    return np.sort(rows.loc[rows["label"] == label, "value"].to_numpy(float))[::-1]
