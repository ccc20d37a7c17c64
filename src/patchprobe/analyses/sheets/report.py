"""Sheets of tiles: under every corruption, and as every model segments them."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from patchprobe.errors import StoreError
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.selection import METHOD_NAMES, axis_of, order_corruptions, order_known
from patchprobe.report.style import RC, WIDTH, new_figure, plain, save
from patchprobe.tiles.patches import paint

Image = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint8]

# Inches: between tiles, a title above a tile, a line and a letter of its type.
_GAP, _TITLE, _LINE, _LETTER = 0.03, 0.13, 0.1, 0.06
_MODELS_PER_BAND = 7
_STRIPE = 110  # grey of the stripes on void


def choose_tiles(labels: xr.Dataset, images: int) -> list[str]:
    """Return a tile id for each of the first ``images`` evaluation images: its tile with most classes.

    ``labels`` is a label store. The choice looks at the truth only, so it favours no model; of equals the first
    tile is taken. Raises StoreError if the store holds no evaluation tile.
    """
    evaluation = np.flatnonzero(labels["split"].to_numpy() == "evaluation")
    if not len(evaluation):
        raise StoreError(
            f"{labels.encoding.get('source', 'the label store')} holds no tile of the evaluation split; delete it and run again"
        )
    image_ids, void = labels["image_id"].to_numpy(), labels.attrs["void_id"]
    chosen: list[str] = []
    for image_id in dict.fromkeys(image_ids[evaluation].tolist()):
        if len(chosen) == images:
            break
        tiles = evaluation[image_ids[evaluation] == image_id]
        maps = labels["label"].isel(tile=tiles).to_numpy()
        classes = [len(set(np.unique(tile).tolist()) - {void}) for tile in maps]
        chosen.append(str(labels["tile"].to_numpy()[tiles[int(np.argmax(classes))]]))
    return chosen


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
    :func:`choose_tiles` takes one tile from each of the first ``images`` evaluation images. Raises StoreError
    for a store that lacks the tile, ValueError for an unknown suffix in ``outputs``.
    """
    stores = {str(store.attrs["corruption"]): store for store in tiles}
    chosen, names = choose_tiles(labels, images), order_corruptions(stores)
    columns = 1 + max((stores[name].sizes["level"] for name in names), default=0)
    across = min(2, len(chosen))
    side = min(1.35, (WIDTH / across - 0.25) / columns)
    width, height = 0.25 + columns * side, 2 * _TITLE + max(1, len(names)) * (side + _TITLE)
    with matplotlib.rc_context(RC):
        figure = new_figure(across * width, -(-len(chosen) // across) * height)
        for t, tile in enumerate(chosen):
            left, top = t % across * width + 0.2, t // across * height + _TITLE
            put_text(figure, left, top - _GAP, tile, ha="left", va="baseline", weight="bold")
            clean = _pick(stores["clean"].isel(level=0), "image", tile)
            if not names:
                _show(figure, left, top + _TITLE, side, clean, "clean")
            for r, name in enumerate(names):
                y = top + _TITLE + r * (side + _TITLE)
                put_text(figure, left - 0.06, y + side / 2, name, ha="right", va="center", rotation=90)
                _show(figure, left, y, side, clean, "clean")
                every = _pick(stores[name], "image", tile)
                levels = stores[name]["level"].to_numpy().tolist()
                for i, (level, image) in enumerate(zip(levels, every, strict=True), start=1):
                    _show(figure, left + i * side, y, side, image, axis_of(name).title(level))
        save(figure, outputs)


def segmentation_sheet(
    tiles: xr.Dataset,
    labels: xr.Dataset,
    predictions: Sequence[xr.Dataset],
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    images: int,
    dataset: str,
) -> None:
    """Draw image, truth and the predictions of every model, painted over pixels, with a legend of the classes.

    ``tiles`` and ``labels`` are the clean tile store and the label store of the data set, ``predictions`` the prediction
    stores of clean tiles of ``models``, in the order to show. Each tile has a row per method, with the image and its truth
    at the left; more than seven models go on in further rows. Void is black with grey stripes. Raises as
    :func:`corruption_sheet`.
    """
    stores = {model: store.isel(level=0) for model, store in zip(models, predictions, strict=True)}
    methods = order_known({m for store in stores.values() for m in store["method"].values.tolist()}, METHOD_NAMES)
    bands = [list(stores)[i : i + _MODELS_PER_BAND] for i in range(0, len(stores), _MODELS_PER_BAND)]
    side = min(1.35, WIDTH / (1 + len(bands[0])))
    heads = {model: _wrap(model, int(side / _LETTER)) for model in stores}
    head = _LINE * max(text.count("\n") + 1 for text in heads.values())
    # The image and its truth take two rows even where there is one method.
    block = head + max(2, len(methods)) * (side + _TITLE) + 0.06

    panels: list[tuple[float, float, Ids | Image, str]] = []
    names: list[tuple[float, float, str]] = []
    top = 0.0
    for tile in choose_tiles(labels, images):
        truth = _pick(labels, "label", tile)
        for band in bands:
            rows = [top + head + _TITLE + r * (side + _TITLE) for r in range(max(2, len(methods)))]
            panels.append((0, rows[0], _pick(tiles.isel(level=0), "image", tile), "image"))
            panels.append((0, rows[1], truth, "truth"))
            for column, model in enumerate(band, start=1):
                names.append((column * side, top + head, heads[model]))
                for y, method in zip(rows, methods, strict=False):
                    ids = _painted(stores[model], method, tile, truth.shape)
                    panels.append((column * side, y, ids, METHOD_NAMES.get(method, method)))
            top += block

    handles = _legend_handles(
        labels, {int(i) for _, _, panel, _ in panels if panel.ndim == 2 for i in np.unique(panel)}
    )
    width = (1 + len(bands[0])) * side
    columns = max(1, int(width / (0.4 + _LETTER * max(len(str(handle.get_label())) for handle in handles))))
    with matplotlib.rc_context(RC):
        figure = new_figure(width, top + 0.1 + 0.16 * -(-len(handles) // columns))
        for x, y, panel, title in panels:
            _show(figure, x, y, side, panel if panel.ndim == 3 else _colour(panel, labels), title)
        for x, y, name in names:
            put_text(figure, x + side / 2, y, name, ha="center", va="bottom", weight="bold")
        figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=6.5, borderaxespad=0.2)
        save(figure, outputs)


def _pick(store: xr.Dataset, name: str, tile: str) -> npt.NDArray[np.uint8]:
    """Read one tile of an array of a store, its other dimensions in their order; raises StoreError if it is not there."""
    found = np.flatnonzero(store["tile"].to_numpy() == tile)
    if len(found) != 1:
        where = store.encoding["source"]
        raise StoreError(f"{where} holds tile {tile!r} {len(found)} times, expected once; delete it and run again")
    return store[name].isel(tile=int(found[0])).to_numpy()


def _painted(store: xr.Dataset, method: str, tile: str, shape: tuple[int, ...]) -> Ids:
    # As a dictionary, since sel has a parameter called method.
    ids = _pick(store.sel({"method": method}), "prediction", tile)
    rows, columns = int(store["patch_row"].max()) + 1, int(store["patch_col"].max()) + 1
    return paint(ids.reshape(rows, columns), (shape[0], shape[1]))


def _colour(ids: Ids, truths: xr.Dataset) -> Image:
    """Give every pixel (y, x) the colour of its class; void gets stripes, so that no class looks like it."""
    colors = np.zeros((256, 3), np.uint8)
    colors[truths.attrs["class_ids"]] = truths.attrs["class_colors"]
    image = colors[ids]
    diagonal = np.add.outer(np.arange(ids.shape[0]), np.arange(ids.shape[1]))
    void = ids == truths.attrs["void_id"]
    image[void] = np.where(diagonal * 28 // ids.shape[1] % 4 == 0, _STRIPE, 0)[void, None]
    return image


def _legend_handles(truths: xr.Dataset, seen: set[int]) -> list[Patch]:
    """Return a patch for every class on the sheet, in the official order, and for void."""
    triples = zip(*(truths.attrs[key] for key in ("class_ids", "class_names", "class_colors")), strict=True)
    handles = [
        Patch(
            facecolor=(color[0] / 255, color[1] / 255, color[2] / 255),
            edgecolor="#888888",
            linewidth=0.4,
            label=plain(name),
        )
        for i, name, color in triples
        if i in seen
    ]
    if truths.attrs["void_id"] in seen:
        grey = str(_STRIPE / 255)
        handles.append(Patch(facecolor="black", edgecolor=grey, hatch="/////", linewidth=0, label="void"))
    return handles


def _wrap(name: str, width: int) -> str:
    """Break a long name after separators into lines of at most ``width`` letters where it has separators."""
    lines = [""]
    for part in re.findall(r"[^-_. ]+[-_. ]*|[-_. ]+", name):
        if lines[-1] and len(lines[-1]) + len(part.strip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def _show(figure: Figure, x: float, y: float, side: float, image: Image, title: str) -> None:
    """Put an image with its title above it at (x, y) inches from the top left."""
    put_image(figure, x + _GAP / 2, y + _GAP / 2, side - _GAP, image)
    put_text(figure, x + side / 2, y - _GAP, title, ha="center", va="baseline")
