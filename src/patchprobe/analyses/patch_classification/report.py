"""Tables and figures of patch classification."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patchprobe.report.dots import upper_limit
from patchprobe.report.formats import Score, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.levels import draw_levels
from patchprobe.report.selection import (
    METHOD_NAMES,
    class_names,
    frequent_classes,
    order_corruptions,
    order_known,
    order_labels,
    order_methods,
    prepare,
)
from patchprobe.report.style import PAGE, RC, WIDTH, Style, looks, new_figure, plain, save

_HEADLINE = {
    "pixel_miou": "mIoU, pixels",
    "patch_miou": "mIoU, patches",
    "pixel_accuracy": "accuracy, pixels",
    "patch_accuracy": "accuracy, patches",
}
_PANELS = 3  # corruptions side by side
_CELL = (0.17, 0.15)  # the least width and height in inches of a cell with a number


def table(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    datasets: Sequence[str],
    classes: Sequence[Path],
    interval: float,
) -> None:
    """Write the tables of patch classification, one file per path in ``outputs``, its format by suffix.

    ``rows`` are those of :func:`patchprobe.measurements.read`; ``.csv`` holds all of them. ``.md``, ``.tex``
    and ``.html`` hold, per data set, the scores on clean tiles with intervals, the mean mIoU under every
    corruption, and the IoU of every class. ``models`` gives the order of rows, ``classes`` the classes tables
    of ``datasets``, ``interval`` the level of the intervals, such as 0.95. Raises StoreError if seeds or
    protocols are mixed, ValueError for an unknown suffix.
    """
    shown, tables_of_classes = prepare(rows), dict(zip(datasets, classes, strict=True))
    labels = order_labels(shown, models)
    tables: list[Table] = []
    for dataset, part in shown.groupby("dataset", sort=True):
        name = str(dataset)
        tables.append(_headline(name, part, labels, interval))
        if (part["corruption"] != "clean").any():
            tables.append(_robustness(name, part, labels))
        tables += _per_class(name, part, labels, class_names(tables_of_classes[name]))
    write_tables(outputs, "Patch classification", rows, tables)


def clean_scores_figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str]) -> None:
    """Draw mIoU and accuracy over pixels of clean tiles: a row per model, a band of panels per data set.

    ``rows`` are measurements as read, ``models`` all models of the run, which fixes order and colours. Filled marks
    are 1-NN, open ones the linear probe; whiskers are the intervals. Raises StoreError if seeds or protocols are
    mixed, ValueError for an unknown suffix in ``outputs``.
    """
    shown = prepare(rows)
    shown = shown[shown["corruption"] == "clean"]
    labels = order_labels(shown, models)
    look = looks(shown, models)
    datasets = sorted(shown["dataset"].unique())
    with matplotlib.rc_context(RC):
        height = 0.75 + len(datasets) * (0.35 + 0.3 * len(labels))
        figure = new_figure(WIDTH, height, layout="constrained")
        grid = figure.subplots(len(datasets), 2, squeeze=False, sharey="row", sharex="col")
        for axes, dataset in zip(grid, datasets, strict=True):
            part = shown[shown["dataset"] == dataset]
            for ax, metric in zip(axes, ("pixel_miou", "pixel_accuracy"), strict=True):
                _dots(ax, part[part["metric"] == metric], labels, look)
                ax.set_xlim(0, upper_limit(shown[shown["metric"] == metric]))
            axes[0].set_title(plain(dataset), loc="left", fontweight="bold")
        grid[-1, 0].set_xlabel("mIoU over pixels (fraction)")
        grid[-1, 1].set_xlabel("accuracy over pixels (fraction)")
        _method_legend(figure, shown)
        save(figure, outputs)


def robustness_figure(rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str) -> None:
    """Draw mIoU over pixels of one data set against the level of every corruption, clean tiles included.

    A row of panels per method, a line per model; levels are evenly spaced. Clean tiles stand where the level changes
    nothing, and apart from the line where levels have no order of strength. Raises as :func:`clean_scores_figure`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["metric"] == "pixel_miou")]
    draw_levels(shown, outputs, models=models, quantity="mIoU over pixels (fraction)")


def class_iou_figure(
    rows: pd.DataFrame, outputs: Sequence[Path], *, models: Sequence[str], dataset: str, classes: Path
) -> None:
    """Draw the IoU over clean pixels of every class of one data set as a heat map, a block of columns per method.

    ``classes`` is the classes table of the data set, for the order of rows; a class in neither truth nor prediction
    is hatched. Where numbers would not fit into the cells, methods stand below each other. Of classes that do not fit on
    a page, those with most evaluation pixels are shown, and the figure says so. Raises as :func:`clean_scores_figure`.
    """
    shown = prepare(rows)
    shown = shown[(shown["dataset"] == dataset) & (shown["corruption"] == "clean") & (shown["metric"] == "pixel_iou")]
    labels, methods = order_labels(shown, models), order_methods(shown)
    names = order_known(set(shown["class"]), class_names(classes))
    total = len(names)
    across = len(methods) if (WIDTH - 1.9) / (len(methods) * len(labels)) >= _CELL[0] else 1
    down = len(methods) // across
    around = 0.8 + 0.06 * max(len(plain(label)) for label in labels) + 0.3 * (down - 1)
    names = frequent_classes(classes, names, int((PAGE - around) / (down * _CELL[1])))
    with matplotlib.rc_context(RC):
        row = min(0.2, (PAGE - around) / (down * len(names)))
        cell = min(0.55, (WIDTH - 1.9) / (across * len(labels)))
        width = 1.9 + across * cell * len(labels)
        figure = new_figure(width, around + down * row * len(names), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharey=True, sharex=True)
        for ax, method in zip(grid.ravel(), methods, strict=True):
            table = shown[shown["method"] == method].pivot(index="class", columns="label", values="value")
            image = _heat_map(ax, table.reindex(index=names, columns=labels))
            ax.set_title(plain(METHOD_NAMES.get(method, method)), loc="left")
        figure.colorbar(image, ax=grid, label="IoU over pixels (fraction)", shrink=0.7, aspect=30, pad=0.02)
        if len(names) < total:
            figure.supxlabel(
                f"The {len(names)} classes of {total} with most evaluation pixels", fontsize=7, x=0, ha="left"
            )
        save(figure, outputs)


