"""Tables and figures of patch retrieval under transformation."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr

from patchprobe.analyses.patch_retrieval.gallery import draw_gallery
from patchprobe.analyses.patch_retrieval.outcomes import ALL, OTHERS
from patchprobe.report.formats import Cell, Score, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.levels import draw_levels
from patchprobe.report.selection import (
    METHOD_NAMES,
    axis_of,
    interval_note,
    order_corruptions,
    order_labels,
    order_methods,
    prepare,
)
from patchprobe.report.style import RC, WIDTH, new_figure, plain, save

# What a query can find, best first: how it is called, and its colour, from dark (found) to light.
OUTCOMES = {
    "retrieved_same_patch": ("same patch", "#08519c"),
    "retrieved_same_class": ("same category", "#4292c6"),
    "retrieved_same_supercategory": ("same supercategory", "#9ecae1"),
    "retrieved_other_supercategory": ("other supercategory", "#fdae6b"),
    "retrieved_background": ("background", "#d9d9d9"),
}
# The outcome of each setting that is the best there.
_BEST = {ALL: "retrieved_same_patch", OTHERS: "retrieved_same_class"}


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float, near: float) -> None:
    """Write the tables of every data set: outcomes by corruption, the best outcome by level beside its ceiling, errors.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of lines, ``interval`` is the
    level of the intervals, ``near`` the distance in px of what counts as near. Raises StoreError if seeds or protocols are
    mixed, ValueError for an unknown suffix.
    """
    shown, tables = prepare(rows), []
    for name, part in shown.groupby("dataset", sort=True):
        labels = order_labels(part, models)
        for method in order_methods(part):
            own = part[part["method"] == method]
            tables.append(_outcomes(str(name), method, own, labels))
            tables += [
                _levels(str(name), method, corruption, own, labels, interval)
                for corruption in order_corruptions(own["corruption"])
            ]
        tables.append(_places(str(name), part[part["method"] == ALL], labels, near))
    write_tables(outputs, "Patch retrieval", rows, tables)


def retrieval_outcomes_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str
) -> None:
    """Draw what the queries of one data set found as stacked bars: a bar per model, a panel per corruption and setting.

    Shares are means over the levels of a corruption. Raises as :func:`table`.
    """
    shown = _mean_over_levels(_of(prepare(rows), dataset))
    labels, methods = order_labels(shown, models), order_methods(shown)
    corruptions = ["clean", *order_corruptions(shown["corruption"])]
    with matplotlib.rc_context(RC):
        height = 0.7 + len(methods) * (0.45 + 0.17 * len(labels))
        figure = new_figure(WIDTH, height, layout="constrained")
        grid = figure.subplots(len(methods), len(corruptions), squeeze=False, sharex=True, sharey=True)
        for axes, method in zip(grid, methods, strict=True):
            for ax, corruption in zip(axes, corruptions, strict=True):
                part = shown[(shown["method"] == method) & (shown["corruption"] == corruption)]
                values = part.pivot(index="label", columns="metric", values="value").reindex(labels)
                left = np.zeros(len(labels))
                for metric, (name, color) in OUTCOMES.items():
                    if metric in values:
                        width = values[metric].fillna(0).to_numpy(float)
                        ax.barh(range(len(labels)), width, 0.8, left=left, color=color, label=name)
                        left += width
                ax.set_title(plain(corruption), loc="left")
                ax.set_xlim(0, 1)
                ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes[0].set_yticks(range(len(labels)), [plain(label) for label in labels])
            axes[0].set_ylim(len(labels) - 0.5, -0.5)
            axes[0].set_ylabel(plain(METHOD_NAMES.get(method, method)))
        figure.supxlabel("share of the patches of objects, mean over levels", fontsize=8)
        handles = [matplotlib.patches.Patch(color=color, label=name) for name, color in OUTCOMES.values()]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        save(figure, outputs)


def retrieval_levels_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str
) -> None:
    """Draw how often the best outcome of each setting is reached at every level, with its ceiling. Raises as :func:`table`."""
    shown = _of(prepare(rows), dataset)
    best = pd.concat([shown[(shown["method"] == m) & (shown["metric"] == metric)] for m, metric in _BEST.items()])
    draw_levels(
        best,
        outputs,
        models=models,
        quantity="best outcome (fraction)",
        ceiling=shown[shown["metric"] == "ceiling"],
    )


def retrieval_gallery_sheet(
    examples: Sequence[Path],
    tiles: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    examples_of_each: int,
    dataset: str,
) -> None:
    """Draw queries of every model with what they found, hits and misses; see :func:`draw_gallery`."""
    names = {metric: name for metric, (name, _) in OUTCOMES.items()}
    draw_gallery(examples, tiles, outputs, models=models, number=examples_of_each, outcomes=names)


def _of(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    return rows[rows["dataset"] == dataset]


def _mean_over_levels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes as means over the levels of each corruption, without intervals."""
    rows = rows[rows["metric"].isin([*OUTCOMES, "ceiling"])]
    by = ["model", "variant", "label", "method", "corruption", "metric"]
    mean = rows.groupby(by, as_index=False)["value"].mean()
    return mean.assign(ci_low=np.nan, ci_high=np.nan)


