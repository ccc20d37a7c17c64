"""Tables of results and of data sets, as CSV with every number and as Markdown, LaTeX and HTML to read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from patchprobe.datasets.index_tables import read_classes
from patchprobe.own_files import read_table
from patchprobe.report.formats import Score, Table
from patchprobe.report.layout import lay_out_scores, write_tables
from patchprobe.report.selection import (
    METHOD_NAMES,
    class_names,
    order_corruptions,
    order_known,
    order_labels,
    order_methods,
    prepare,
)
from patchprobe.stores.reading import open_store
from patchprobe.tiles.patches import patch_labels

_HEADLINE = {
    "pixel_miou": "mIoU, pixels",
    "patch_miou": "mIoU, patches",
    "pixel_accuracy": "accuracy, pixels",
    "patch_accuracy": "accuracy, patches",
}


def patch_classification(
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    classes: Mapping[str, Path],
    interval: float,
) -> None:
    """Write the tables of patch classification, one file per path in ``outputs``, its format by suffix.

    ``rows`` are those of :func:`patchprobe.measurements.read`; ``.csv`` holds all of them. ``.md``, ``.tex``
    and ``.html`` hold, per data set, the scores on clean tiles with intervals, the mean mIoU under every
    corruption, and the IoU of every class. ``models`` gives the order of rows, ``classes`` the classes table
    of each data set, ``interval`` the level of the intervals, such as 0.95. Raises StoreError if seeds or
    protocols are mixed, ValueError for an unknown suffix.
    """
    shown = prepare(rows)
    labels = order_labels(shown, models)
    tables: list[Table] = []
    for dataset, part in shown.groupby("dataset", sort=True):
        name = str(dataset)
        tables.append(_headline(name, part, labels, interval))
        if (part["corruption"] != "clean").any():
            tables.append(_robustness(name, part, labels))
        tables += _per_class(name, part, labels, class_names(classes[name]))
    write_tables(outputs, "Patch classification", rows, tables)


def datasets(
    images: Mapping[str, Path],
    classes: Mapping[str, Path],
    labels: Mapping[str, Path],
    predictions: Mapping[str, Sequence[Path]],
    outputs: Sequence[Path],
) -> None:
    """Write what each data set consists of: images, tiles, and pixels and patches of every class.

    Each mapping is by name of the data set: the images and classes tables (CSV), the label store, and
    prediction stores, which say on which patch grids the data set was evaluated. Raises StoreError for an
    unfinished store, ValueError for an unknown suffix in ``outputs``.
    """
    sizes, counts = [], []
    for name in images:
        stored = open_store(labels[name])
        grids = sorted({_grid(open_store(path)) for path in predictions[name]})
        sizes += _sizes(name, read_table(images[name], {"split": str}), stored)
        counts.append(_counts(name, read_classes(classes[name]), stored, grids))
    columns = [("", "images"), ("", "tiles"), ("", "stored tile (px)")]
    overview = Table("datasets", "Images and tiles", "data set", columns, sizes)
    # A data set without a grid has no numbers there, and counts stay integers.
    table = pd.concat(counts, ignore_index=True).convert_dtypes()
    tables = [overview, *(_composition(part) for part in counts)]
    write_tables(outputs, "Data sets", table, tables)


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


def _grid(predictions: xr.Dataset) -> tuple[int, int]:
    return int(predictions["patch_row"].max()) + 1, int(predictions["patch_col"].max()) + 1


def _sizes(name: str, images: pd.DataFrame, labels: xr.Dataset) -> list[tuple[str, list[int | str]]]:
    split_of_tile = labels["split"].to_numpy()
    size = f"{labels.sizes['y']} x {labels.sizes['x']}"
    return [
        (f"{name}, {split}", [int((images["split"] == split).sum()), int((split_of_tile == split).sum()), size])
        for split in images["split"].unique()
    ]


def _counts(name: str, classes: pd.DataFrame, labels: xr.Dataset, grids: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Return the classes table with the data set's name and a column of patches for every grid."""
    table = classes.assign(dataset=name)[["dataset", "split", "id", "name", "images", "pixels"]]
    split_of_tile = labels["split"].to_numpy()
    maps = labels["label"].to_numpy()
    for grid in grids:
        votes = patch_labels(maps, grid)
        found = {s: np.bincount(votes[split_of_tile == s].ravel(), minlength=256) for s in set(split_of_tile)}
        table[_grid_column(grid)] = [int(found[s][i]) for s, i in zip(table["split"], table["id"], strict=True)]
    return table


def _composition(counts: pd.DataFrame) -> Table:
    name = counts["dataset"].iloc[0]
    splits = list(counts["split"].unique())
    quantities = ["images", "pixels", *(column for column in counts.columns if column.startswith("patches_"))]
    by = counts.set_index(["split", "name"])[quantities].to_dict("index")
    columns = [(split, _quantity_name(quantity)) for split in splits for quantity in quantities]
    rows = [
        (label, [int(by[split, label][quantity]) for split in splits for quantity in quantities])
        for label in counts["name"].drop_duplicates()
    ]
    notes = ("Pixels are those of the whole images, patches those of the tiles; a patch has its most frequent class.",)
    return Table(
        f"{name}-composition", f"{name}: images, pixels and patches of every class", "class", columns, rows, notes
    )


def _grid_column(grid: tuple[int, int]) -> str:
    return f"patches_{grid[0]}x{grid[1]}"


def _quantity_name(column: str) -> str:
    return column.replace("_", " ").replace("x", " x ") if column.startswith("patches_") else column
