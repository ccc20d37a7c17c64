"""Tables of what the data sets of a run consist of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from patchprobe.datasets.index_tables import read_classes
from patchprobe.report.formats import Table
from patchprobe.report.layout import write_tables
from patchprobe.tiles.patches import patch_labels


def datasets_table(
    images: Sequence[pd.DataFrame],
    classes: Sequence[Path],
    labels: Sequence[xr.Dataset],
    predictions: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    datasets: Sequence[str],
) -> None:
    """Write what each data set consists of: images, tiles, and pixels and patches of every class.

    ``images``, ``classes`` and ``labels`` are images tables, classes tables (CSV) and label stores, one of each of
    ``datasets``; ``predictions`` are prediction stores, as many of each, which say on which patch grids it was evaluated.
    Raises ValueError for an unknown suffix in ``outputs``.
    """
    sizes, counts, each = [], [], len(predictions) // len(datasets)
    for i, (name, index, classes_file, stored) in enumerate(zip(datasets, images, classes, labels, strict=True)):
        grids = sorted({_grid(store) for store in predictions[i * each : (i + 1) * each]})
        sizes += _sizes(name, index, stored)
        counts.append(_counts(name, read_classes(classes_file), stored, grids))
    columns = [("", "images"), ("", "tiles"), ("", "stored tile (px)")]
    overview = Table("datasets", "Images and tiles", "data set", columns, sizes)
    # A data set without a grid has no numbers there, and counts stay integers.
    table = pd.concat(counts, ignore_index=True).convert_dtypes()
    tables = [overview, *(_composition(part) for part in counts)]
    write_tables(outputs, "Data sets", table, tables)


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
