"""The look of all figures: colours, fonts and files that are the same bytes for the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from patchprobe.stores import write_atomic

# Okabe and Ito, Color Universal Design (2008), without the yellow, which vanishes on white paper.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
# Seven inches is the text width of a two-column page.
WIDTH = 7.0

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
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 200,
    "svg.hashsalt": "patchprobe",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Style:
    """Colour and marker of a model, in every figure of a run."""

    color: str
    marker: str


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """Give every label its own pair of colour and marker, by its place in ``labels``; 56 labels at most."""
    return {label: Style(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(labels)}


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches that belongs to no global state."""
    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure to every path, its format (SVG, PNG) by suffix, whole or not at all.

    No date and no version is written, so that equal figures are equal bytes. Raises ValueError for another suffix.
    """
    metadata = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
    for path in outputs:
        if path.suffix not in metadata:
            raise ValueError(f"{path}: figures are written as {' and '.join(metadata)}")
    for path in outputs:
        with matplotlib.rc_context(RC):
            write_atomic(path, lambda file: figure.savefig(file, metadata=metadata[file.suffix]))
