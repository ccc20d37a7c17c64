"""The look of all figures: colours, fonts and files that are the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patchprobe.errors import shown
from patchprobe.files import write_atomic

# Okabe and Ito, Color Universal Design (2008), without the yellow, which vanishes on white paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
# A model as it is, then its variants; those that come first are the easiest to tell apart in print.
LINES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (7, 1.5, 1, 1.5)),
    (0, (1, 4)),
    (0, (11, 3)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
)
# Seven inches is the text width of a two-column page.
WIDTH = 7.0
# Its height, less a caption.
PAGE = 9.0

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 200,
    "svg.hashsalt": "patchprobe",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Style:
    """Colour and marker of a model, in every figure of a run; variants of the model differ by the line."""

    color: str
    marker: str
    line: Any = LINES[0]


# What is no model, such as chance.
BESIDE = Style("#888888", "", ":")


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """Give every label its own pair of colour and marker, by its place in ``labels``; 56 labels at most."""
    return {label: Style(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(labels)}


def looks(rows: pd.DataFrame, models: Sequence[str]) -> dict[str, Style]:
    """Return the style of every label of prepared rows (see :func:`patchprobe.report.selection.prepare`).

    ``models`` are all models of the run, so that a figure without one of them draws the others the same.
    """
    found = rows[["model", "variant", "label"]].drop_duplicates().sort_values(["model", "variant"])
    plain = styles([*models, *sorted(set(found["model"]) - set(models))])
    look = dict(plain)
    for model, part in found[found["variant"] != ""].groupby("model"):
        for i, label in enumerate(part["label"]):
            look[label] = replace(plain[str(model)], line=LINES[1 + i % (len(LINES) - 1)])
    return look


def plain(text: str) -> str:
    """Return a name as matplotlib has to get it to draw just that: no mathematics between dollars, no control
    characters, which SVG cannot hold, and no length that leaves no room for the figure."""
    return shown(text, 80).replace("$", r"\$")


def line_handles(labels: Sequence[str], look: Mapping[str, Style]) -> list[Line2D]:
    """Return what a legend of lines shows."""
    return [
        Line2D(
            [], [], color=look[label].color, marker=look[label].marker, linestyle=look[label].line, label=plain(label)
        )
        for label in labels
    ]


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many entries of a legend fit side by side in ``width`` inches, four at most."""
    return max(1, min(4, len(labels), int(width / (0.7 + 0.07 * max(map(len, labels))))))


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches that belongs to no global state."""
    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure to every path, its format (SVG, PNG) by suffix, whole or not at all.

    The figure keeps the layout that it gets for the first path. No date and no version is written, so that equal figures
    are equal bytes. Raises ValueError for another suffix.
    """
    metadata = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
    for path in outputs:
        if path.suffix not in metadata:
            raise ValueError(f"{path}: figures are written as {' and '.join(metadata)}")
    for path in outputs:
        with matplotlib.rc_context(RC):
            write_atomic(path, lambda file: figure.savefig(file, metadata=metadata[file.suffix]))
        # Laid out once: finding the places takes as long as drawing.
        figure.set_layout_engine(None)
