"""Tables and figure of the removal sweep: scores without the features of highest variance."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from patchprobe.report.formats import Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import METHOD_NAMES, order_labels, order_methods, prepare
from patchprobe.report.style import RC, WIDTH, Style, legend_columns, line_handles, looks, new_figure, save

_METRICS = {
    "pixel_miou": "mIoU over pixels",
    "patch_miou": "mIoU over patches",
    "pixel_accuracy": "accuracy over pixels",
    "patch_accuracy": "accuracy over patches",
}
_UPRIGHT = 11  # numbers of three digits that fit side by side below a panel


def table(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], interval: float) -> None:
    """Write a table per data set, metric and classifier: a line per number of removed features, a column per model.

    ``rows`` are measurements as read; ``.csv`` holds all of them. ``models`` gives the order of columns, ``interval``
    the level of the intervals. Raises StoreError if seeds or protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    tables = [
        _scores(str(dataset), part, metric, method, models, interval)
        for dataset, part in shown.groupby("dataset", sort=True)
        for metric in _METRICS
        for method in order_methods(part)
    ]
    write_tables(outputs, "Removal of the features of highest variance", rows, tables)


def figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the number of removed features, a panel per classifier.

    A line per model with its interval as a band; numbers of features are evenly spaced. Raises as :func:`table`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    labels, look, methods = order_labels(shown, models), looks(shown, models), order_methods(shown)
    counts = sorted(shown["removed"].unique())
    with matplotlib.rc_context(RC):
        across = legend_columns(labels, WIDTH)
        drawn = new_figure(WIDTH, 2.7 + 0.17 * -(-len(labels) // across), layout="constrained")
        panels = drawn.subplots(1, len(methods), squeeze=False, sharey=True)[0]
        for ax, method in zip(panels, methods, strict=True):
            _lines(ax, shown[shown["method"] == method], counts, labels, look)
            ax.set_title(METHOD_NAMES.get(method, method), loc="left")
            ax.set_xlabel("removed features of highest variance")
            ax.tick_params(labelleft=True)
        panels[0].set_ylabel("mIoU over pixels (fraction)")
        panels[0].set_ylim(bottom=0)
        drawn.legend(handles=line_handles(labels, look), loc="outside upper center", ncols=across)
        save(drawn, outputs)


def _lines(ax: Axes, rows: pd.DataFrame, counts: list[int], labels: Sequence[str], look: dict[str, Style]) -> None:
    places = np.arange(len(counts), dtype=float)
    for label in labels:
        part = rows[rows["label"] == label].set_index("removed").reindex(counts)
        style = look[label]
        low, high = part["ci_low"].to_numpy(float), part["ci_high"].to_numpy(float)
        ax.fill_between(places, low, high, color=style.color, alpha=0.15, linewidth=0)
        ax.plot(places, part["value"].to_numpy(float), linestyle=style.line, color=style.color, marker=style.marker)
    ax.set_xticks(places, [str(count) for count in counts], rotation=90 if len(counts) > _UPRIGHT else 0)
    ax.set_xlim(-0.3, len(counts) - 0.7)
    ax.grid(axis="y")


def _scores(
    dataset: str, rows: pd.DataFrame, metric: str, method: str, models: Sequence[str], interval: float
) -> Table:
    part = rows[(rows["metric"] == metric) & (rows["method"] == method)]
    columns = order_labels(part, models)
    counts = [str(count) for count in sorted(part["removed"].unique())]
    by_count = part.assign(label=part["removed"].astype(str), model=part["label"])
    lines = lay_out_scores(by_count, ["model"], counts, [(label,) for label in columns])
    notes = (
        f"Clean tiles; intervals hold {100 * interval:g} % of the bootstrap over evaluation images.",
        "A dash stands where a model has no more features than would be removed.",
        f"Protocol {part['protocol'].iloc[0]}, seed {part['seed'].iloc[0]}.",
    )
    title = (
        f"{dataset}: {_METRICS[metric]} without the features of highest variance, {METHOD_NAMES.get(method, method)}"
    )
    name = f"{dataset}-removal-sweep-{metric.replace('_', '-')}-{method}"
    return Table(name, title, "removed", [("", label) for label in columns], lines, notes)