def _headline(dataset: str, rows: pd.DataFrame, labels: Sequence[str], interval: float) -> Table:
    clean = rows[rows["corruption"] == "clean"]
    keys = [(method, metric) for method in order_methods(clean) for metric in _HEADLINE]
    scores = lay_out_scores(clean, ["method", "metric"], labels, keys)
    columns = [(METHOD_NAMES.get(method, method), _HEADLINE[metric]) for method, metric in keys]
    blocks = clean.drop_duplicates("label").set_index("label")["layer"]
    same = f"block {blocks.iloc[0]}" if blocks.nunique() == 1 else "the last block"
    notes = (
        f"Tokens of {same}; intervals hold {100 * interval:g} % of the bootstrap over evaluation images.",
        "Pixel scores compare models of any patch size; patch scores depend on the patch grid.",
        f"Protocol {clean['protocol'].iloc[0]}, seed {clean['seed'].iloc[0]}.",
    )
    return Table(f"{dataset}-clean", f"{dataset}: clean tiles", "model", columns, scores, notes)


def _robustness(dataset: str, rows: pd.DataFrame, labels: Sequence[str]) -> Table:
    miou = rows[rows["metric"] == "pixel_miou"]
    mean = miou.groupby(["label", "method", "corruption"], as_index=False)["value"].mean()
    mean = mean.assign(ci_low=np.nan, ci_high=np.nan)
    names = ["clean", *order_corruptions(mean["corruption"])]
    keys = [(method, corruption) for method in order_methods(mean) for corruption in names]
    columns = [(METHOD_NAMES.get(method, method), corruption) for method, corruption in keys]
    scores = lay_out_scores(mean, ["method", "corruption"], labels, keys)
    levels = (
        f"{name} {', '.join(f'{level:g}' for level in sorted(miou.loc[miou['corruption'] == name, 'level'].unique()))}"
        for name in names[1:]
    )
    notes = (
        "mIoU over pixels, mean over the levels of each corruption; classifiers saw clean tiles only.",
        f"Levels: {'; '.join(levels)}.",
    )
    return Table(f"{dataset}-robustness", f"{dataset}: corrupted tiles", "model", columns, scores, notes)


def _per_class(dataset: str, rows: pd.DataFrame, labels: Sequence[str], official: Sequence[str]) -> list[Table]:
    iou = rows[(rows["metric"] == "pixel_iou") & (rows["corruption"] == "clean")]
    names = order_known(set(iou["class"]), official)
    shown = [label for label in labels if label in set(iou["label"])]
    tables = []
    for method in order_methods(iou):
        part = iou[iou["method"] == method]
        by_class = part.assign(label=part["class"], model=part["label"])
        scores = lay_out_scores(by_class, ["model"], names, [(label,) for label in shown], best_of="row")
        plain = [(name, [Score(s.value, best=s.best) for s in cells]) for name, cells in scores]
        title = f"{dataset}: IoU of every class, {METHOD_NAMES.get(method, method)}"
        notes = ("IoU over pixels of clean tiles; - marks a class in neither truth nor prediction.",)
        columns = [("", label) for label in shown]
        tables.append(Table(f"{dataset}-classes-{method}", title, "class", columns, plain, notes))
    return tables


def _dots(ax: Axes, rows: pd.DataFrame, labels: Sequence[str], look: dict[str, Style]) -> None:
    methods = order_methods(rows)
    for m, method in enumerate(methods):
        part = rows[rows["method"] == method].set_index("label")
        shift = 0.26 * (m - (len(methods) - 1) / 2)
        for i, label in enumerate(labels):
            if label not in part.index:
                continue
            value, low, high = part.loc[label, ["value", "ci_low", "ci_high"]].to_numpy(float)
            style, y = look[label], i + shift
            ax.plot([low, high], [y, y], color=style.color, linewidth=1.1, solid_capstyle="butt")
            ax.plot(
                value,
                y,
                style.marker,
                color=style.color,
                markerfacecolor=style.color if method == "1-nn" else "white",
                markeredgewidth=1.1,
            )
    ax.set_yticks(range(len(labels)), [plain(label) for label in labels])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)


def _heat_map(ax: Axes, table: pd.DataFrame) -> matplotlib.image.AxesImage:
    values = table.to_numpy(float)
    image = ax.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            box = matplotlib.patches.Rectangle(
                (j - 0.5, i - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#999999", lw=0
            )
            ax.add_patch(box)
        else:
            color = "white" if value < 0.5 else "black"
            ax.text(
                j, i, f"{value:.2f}".lstrip("0") if value < 1 else "1", color=color, ha="center", va="center", size=6
            )
    ax.set_xticks(range(table.shape[1]), [plain(name) for name in table.columns], rotation=90)
    ax.set_yticks(range(table.shape[0]), [plain(name) for name in table.index])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image


def _method_legend(figure: Figure, rows: pd.DataFrame) -> None:
    handles = [
        Line2D(
            [],
            [],
            color="#333333",
            marker="o",
            linestyle="none",
            markerfacecolor="#333333" if method == "1-nn" else "white",
            label=plain(METHOD_NAMES.get(method, method)),
        )
        for method in order_methods(rows)
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
