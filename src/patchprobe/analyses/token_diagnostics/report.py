"""Table, figures and pictures of token diagnostics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from patchprobe.analyses.token_diagnostics.pictures import draw_pictures
from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import order_labels, prepare
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

_CHANCE = "position_variance_by_chance"
# Panels of metrics against the block: title, metric, where on its axis, what it is compared with, and whether it is a share.
_PANELS = (
    ("RankMe", "rankme", 0, "", False),
    ("participation ratio", "participation_ratio", 0, "", False),
    ("variance in the top ten features", "variance_in_top", 10, "", True),
    ("variance explained by position", "position_variance", 0, _CHANCE, True),
    ("outliers by length, relative cut", "norm_outliers_relative", 0, "", False),
)
_ACROSS = 3
_DECADE = 10  # lengths that are farther apart are drawn on a logarithmic axis
_QUANTILES = {"least": 0.0, "median": 0.5, "99 %": 0.99, "greatest": 1.0}


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    norm_cut: float,
    relative_cut: float,
    interval: float,
) -> None:
    """Write a table per data set: a line per model with the diagnostics of its last block.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines, ``interval`` the level of the intervals; the
    cuts are told. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = []
    for dataset, own in shown.groupby("dataset", sort=True):
        numbers = sorted(own.loc[own["metric"] == "variance_in_top", "at"].unique())
        columns = [
            *(("length", name) for name in _QUANTILES),
            ("outliers by length", f"above {norm_cut:g}"),
            ("outliers by length", "relative"),
            ("outliers by length", "at the border"),
            *(("axes", name) for name in ("RankMe", "effective rank", "participation ratio")),
            *(("share of the variance in top", f"{number:g}") for number in numbers),
            *(("explained by position", name) for name in ("share", "by chance")),
            ("cosine", "of neighbours"),
        ]
        lines = [(label, _cells(own[own["label"] == label], numbers)) for label in order_labels(own, models)]
        border = own.loc[own["metric"] == "places_at_border", "value"]
        notes = (
            f"Drawn clean training tiles, last block; intervals hold {100 * interval:g} % of the bootstrap over their images.",
            f"A length is an outlier above {norm_cut:g}, or more than {relative_cut:g} robust deviations above the median; of the latter "
            f"the share at the border of the grid, which has {border.min():.3f} of all places.",
            "RankMe is of tokens as they are, effective rank and participation ratio are of centred ones.",
            f"Protocol {own['protocol'].iloc[0]}, seed {own['seed'].iloc[0]}.",
        )
        tables.append(Table(f"{dataset}-token-diagnostics", f"{dataset}: patch tokens", "model", columns, lines, notes))
    write_tables(outputs, "Token diagnostics", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw the diagnostics of one data set against the block, and similarity against distance. Raises as :func:`table`."""
    every = prepare(rows, every_layer=True)
    every = every[every["dataset"] == dataset]
    labels, look = order_labels(every, models), looks(every, models)
    with matplotlib.rc_context(RC):
        across = legend_columns(labels, WIDTH)
        drawn = new_figure(WIDTH, 4.1 + 0.17 * -(-len(labels) // across), layout="constrained")
        axes = drawn.subplots(2, _ACROSS, squeeze=False).ravel()
        for ax, (title, metric, at, beside, share) in zip(axes, _PANELS, strict=False):
            part = every[(every["metric"] == metric) & (every["at"] == at)]
            _lines(ax, part, "layer", labels, look)
            if beside:
                chance = every[every["metric"] == beside].groupby("layer")["value"].max()
                ax.plot(chance.index, chance, color=BESIDE.color, linestyle=BESIDE.line)
            ax.set_ylim(bottom=0, top=1 if share else None)
            ax.set_title(title, loc="left")
            ax.set_xlabel("block")
            ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        near = prepare(rows)
        near = near[(near["dataset"] == dataset) & (near["metric"] == "token_similarity")]
        _lines(axes[-1], near, "at", labels, look)
        axes[-1].axhline(0, color=BESIDE.color, linestyle=BESIDE.line, linewidth=1)
        axes[-1].set_title("cosine by distance, last block", loc="left")
        axes[-1].set_xlabel("distance (patches)")
        drawn.legend(handles=line_handles(labels, look), loc="outside upper center", ncols=across)
        save(drawn, outputs)


def token_norms_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], norm_cut: float, dataset: str
) -> None:
    """Draw how the lengths of tokens are distributed, block by block, a panel per model. Raises as :func:`table`."""
    shown = prepare(rows, every_layer=True)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "token_norm")]
    labels, look = order_labels(shown, models), looks(shown, models)
    across = min(4, max(1, len(labels)))
    down = -(-len(labels) // across)
    with matplotlib.rc_context(RC):
        drawn = new_figure(WIDTH, 0.3 + 1.45 * down, layout="constrained")
        axes = drawn.subplots(max(1, down), across, squeeze=False)
        for ax in axes.ravel()[len(labels) :]:
            ax.set_axis_off()
        for ax, label in zip(axes.ravel(), labels, strict=False):
            values = shown[shown["label"] == label].pivot(index="layer", columns="at", values="value")
            _fan(ax, values, look[label].color)
            if values.to_numpy().max() > norm_cut:
                ax.axhline(norm_cut, color="#444444", linewidth=0.8, linestyle=(0, (4, 2)))
            ax.set_title(plain(label), loc="left")
        for ax in axes[-1]:
            ax.set_xlabel("block")
        for row in axes:
            row[0].set_ylabel("length of a token")
        save(drawn, outputs)


def token_pictures_sheet(
    rows: pd.DataFrame,
    tiles: xr.Dataset,
    labels: xr.Dataset,
    tokens: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    images: int,
    dataset: str,
) -> None:
    """Draw tokens of whole images as colours, and their lengths: see :func:`draw_pictures`. Raises as :func:`table`, and StoreError for a store that lacks a tile."""
    shown = prepare(rows)
    places = shown[(shown["dataset"] == dataset) & (shown["metric"] == "token_norm_of_place")]
    of_places = {str(model): part.sort_values("at")["value"].to_numpy(float) for model, part in places.groupby("model")}
    stores = dict(zip(models, tokens, strict=True))
    draw_pictures(tiles, labels, stores, of_places, outputs, images=images)


def _cells(own: pd.DataFrame, numbers: Sequence[float]) -> list[Cell]:
    keys = zip(own["metric"], own["at"], strict=True)
    scores = map(Score, *(own[column].tolist() for column in ("value", "ci_low", "ci_high")))
    known = dict(zip(keys, scores, strict=True))

    def score(metric: str, at: float = 0) -> Cell:
        """The score of a metric with its interval."""
        return known.get((metric, at), "-")

    def number(metric: str, at: float = 0) -> str:
        """The value of a metric, which has no interval."""
        return f"{known[metric, at].value:.4g}"

    return [
        *(number("token_norm", at) for at in _QUANTILES.values()),
        *(score(f"norm_outliers{kind}") for kind in ("", "_relative", "_relative_at_border")),
        *(number(metric) for metric in ("rankme", "effective_rank", "participation_ratio")),
        *(score("variance_in_top", at) for at in numbers),
        *(score(metric) for metric in ("position_variance", _CHANCE)),
        score("token_similarity", 1),
    ]


def _lines(ax: Axes, rows: pd.DataFrame, over: str, labels: Sequence[str], look: Mapping[str, Style]) -> None:
    for label in labels:
        part, style = rows[rows["label"] == label].sort_values(over), look[label]
        options: dict[str, Any] = {"linestyle": style.line, "color": style.color, "marker": style.marker}
        ax.fill_between(part[over], part["ci_low"], part["ci_high"], color=style.color, alpha=0.15, linewidth=0)
        ax.plot(part[over], part["value"], markersize=3, **options)
    ax.grid(axis="y")


def _fan(ax: Axes, values: pd.DataFrame, color: str) -> None:
    """Draw a distribution per block: ``values`` has quantiles as columns. A single block is drawn as wide as two half ones."""
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, nbins=6))
    if len(values) == 1:
        layer = values.index[0]
        ax.set_xticks([layer])
        values = pd.concat([values, values]).set_axis([layer - 0.3, layer + 0.3])
    for low, high, alpha in ((0.05, 0.95, 0.2), (0.25, 0.75, 0.35)):
        ax.fill_between(values.index, values[low], values[high], color=color, alpha=alpha, linewidth=0)
    for at, line in ((0.0, ":"), (0.5, "-"), (1.0, ":")):
        ax.plot(values.index, values[at], color=color, linestyle=line, linewidth=1)
    least, greatest = values[0.0].min(), values[1.0].max()
    if least > 0 and greatest > _DECADE * least:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
    else:
        ax.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(nbins=5))
        ax.ticklabel_format(axis="y", useOffset=False)
    ax.grid(axis="y")
