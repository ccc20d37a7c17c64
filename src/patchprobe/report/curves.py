"""Scores of models over something that is counted (blocks, images, removed features): tables and curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import METHOD_NAMES, METRIC_NAMES, interval_note, order_labels, order_methods, prepare
from patchprobe.report.style import (
    BESIDE,
    RC,
    WIDTH,
    Style,
    legend_columns,
    line_handles,
    looks,
    new_figure,
    plain,
    save,
)

_UPRIGHT = 66  # digits that fit side by side below all panels


def curve_table(
    rows: pd.DataFrame,
    over: str,
    *,
    name: str,
    title: str,
    corner: str,
    models: Sequence[str],
    notes: Sequence[str],
) -> Table:
    """Return a table of prepared rows (see :func:`patchprobe.report.selection.prepare`) of one metric and method.

    It has a line per value of the column ``over``, which ``corner`` names, and a column per model in the order of
    ``models``; protocol and seed are added to ``notes``.
    """
    columns = order_labels(rows, models)
    values = [_number(value) for value in sorted(rows[over].unique())]
    by_value = rows.assign(label=rows[over].map(_number), model=rows["label"])
    lines = lay_out_scores(by_value, ["model"], values, [(label,) for label in columns])
    same = f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}."
    return Table(name, title, corner, [("", label) for label in columns], lines, (*notes, same))


def write_method_tables(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    over: str,
    *,
    heading: str,
    name: str,
    subject: str,
    corner: str,
    models: Sequence[str],
    interval: float,
    notes: Sequence[str] = (),
) -> None:
    """Write the tables of :func:`curve_table` for every data set, metric and method.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``heading`` is that of the page; ``name`` becomes part of the
    tables' names, ``subject`` of their titles, after the metric. ``models`` gives the order of columns, ``interval`` the
    level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    tables = [
        curve_table(
            part[(part["metric"] == metric) & (part["method"] == method)],
            over,
            name=f"{dataset}-{name}-{metric.replace('_', '-')}-{method}",
            title=f"{dataset}: {shown_as} {subject}, {METHOD_NAMES.get(method, method)}",
            corner=corner,
            models=models,
            notes=(interval_note(interval), *notes),
        )
        for dataset, part in prepare(rows).groupby("dataset", sort=True)
        for metric, shown_as in METRIC_NAMES.items()
        for method in order_methods(part)
    ]
    write_tables(outputs, heading, rows, tables)


def draw_methods(
    rows: pd.DataFrame, over: str, outputs: Sequence[Path], *, dataset: str, axis: str, models: Sequence[str]
) -> None:
    """Draw mIoU over pixels of one data set with :func:`draw_curves`, a panel for each method.

    ``rows`` are measurements as read. Raises StoreError if seeds or protocols are mixed.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    panels = {METHOD_NAMES.get(method, method): shown[shown["method"] == method] for method in order_methods(shown)}
    draw_curves(panels, over, outputs, axis=axis, quantity="mIoU over pixels (fraction)", models=models)


def draw_curves(
    panels: Mapping[str, pd.DataFrame],
    over: str,
    outputs: Sequence[Path],
    *,
    axis: str,
    quantity: str,
    models: Sequence[str],
    beside: str = "",
    bands: bool = True,
) -> None:
    """Draw prepared rows of one metric, a panel per title, their value against the column ``over``.

    A line per model, with its interval as a band unless ``bands`` would lie on each other; values of ``over`` are evenly
    spaced, since they rise by factors. ``axis`` and ``quantity`` name the axes, ``models`` are those of the run. The label
    ``beside`` is no model, and its line is thin and grey. Raises ValueError for an unknown suffix.
    """
    rows = pd.concat(panels.values())
    labels, look = order_labels(rows, models), looks(rows, models) | {beside: BESIDE}
    values = sorted(rows[over].unique())
    turned = len(panels) * sum(len(_number(value)) for value in values) > _UPRIGHT
    with matplotlib.rc_context(RC):
        across = legend_columns(labels, WIDTH)
        drawn = new_figure(WIDTH, 2.7 + 0.17 * -(-len(labels) // across), layout="constrained")
        axes = drawn.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for ax, (title, part) in zip(axes, panels.items(), strict=True):
            _lines(ax, part, over, values, labels, look, bands)
            ax.set_xticks(np.arange(len(values)), [_number(value) for value in values], rotation=90 if turned else 0)
            ax.set_title(plain(title), loc="left")
            ax.set_xlabel(axis)
            ax.tick_params(labelleft=True)
        axes[0].set_ylabel(quantity)
        axes[0].set_ylim(bottom=0)
        drawn.legend(handles=line_handles(labels, look), loc="outside upper center", ncols=across)
        save(drawn, outputs)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


def _lines(
    ax: Axes,
    rows: pd.DataFrame,
    over: str,
    values: list[float],
    labels: Sequence[str],
    look: Mapping[str, Style],
    bands: bool,
) -> None:
    places = np.arange(len(values), dtype=float)
    for label in labels:
        part = rows[rows["label"] == label].set_index(over).reindex(values)
        style = look[label]
        low, high = part["ci_low"].to_numpy(float), part["ci_high"].to_numpy(float)
        if bands:
            ax.fill_between(places, low, high, color=style.color, alpha=0.15, linewidth=0)
        ax.plot(places, part["value"].to_numpy(float), linestyle=style.line, color=style.color, marker=style.marker)
    ax.set_xlim(-0.3, len(values) - 0.7)
    ax.grid(axis="y")
