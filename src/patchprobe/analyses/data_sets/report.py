"""Tables of what the data sets of a run consist of."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from patchprobe.datasets.index_tables import read_classes
from patchprobe.errors import StoreError
from patchprobe.report.formats import Cell, Table
from patchprobe.report.layout import write_tables
from patchprobe.tiles.full_images import read_card
from patchprobe.tiles.patches import patch_labels


def datasets_table(
    images: Sequence[pd.DataFrame],
    classes: Sequence[Path],
    labels: Sequence[xr.Dataset],
    cards: Sequence[Path],
    outputs: Sequence[Path],
    *,
    datasets: Sequence[str],
    cut: Sequence[str],
    paper: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> None:
    """Write what each data set consists of: images, tiles, and pixels and patches of every class.

    ``images``, ``classes`` and ``labels`` are images tables, classes tables (CSV) and label stores, one of each of
    ``datasets``; ``cards`` are the cards of models, as many of each that is ``cut`` into patches, which say on which grids it is
    evaluated. Where classes have supercategories these have a line each too. ``paper`` has the numbers that the paper prints, by data set,
    class or supercategory, and quantity. Raises StoreError where patches or pixels do not add up to those of the tiles,
    ValueError for an unknown suffix in ``outputs``.
    """
    sizes, counts, each = [], [], len(cards) // max(len(cut), 1)
    for name, index, classes_file, stored in zip(datasets, images, classes, labels, strict=True):
        first = cut.index(name) * each if name in cut else len(cards)
        grids = sorted({_grid(card) for card in cards[first : first + each]})
        sizes += _sizes(name, index, stored)
        counts.append(_counts(name, read_classes(classes_file), index, stored, grids))
    columns = [("", "images"), ("", "tiles"), ("", "stored tile (px)")]
    overview = Table("datasets", "Images and tiles", "data set", columns, sizes)
    # A data set without a grid has no numbers there, and counts stay integers.
    table = pd.concat(counts, ignore_index=True).convert_dtypes()
    tables = [overview, *(_composition(part, paper.get(name, {})) for name, part in zip(datasets, counts, strict=True))]
    write_tables(outputs, "Data sets", table, tables)


def _grid(card: Path) -> tuple[int, int]:
    rows, columns = read_card(card)["grid"]
    return rows, columns


def _sizes(name: str, images: pd.DataFrame, labels: xr.Dataset) -> list[tuple[str, list[int | str]]]:
    split_of_tile = labels["split"].to_numpy()
    size = f"{labels.sizes['y']} x {labels.sizes['x']}"
    return [
        (f"{name}, {split}", [_files(images, split), int((split_of_tile == split).sum()), size])
        for split in images["split"].unique()
    ]


def _files(images: pd.DataFrame, split: str) -> int:
    """Return from how many images a split is; several tiles can be of one."""
    own = images[images["split"] == split]
    return int(own["image"].nunique())


def _counts(
    name: str, classes: pd.DataFrame, images: pd.DataFrame, labels: xr.Dataset, grids: Sequence[tuple[int, int]]
) -> pd.DataFrame:
    """Return the classes table with name and supercategory, what was drawn for each, and patches for every grid."""
    above = dict(zip(labels.attrs["class_names"], labels.attrs["supercategories"] or (), strict=False))
    drawn = images.groupby(["split", "drawn_for"]).size()
    keys = list(zip(classes["split"], classes["name"], strict=True))
    table = classes.assign(
        dataset=name,
        supercategory=[above.get(label, "") for label in classes["name"]],
        drawn=[int(drawn.get(key, 0)) for key in keys],
    )[["dataset", "split", "id", "name", "supercategory", "drawn", "images", "pixels"]]
    split_of_tile = labels["split"].to_numpy()
    maps = labels["label"].to_numpy() if grids else np.empty((0, 1, 1), np.uint8)
    for grid in grids:
        votes = patch_labels(maps, grid)
        found = {s: np.bincount(votes[split_of_tile == s].ravel(), minlength=256) for s in set(split_of_tile)}
        table[_grid_column(grid)] = [int(found[s][i]) for s, i in zip(table["split"], table["id"], strict=True)]
    _check_sums(name, table, images, split_of_tile, grids)
    return table


def _check_sums(
    name: str,
    table: pd.DataFrame,
    images: pd.DataFrame,
    split_of_tile: npt.NDArray[np.str_],
    grids: Sequence[tuple[int, int]],
) -> None:
    """Raise StoreError unless every pixel and patch of a split is counted once."""
    for split, part in table.groupby("split"):
        own, tiles = images[images["split"] == split], int((split_of_tile == split).sum())
        expected = {"pixels": int((own["height"] * own["width"]).sum())}
        expected |= {_grid_column(grid): tiles * grid[0] * grid[1] for grid in grids}
        for quantity, number in expected.items():
            if (found := int(part[quantity].sum())) != number:
                raise StoreError(
                    f"results/{name}/classes.csv and labels.zarr have {found} {quantity} of split {split}, expected {number}: delete "
                    "both and run again"
                )


def _composition(counts: pd.DataFrame, paper: Mapping[str, Mapping[str, int]]) -> Table:
    name = counts["dataset"].iloc[0]
    splits = list(counts["split"].unique())
    by_class = bool(counts["drawn"].any())
    grids = [column for column in counts.columns if column.startswith("patches_")]
    quantities = [*(["drawn"] if by_class else []), "images", "pixels", *grids]
    columns = [(split, _quantity_name(quantity)) for split in splits for quantity in quantities]
    by = counts.set_index(["split", "name"])[quantities].to_dict("index")
    lines: dict[str, list[Cell]] = {
        label: [int(by[split, label][quantity]) for split in splits for quantity in quantities]
        for label in counts["name"].drop_duplicates()
    }
    for above in [text for text in counts["supercategory"].drop_duplicates() if text and text not in lines]:
        part = counts[counts["supercategory"] == above].groupby("split")[quantities].sum().to_dict("index")
        # An image that shows two categories would count twice.
        lines[f"all of {above}"] = [
            "" if quantity == "images" else int(part[split][quantity]) for split in splits for quantity in quantities
        ]
    whole = counts.groupby("split")[quantities].sum().to_dict("index")
    lines["sum"] = [
        "" if quantity == "images" else int(whole[split][quantity]) for split in splits for quantity in quantities
    ]
    pixels = "Pixels are those of the images as they are cut"
    notes = [f"{pixels}, patches those of the tiles; a patch has its most frequent class." if grids else f"{pixels}."]
    if by_class:
        notes.append(
            "Drawn is for how many tiles or images a class was the reason; one with fewer than others had no more left."
        )
    if paper:
        known = [quantity for quantity in ("pixels", *grids) if any(quantity in numbers for numbers in paper.values())]
        columns += [("arXiv 2401.00463", _quantity_name(quantity)) for quantity in known]
        for label, cells in lines.items():
            numbers: Mapping[str, int] = paper.get(label.removeprefix("all of "), {})
            cells += [numbers.get(quantity) or "" for quantity in known]
    return Table(
        f"{name}-composition",
        f"{name}: images, pixels and patches of every class",
        "class",
        columns,
        list(lines.items()),
        tuple(notes),
    )


def _grid_column(grid: tuple[int, int]) -> str:
    return f"patches_{grid[0]}x{grid[1]}"


def _quantity_name(column: str) -> str:
    return column.replace("_", " ").replace("x", " x ") if column.startswith("patches_") else column
