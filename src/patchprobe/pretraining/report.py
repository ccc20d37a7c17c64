"""The loss of pretraining runs, one panel per objective because their losses have no common scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

from patchprobe.own_files import read_table
from patchprobe.report.style import COLORS, RC, WIDTH, new_figure, plain, save

_COLUMNS = 3
# A point is the mean of this share of a run, so that noise does not hide the course.
_POINTS = 100


def loss_curves(losses: Mapping[str, Path], outputs: Sequence[Path]) -> None:
    """Draw the loss over images seen, from the file ``loss.csv`` of each objective (columns images, loss)."""
    columns = min(_COLUMNS, len(losses))
    rows = -(-len(losses) // columns)
    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH * columns / _COLUMNS, 1.7 * rows + 0.2, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax, (objective, file), color in zip(axes.flat, losses.items(), COLORS * len(losses), strict=False):
            _curve(ax, read_losses(file), color)
            ax.set_title(plain(objective))
        for ax in axes.flat[len(losses) :]:
            ax.set_visible(False)
        figure.supxlabel("images seen, thousands", fontsize=8)
        figure.supylabel("loss", fontsize=8)
        save(figure, outputs)


def read_losses(path: Path) -> pd.DataFrame:
    """Read the loss of each step of a run; raises StoreError that names the file if it is damaged."""
    return read_table(path, {"images": float, "loss": float})


def _curve(ax: Axes, steps: pd.DataFrame, color: str) -> None:
    part = steps.index * _POINTS // len(steps)
    means = steps.groupby(part)[["images", "loss"]].mean()
    ax.plot(means["images"] / 1000, means["loss"], color=color)
    ax.set_xlim(left=0)
    ax.grid(True)
