"""Table, curves and sheet of reconstruction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from patchprobe.analyses.reconstruction.settings import KINDS, NOTHING, of_kind
from patchprobe.analyses.reconstruction.sheet import draw_sheet
from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import write_tables
from patchprobe.report.selection import interval_note, order_known, prepare
from patchprobe.report.style import LINES, RC, WIDTH, legend_columns, line_handles, new_figure, plain, save, styles

# Metrics in the order of columns, each with the number of decimals.
_METRICS = {"mse_normalised": 3, "psnr": 3, "ssim": 3, "mse": 4, "mse_hidden": 4}
_COLUMNS = {
    "mse_normalised": "MSE, normalised",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "mse": "MSE, pixels",
    "mse_hidden": "MSE, hidden patches",
}
_KINDS = {
    "zero-top-variance": "highest variance zeroed",
    "zero-random": "random ones zeroed",
    "keep-top-variance": "all but the highest variance zeroed",
}
_CURVES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mse_normalised": "MSE, normalised"}
_PANEL = 1.55  # inches


def table(
    rows: pd.DataFrame,
    reconstructions: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    interval: float,
    clip: bool,
    scope: str,
    paper: Sequence[Mapping[str, Any]],
) -> None:
    """Write a table per data set and share of masked patches: a line per model and setting, the paper's values beside ours.

    ``rows`` are measurements as read; ``.csv`` holds all of them, of all numbers of features. ``reconstructions`` are the stores,
    which say which settings the table has, ``paper`` values as
    :func:`patchprobe.analyses.reconstruction.paper_values.paper_values` returns them, ``clip`` and ``scope`` as configured. Raises
    StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = {str(store.attrs["model"]): store["shown"].to_numpy().tolist() for store in reconstructions}
    beside = {(value["model"], value["masked"], value["setting"]): value for value in paper}
    tables = []
    for (dataset, at), part in prepare(rows).groupby(["dataset", "at"], sort=True):
        masked = float(str(at))
        pairs = [(name, setting) for name in order_known(set(part["model"]), models) for setting in shown[name]]
        own = {pair: beside[pair[0], masked, pair[1]] for pair in pairs if (pair[0], masked, pair[1]) in beside}
        metrics = [metric for metric in _METRICS if metric in set(part["metric"])]
        sources = {metric: ["ours", *_paper_has(metric, own)] for metric in metrics}
        columns = [
            (_COLUMNS[metric], source) if own else ("", _COLUMNS[metric])
            for metric in metrics
            for source in sources[metric]
        ]
        values = {
            (row["model"], row["variant"], row["metric"]): (row["value"], row["ci_low"], row["ci_high"])
            for row in part.to_dict("records")
        }
        lines = []
        for model, setting in pairs:
            cells: list[Cell] = []
            for metric in metrics:
                cells.append(_cell(*values[model, setting, metric], metric=metric))
                if "paper" in sources[metric]:
                    cells.append(_paper_cell(own.get((model, setting)), metric))
            lines.append((f"{model} {setting}".strip(), cells))
        title = f"{dataset}: reconstruction, {_share(masked)}"
        name = f"{dataset}-reconstruction-{100 * masked:g}"
        notes = _notes(part, interval, clip, scope, bool(own))
        tables.append(Table(name, title, "model, zeroed features", columns, lines, notes))
    write_tables(outputs, "Reconstruction", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw the metrics of one data set against the number of zeroed features, a column of panels per share of masked patches.

    A line per model and choice of features; a thin one is what is left with all features zeroed, where the choice to keep none
    would start. Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[shown["dataset"] == dataset]
    parts = [of_kind(name) for name in shown["variant"]]
    shown = shown.assign(kind=[kind for kind, _ in parts], count=[count for _, count in parts])
    counts, shares = sorted(shown.loc[shown["kind"] != NOTHING, "count"].unique()), sorted(shown["at"].unique())
    found = order_known(set(shown["model"]), models)
    look = styles([*models, *(name for name in found if name not in models)])
    handles = line_handles(found, look)
    handles += [
        Line2D([], [], color="#444444", linestyle=line, label=plain(_KINDS[kind]))
        for kind, line in zip(KINDS, LINES, strict=False)
    ]
    handles.append(Line2D([], [], color="#444444", linewidth=0.6, label="all zeroed"))
    with matplotlib.rc_context(RC):
        across = legend_columns([str(handle.get_label()) for handle in handles], WIDTH)
        height = 0.5 + 0.17 * -(-len(handles) // across) + _PANEL * len(_CURVES)
        drawn = new_figure(WIDTH, height, layout="constrained")
        grid = drawn.subplots(len(_CURVES), len(shares), squeeze=False, sharex=True, sharey="row")
        for axes, (metric, quantity) in zip(grid, _CURVES.items(), strict=True):
            for ax, share in zip(axes, shares, strict=True):
                own = shown[(shown["metric"] == metric) & (shown["at"] == share)]
                for model in found:
                    _curves(ax, own[own["model"] == model], counts, look[model].color, look[model].marker)
                ax.set_xticks(
                    range(len(counts)), [f"{count:g}" for count in counts], rotation=90 if len(counts) > 8 else 0
                )
                ax.set_xlim(-0.3, len(counts) - 0.7)
                ax.grid(axis="y")
            axes[0].set_ylabel(quantity)
        for ax, share in zip(grid[0], shares, strict=True):
            ax.set_title(plain(_share(float(share))), loc="left")
        drawn.supxlabel("features zeroed, or of the highest variance kept", fontsize=8)
        drawn.legend(handles=handles, loc="outside upper center", ncols=across)
        save(drawn, outputs)


def reconstruction_sheet(
    reconstructions: Sequence[xr.Dataset], outputs: Sequence[Path], *, models: Sequence[str], dataset: str
) -> None:
    """Draw a few tiles of one data set and their reconstructions; see :func:`draw_sheet`."""
    draw_sheet(reconstructions, outputs, models=models)


def _curves(ax: Axes, rows: pd.DataFrame, counts: Sequence[int], color: str, marker: str) -> None:
    start = rows[rows["kind"] == ""]
    for floor in rows.loc[rows["kind"] == NOTHING, "value"]:
        ax.axhline(floor, color=color, linewidth=0.6, alpha=0.8, zorder=1)
    for kind, line in zip(KINDS, LINES, strict=False):
        part = rows[rows["kind"] == kind]
        # With no feature zeroed, whichever would come first.
        part = part if kind.startswith("keep") else pd.concat([start, part])
        part = part.set_index("count").reindex(np.asarray(counts))
        places = np.arange(len(counts), dtype=float)
        low, high = part["ci_low"].to_numpy(float), part["ci_high"].to_numpy(float)
        ax.fill_between(places, low, high, color=color, alpha=0.12, linewidth=0)
        values = part["value"].to_numpy(float)
        there = np.isfinite(values)
        ax.plot(places[there], values[there], color=color, linestyle=line, marker=marker, markersize=3.5)


def _paper_has(metric: str, own: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    return ["paper"] if any(metric in value for value in own.values()) else []


def _cell(value: float, low: float, high: float, *, metric: str) -> Cell:
    digits = _METRICS[metric]
    if digits == 3:
        return Score(value, low, high)
    return f"{value:.{digits}f}" + ("" if np.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def _paper_cell(value: Mapping[str, Any] | None, metric: str) -> Cell:
    return "-" if value is None else f"{value[metric]:.{_METRICS[metric]}f}"


def _share(masked: float) -> str:
    return f"{100 * masked:g} % of the patches masked" if masked else "no patch masked"


def _notes(rows: pd.DataFrame, interval: float, clip: bool, scope: str, paper: bool) -> tuple[str, ...]:
    clipped = "reconstructions clipped to that" if clip else "reconstructions not clipped"
    tokens = "in all tokens, [CLS] too" if scope == "all" else "in the tokens of patches alone"
    notes = [
        interval_note(interval, of=f"{rows['n'].iloc[0]:,} clean evaluation tiles"),
        f"PSNR, SSIM and MSE compare pixels in 0..1, {clipped}, over whole tiles, hidden patches and others alike; the normalised MSE "
        "compares them as the model gets them, not clipped. Features are zeroed " + tokens + ".",
        f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}.",
    ]
    if paper:
        notes.insert(
            2,
            "Paper: arXiv 2401.00463, table 4, on images of its own; values to stand beside, not to reach. It does not say in which "
            "space it takes the MSE; its size is that of normalised pixels.",
        )
    return tuple(notes)