def _outcomes(dataset: str, method: str, rows: pd.DataFrame, labels: Sequence[str]) -> Table:
    mean = _mean_over_levels(rows)
    metrics = [metric for metric in [*OUTCOMES, "ceiling"] if metric in set(mean["metric"])]
    keys = [(c, metric) for c in ["clean", *order_corruptions(mean["corruption"])] for metric in metrics]
    names = {metric: name for metric, (name, _) in OUTCOMES.items()} | {"ceiling": "ceiling"}
    levels = (
        f"{name} {', '.join(f'{level:g}' for level in sorted(rows.loc[rows['corruption'] == name, 'level'].unique()))}"
        for name in order_corruptions(rows["corruption"])
    )
    notes = (
        f"Nearest {METHOD_NAMES[method]}: shares of the patches of transformed tiles that show an object, mean over levels "
        f"({'; '.join(levels)}).",
        f"The ceiling is what a perfect matcher reaches of {OUTCOMES[_BEST[method]][0]}.",
        _same(rows),
    )
    return Table(
        f"{dataset}-retrieval-outcomes-{method}",
        f"{dataset}: what patches retrieve, {METHOD_NAMES[method]}",
        "model",
        [(corruption, names[metric]) for corruption, metric in keys],
        _unmarked(lay_out_scores(mean, ["corruption", "metric"], labels, keys), [m for _, m in keys], _BEST[method]),
        notes,
    )


def _levels(
    dataset: str, method: str, corruption: str, rows: pd.DataFrame, labels: Sequence[str], interval: float
) -> Table:
    part, best = rows[rows["corruption"] == corruption], _BEST[method]
    keys = [(level, metric) for level in sorted(part["level"].unique()) for metric in (best, "ceiling")]
    scores = lay_out_scores(part[part["metric"].isin([best, "ceiling"])], ["level", "metric"], labels, keys)
    title = f"{dataset}: {OUTCOMES[best][0]} under {corruption}, {METHOD_NAMES[method]}"
    columns = [(axis_of(corruption).title(level), "ceiling" if m == "ceiling" else OUTCOMES[m][0]) for level, m in keys]
    notes = (
        interval_note(interval, f"Patches of objects, at least {part['n'].min():,} at each level").replace(
            "images", "tiles"
        ),
    )
    lines = _unmarked(scores, [metric for _, metric in keys], best)
    return Table(f"{dataset}-retrieval-{corruption}-{method}", title, "model", columns, lines, (*notes, _same(rows)))


def _places(dataset: str, rows: pd.DataFrame, labels: Sequence[str], near: float) -> Table:
    """Return recall, and errors in px, which mean the same for patches of any size."""
    corruptions = order_corruptions(rows["corruption"])
    recalls = sorted(rows.loc[rows["metric"] == "recall", "at"].unique())
    rows = rows.assign(
        metric=rows["metric"].where(rows["metric"] != "recall", "recall " + rows["at"].map("{:g}".format))
    )
    mean = rows.groupby(["label", "corruption", "metric"])["value"].mean()
    shown = {
        "retrieved_same_patch": "recall at 1",
        **{f"recall {k:g}": f"recall at {k:g}" for k in recalls},
        "ceiling": "ceiling",
        "retrieved_near": "near",
        "retrieved_near_ceiling": "ceiling of near",
        "error_px": "error (px)",
        "error_px_least": "least (px)",
    }
    columns = [(corruption, name) for corruption in corruptions for name in shown.values()]

    def cell(label: str, corruption: str, metric: str) -> Cell:
        """Return a share as a score, an error in px as text."""
        value = float(mean.get((label, corruption, metric), np.nan))
        if metric.startswith("error_px"):
            return "-" if np.isnan(value) else f"{value:.1f}"
        return Score(value)

    lines = [(label, [cell(label, c, metric) for c in corruptions for metric in shown]) for label in labels]
    notes = (
        "Means over levels, among all patches. Recall is the share whose same patch is among the nearest; near is the share "
        f"whose nearest has its centre at most {near:g} px of the stored tile from where the query comes from.",
        "The error is the mean of that distance where the nearest lies in the own tile; the least is that of a perfect matcher "
        "for the same patches.",
        _same(rows),
    )
    title = f"{dataset}: places of retrieved patches"
    return Table(f"{dataset}-retrieval-places", title, "model", columns, lines, notes)


def _unmarked(
    lines: Sequence[tuple[str, Sequence[Score]]], metrics: Sequence[str], best: str
) -> list[tuple[str, list[Score]]]:
    """Mark the highest of the best outcome alone: more of any other is no merit."""
    return [
        (
            label,
            [
                cell if m == best else Score(cell.value, cell.low, cell.high)
                for cell, m in zip(cells, metrics, strict=True)
            ],
        )
        for label, cells in lines
    ]


def _same(rows: pd.DataFrame) -> str:
    return f"Protocol {rows['protocol'].iloc[0]}, seed {rows['seed'].iloc[0]}."
