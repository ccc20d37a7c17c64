"""Values of models as dots: a line per model, a panel per question, marks for what is compared within a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from patchprobe.report.style import RC, WIDTH, Style, new_figure, plain, save, styles

_ACROSS = 4  # panels side by side


@dataclass(frozen=True)
class Mark:
    """How a value is drawn: a marker of matplotlib of a ``size`` in points, ``hollow`` without filling."""

    name: str
    marker: str
    hollow: bool = False
    size: float = 4.5


def draw_dots(
    panels: Mapping[str, pd.DataFrame],
    marks: Mapping[str, Mark],
    outputs: Sequence[Path],
    *,
    quantity: str,
    models: Sequence[str],
    empty: str,
    limits: tuple[float, float] | None = None,
    apart: bool = True,
) -> None:
    """Draw a panel per title from rows with ``model``, ``mark`` (a key of ``marks``), ``value`` and its interval.

    ``quantity`` names the axis of values, ``models`` are those of the run, ``empty`` is what a figure without panels
    says. ``limits`` are those of the axis of values of all panels, from 0 to the highest value of each if None; marks of a model stand below each other if
    ``apart``, otherwise on one line. Raises ValueError for an unknown suffix.
    """
    found = {str(model) for part in panels.values() for model in part["model"]}
    shown = [*(model for model in models if model in found), *sorted(found - set(models))]
    look = styles([*models, *sorted(found - set(models))])
    across = min(_ACROSS, max(len(panels), 1))
    down = max(-(-len(panels) // across), 1)
    # So that marks below each other do not touch.
    line = max(0.22, 0.085 * len(marks)) if apart else 0.22
    with matplotlib.rc_context(RC):
        drawn = new_figure(WIDTH, 0.6 + down * (0.7 + line * max(len(shown), 2)), layout="constrained")
        axes = drawn.subplots(down, across, squeeze=False, sharey=True, sharex=limits is not None).ravel()
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        if not panels:
            axes[0].text(0.5, 0.5, empty, ha="center", va="center", transform=axes[0].transAxes)
        for ax, (title, part) in zip(axes, panels.items(), strict=False):
            _dots(ax, part, shown, marks, look, 0.33 if apart else 0.0)
            ax.set_xlim(limits or (0, upper_limit(part)))
            ax.set_title(plain(title), loc="left")
            ax.set_xlabel(quantity)
            ax.tick_params(labelbottom=True)
        handles = [
            Line2D([], [], linestyle="", label=plain(mark.name), **_marker(mark, "#444444")) for mark in marks.values()
        ]
        drawn.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        save(drawn, outputs)


def upper_limit(rows: pd.DataFrame) -> float:
    """Return the end of an axis from 0 that holds the intervals of all rows, 1 if there is nothing to hold."""
    highest = rows["ci_high"].fillna(rows["value"]).max()
    return 1.05 * float(highest) if highest > 0 else 1.0


def _dots(
    ax: Axes,
    rows: pd.DataFrame,
    models: Sequence[str],
    marks: Mapping[str, Mark],
    look: Mapping[str, Style],
    spread: float,
) -> None:
    offsets = np.linspace(-spread, spread, len(marks))
    for place, model in enumerate(models):
        for offset, (key, mark) in zip(offsets, marks.items(), strict=True):
            color = look[model].color
            for row in rows[(rows["model"] == model) & (rows["mark"] == key)].to_dict("records"):
                ax.plot([row["ci_low"], row["ci_high"]], [place + offset] * 2, color=color, alpha=0.5, linewidth=1)
                ax.plot(row["value"], place + offset, **_marker(mark, color))
    ax.set_yticks(range(len(models)), [plain(model) for model in models])
    ax.set_ylim(max(len(models), 1) - 0.5, -0.5)
    ax.grid(axis="x")


def _marker(mark: Mark, color: str) -> dict[str, Any]:
    face = "white" if mark.hollow else color
    return {"color": color, "marker": mark.marker, "markersize": mark.size, "markerfacecolor": face}
