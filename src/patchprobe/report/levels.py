"""Scores of models against the levels of corruptions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from patchprobe.report.selection import METHOD_NAMES, axis_of, order_corruptions, order_labels, order_methods
from patchprobe.report.style import RC, WIDTH, Style, legend_columns, line_handles, looks, new_figure, plain, save

_PANELS = 3  # side by side
_LEAST = 4.6  # inches, so that a legend beside few panels is no taller than they are


def draw_levels(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    quantity: str,
    ceiling: pd.DataFrame | None = None,
) -> None:
    """Draw prepared rows of one metric and data set against the level of every corruption, clean tiles included.

    A row of panels per method, a line per model; levels are evenly spaced. Clean tiles stand where the level changes
    nothing, and apart from the line where levels have no order of strength. ``ceiling`` has rows of what can be reached at
    most, drawn as thin grey lines. ``quantity`` names the axis of values, ``models`` are those of the run. Raises
    ValueError for an unknown suffix.
    """
    labels, look = order_labels(rows, models), looks(rows, models)
    corruptions, methods = order_corruptions(rows["corruption"]), order_methods(rows)
    columns = min(_PANELS, len(corruptions)) or 1
    bands = -(-len(corruptions) // columns) or 1
    handles = line_handles(labels, look)
    if ceiling is not None:
        handles.append(Line2D([], [], color="#888888", linewidth=0.8, linestyle=":", label="ceiling"))
    with matplotlib.rc_context(RC):
        width = max(_LEAST, WIDTH * columns / _PANELS)
        across = legend_columns([*labels, "ceiling"], width)
        height = 0.4 + 0.17 * -(-len(handles) // across) + bands * len(methods) * 1.65
        figure = new_figure(width, height, layout="constrained")
        grid = figure.subplots(bands * len(methods), columns, squeeze=False, sharey=True)
        for panel in range(bands * columns):
            band, column = divmod(panel, columns)
            for m, method in enumerate(methods):
                ax = grid[band * len(methods) + m, column]
                if panel >= len(corruptions):
                    ax.set_axis_off()
                    continue
                name = corruptions[panel]
                if ceiling is not None:
                    _ceilings(ax, ceiling[ceiling["method"] == method], name)
                _curves(ax, rows[rows["method"] == method], name, labels, look)
                ax.set_title(plain(f"{name}, {METHOD_NAMES.get(method, method)}"), loc="left")
                ax.set_xlabel(axis_of(name).name if m == len(methods) - 1 else "")
                ax.set_ylabel(quantity if column == 0 else "")
        grid[0, 0].set_ylim(0, 1.06 * rows["value"].max())
        figure.legend(handles=handles, loc="outside upper center", ncols=across)
        save(figure, outputs)


def _curves(ax: Axes, rows: pd.DataFrame, corruption: str, labels: Sequence[str], look: Mapping[str, Style]) -> None:
    for label in labels:
        places, values, ticks = _curve(rows, rows[rows["label"] == label], corruption)
        style = look[label]
        ax.plot(places, values, linestyle=style.line, color=style.color, marker=style.marker)
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set_xlim(-0.3, len(ticks) - 0.7)
    ax.grid(axis="y")


def _ceilings(ax: Axes, rows: pd.DataFrame, corruption: str) -> None:
    """Draw the ceilings of all models; those of one patch grid coincide."""
    for label in sorted(set(rows["label"])):
        places, values, _ = _curve(rows, rows[rows["label"] == label], corruption)
        ax.plot(places, values, color="#888888", linewidth=0.8, linestyle=":", zorder=1)


def _curve(rows: pd.DataFrame, own: pd.DataFrame, corruption: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return places and values of one label's line, and the ticks of all labels."""
    axis = axis_of(corruption)
    levels = sorted(rows.loc[rows["corruption"] == corruption, "level"].unique())
    at = 0 if axis.neutral is None else int(np.searchsorted(levels, axis.neutral))
    ticks = [f"{level:g}" for level in levels]
    clean = own.loc[own["corruption"] == "clean", "value"]
    by_level = own[own["corruption"] == corruption].set_index("level")["value"].reindex(levels).to_numpy(float)
    values = np.insert(by_level, at, float(clean.iloc[0]) if len(clean) else np.nan)
    places = np.arange(len(values), dtype=float)
    if axis.neutral is None:
        values = np.insert(values, 1, np.nan)
        places = np.insert(places, 1, 0.5)
    return places, values, [*ticks[:at], "clean", *ticks[at:]]
