"""Sheets of examples: what do models see, and what do they make of it?"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from patchprobe.analyses.sheets.choosing import choose_tiles
from patchprobe.analyses.sheets.reading import pick
from patchprobe.analyses.sheets.segmentation import draw_segmentations
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.selection import axis_of, order_corruptions
from patchprobe.report.style import RC, WIDTH, new_figure, save

# Inches: between tiles, a title above a tile, the side of a tile from which more than two images stand side by side.
_GAP, _TITLE, _LEAST = 0.03, 0.13, 0.95


def corruption_sheet(
    tiles: Sequence[xr.Dataset],
    labels: xr.Dataset,
    outputs: Sequence[Path],
    *,
    images: int,
    dataset: str,
) -> None:
    """Draw example tiles of a data set under every corruption: a row per corruption, the clean tile first, then its levels.

    ``tiles`` are the tile stores, clean and under each corruption; ``labels`` is the label store, by which
    :func:`patchprobe.analyses.sheets.choosing.choose_tiles` takes one tile from each of ``images`` evaluation images. Raises
    StoreError for a store that lacks the tile, ValueError for an unknown suffix in ``outputs``.
    """
    stores = {str(store.attrs["corruption"]): store for store in tiles}
    chosen, names = choose_tiles(labels, images), order_corruptions(stores)
    columns = 1 + max((stores[name].sizes["level"] for name in names), default=0)
    across = min(max(2, int(WIDTH / (0.25 + columns * _LEAST))), len(chosen))
    side = min(1.35, (WIDTH / across - 0.25) / columns)
    width, height = 0.25 + columns * side, 2 * _TITLE + max(1, len(names)) * (side + _TITLE)
    with matplotlib.rc_context(RC):
        figure = new_figure(across * width, -(-len(chosen) // across) * height)
        for t, tile in enumerate(chosen):
            left, top = t % across * width + 0.2, t // across * height + _TITLE
            put_text(figure, left, top - _GAP, tile, ha="left", va="baseline", weight="bold")
            clean = pick(stores["clean"].isel(level=0), "image", [tile])[0]
            if not names:
                _show(figure, left, top + _TITLE, side, clean, "clean")
            for r, name in enumerate(names):
                y = top + _TITLE + r * (side + _TITLE)
                put_text(figure, left - 0.06, y + side / 2, name, ha="right", va="center", rotation=90)
                _show(figure, left, y, side, clean, "clean")
                every = pick(stores[name], "image", [tile])[0]
                levels = stores[name]["level"].to_numpy().tolist()
                for i, (level, image) in enumerate(zip(levels, every, strict=True), start=1):
                    _show(figure, left + i * side, y, side, image, axis_of(name).title(level))
        save(figure, outputs)


def segmentation_sheet(
    tiles: xr.Dataset,
    labels: xr.Dataset,
    predictions: Sequence[xr.Dataset],
    rows: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    methods: Sequence[str],
    most: int,
    images: int,
    dataset: str,
) -> None:
    """Draw whole images, their truth and predictions in the colours of classes, and one tile enlarged, with a legend.

    ``tiles`` and ``labels`` are the clean tile store and the label store of the data set, ``predictions`` the prediction
    stores of clean tiles of ``models``, in the order to show, and ``rows`` the measurements of patch classification on clean
    tiles of each. Of more than ``most`` models so many are shown, by
    :func:`patchprobe.analyses.sheets.choosing.choose_models` on mIoU of the first of ``methods``, the classifiers to show.
    ``images`` evaluation images are stitched of their tiles as :func:`patchprobe.tiles.stitching.stitch` says; of the first, if
    it has several, the one with most classes stands enlarged below. Void is black with grey stripes. Panels are as large as
    the page allows. Raises StoreError for a store that lacks a tile and where measurements mix seeds or protocols, ValueError
    for an unknown suffix in ``outputs``.
    """
    stores = dict(zip(models, predictions, strict=True))
    draw_segmentations(tiles, labels, stores, rows, outputs, methods=methods, most=most, images=images)


def _show(figure: Figure, x: float, y: float, side: float, image: npt.NDArray[np.uint8], title: str) -> None:
    """Put an image with its title above it at (x, y) inches from the top left."""
    put_image(figure, x + _GAP / 2, y + _GAP / 2, side - _GAP, image)
    put_text(figure, x + side / 2, y - _GAP, title, ha="center", va="baseline")
