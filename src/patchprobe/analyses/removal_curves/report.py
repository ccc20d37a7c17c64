"""Tables and figures of removal curves: scores against what was taken out, by removal."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import (
    METHOD_NAMES,
    interval_note,
    note_of_missing,
    order_known,
    order_methods,
    prepare,
)
from patchprobe.report.style import RC, WIDTH, Style, legend_columns, line_handles, new_figure, plain, save, styles

# All there are, so that each looks the same whatever stands beside it.
_ORDER = (
    "drop-top-variance",
    "drop-random",
    "drop-top-components",
    "drop-position",
    "drop-position-planes",
    "drop-position-mean",
    "drop-norm",
)
_METRIC, _QUANTITY = "pixel_miou", "mIoU over pixels (fraction)"
_NO_NUMBER = float("inf")  # the place of removals without one, behind all numbers
_WITHOUT_LINE = (
    "There are fewer features or directions than the smallest of removal_curves.counts, and logs/removal_curves/ says how many; a black "
    "image of raw pixels has none."
)


def table(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], removals: Sequence[str], interval: float
) -> None:
    """Write a table per data set and method: a line per model and removal, a column per number of what was taken out.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` and ``removals`` give the order of lines, ``interval`` the level
    of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    shown = shown[shown["metric"] == _METRIC]
    tables = []
    for dataset, part in shown.groupby("dataset", sort=True):
        for method in order_methods(part):
            own = part[part["method"] == method]
            known = order_known(set(own["variant"]) - {""}, removals)
            # Every removal begins with the model as it is.
            plain_rows = own[own["variant"] == ""]
            begun = [plain_rows.assign(label=plain_rows["model"] + f" {name}") for name in known]
            counted = own[own["variant"] != ""].assign(at=lambda one: one["at"].where(one["at"] > 0, _NO_NUMBER))
            named = order_known(set(own["model"]), models)
            labels = [f"{model} {name}" for model in named for name in known]
            laid_out = pd.concat([*begun, counted])
            laid_out = laid_out[laid_out["label"].isin(set(counted["label"]))]
            if counted.empty:
                labels, laid_out = named, plain_rows
            counts = sorted(laid_out["at"].unique())
            lines = lay_out_scores(laid_out, ["at"], labels, [(count,) for count in counts], best_of="row")
            notes = (
                interval_note(interval),
                "With 0 a model is as it is. A dash stands where a model or a black image has no more features or directions, and where a "
                "removal has a number or none.",
                *note_of_missing(
                    {model: set(own.loc[own["model"] == model, "variant"]) for model in named}, removals, _WITHOUT_LINE
                ),
                f"Protocol {own['protocol'].iloc[0]}, seed {own['seed'].iloc[0]}.",
            )
            name = METHOD_NAMES.get(method, method)
            tables.append(
                Table(
                    f"{dataset}-removal-curves-{method}",
                    f"{dataset}: mIoU over pixels by what was taken out, {name}",
                    "model and removal",
                    [("taken out", "no number" if count == _NO_NUMBER else f"{count:g}") for count in counts],
                    lines,
                    notes,
                )
            )
    write_tables(outputs, "Removal curves", rows, tables)


def figure(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    dataset: str,
    model: str,
    removals: Sequence[str],
    controls: Sequence[str],
) -> None:
    """Draw the curves of a model, and beside it those of the ``controls``: a row of panels per method, a line per removal.

    Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == _METRIC)]
    names = list(dict.fromkeys([model, *(name for name in controls if name in set(shown["model"]))]))
    look, methods = styles(_ORDER), order_methods(shown)
    known = [name for name in removals if name in set(shown["variant"])]
    counts = [float(count) for count in sorted(shown["at"].unique())]
    numberless = [name for name in known if (shown.loc[shown["variant"] == name, "at"] == 0).all()]
    beyond = {name: len(counts) - 0.2 + 0.5 * place for place, name in enumerate(numberless)}
    with matplotlib.rc_context(RC):
        across = legend_columns(known or [""], WIDTH)
        height = 0.5 + 0.17 * -(-len(known) // across) + 1.9 * len(methods)
        drawn = new_figure(WIDTH, height, layout="constrained")
        axes = drawn.subplots(len(methods), len(names), squeeze=False, sharey="row", sharex=True)
        for row, method in zip(axes, methods, strict=True):
            for ax, name in zip(row, names, strict=True):
                own = shown[(shown["method"] == method) & (shown["model"] == name)]
                _curves(ax, own, known, counts, beyond, look)
                ax.set_title(plain(f"{name}, {METHOD_NAMES.get(method, method)}"), loc="left")
            row[0].set_ylabel(_QUANTITY)
            row[0].set_ylim(bottom=0)
        for ax in axes[-1]:
            ax.set_xlabel("features or directions taken out")
        drawn.legend(handles=line_handles(known, look), loc="outside upper center", ncols=across)
        save(drawn, outputs)


def _curves(
    ax: Axes,
    rows: pd.DataFrame,
    removals: Sequence[str],
    counts: list[float],
    beyond: dict[str, float],
    look: dict[str, Style],
) -> None:
    """Draw the model as it is, a line per removal from there, and those without a number ``beyond`` the last number, at their places."""
    places = np.arange(len(counts), dtype=float)
    start = rows[rows["variant"] == ""]
    ax.plot(0, start["value"].iloc[0], color="black", marker=".", zorder=1)
    for removal in removals:
        own, style = rows[rows["variant"] == removal], look[removal]
        if own.empty:
            continue
        if removal in beyond:
            one, place = own.iloc[0], beyond[removal]
            ax.vlines(place, one["ci_low"], one["ci_high"], color=style.color, linewidth=1.0, alpha=0.6)
            ax.plot(place, one["value"], color=style.color, marker=style.marker)
            continue
        line = pd.concat([start, own]).set_index("at").reindex(counts)
        low, high = line["ci_low"].to_numpy(float), line["ci_high"].to_numpy(float)
        ax.fill_between(places, low, high, color=style.color, alpha=0.1, linewidth=0)
        ax.plot(places, line["value"].to_numpy(float), color=style.color, marker=style.marker)
    ticks, names = [*places], [f"{count:g}" for count in counts]
    if beyond:
        ax.axvline(len(counts) - 0.6, color="#dddddd", linewidth=0.6)
        ticks, names = [*ticks, float(np.mean(list(beyond.values())))], [*names, "no\nnumber"]
    ax.set_xticks(ticks, names)
    ax.set_xlim(-0.3, len(counts) - 0.7 + 0.5 * max(1, len(beyond)) + 0.3)
    ax.grid(axis="y")
