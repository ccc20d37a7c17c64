"""The explorer's page: pictures, neighbours, classes, and tokens for the shading, as many images as fit."""

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from PIL import Image

from patchprobe.analyses.explorer.packing import read_packed, unpacked
from patchprobe.analyses.explorer.scenes import Scene, choose_scenes
from patchprobe.errors import DataError, StoreError
from patchprobe.files import write_atomic
from patchprobe.report import pages
from patchprobe.tiles.patches import patch_labels

# Of the pictures of training tiles: their sides, px, and bytes in all, above which smaller ones are taken.
_SIDES, _PICTURES = (96, 64, 48, 32), 2_000_000
_WIDEST = 16_383  # px of a WebP
_LONGEST = 1200  # px of the picture of an image

_log = logging.getLogger(__name__)


_TWICE = "Tiles of an image overlap and stand side by side, each in a white frame: what two of them show is there twice"


def page(
    neighbors: Sequence[Path],
    tiles: xr.Dataset,
    labels: xr.Dataset,
    outputs: Sequence[Path],
    *,
    images: int,
    tiles_of_image: int,
    look: Sequence[str],
    dataset: str,
) -> None:
    """Write the page of a data set.

    ``neighbors`` are files of :func:`patchprobe.analyses.explorer.measure.measure`, of every model; ``tiles`` and ``labels`` the
    clean tile store and the label store, of which the same scenes are taken. ``look`` are digests of style and script, which lie
    beside this module. Images are left out from the last where the page would be too large, and without the shading more of
    them fit; the log says so. Raises DataError if not even one image fits, StoreError for files that do not belong together.
    """
    scenes = choose_scenes(labels, images, tiles_of_image)
    models = [read_packed(path) for path in neighbors]
    for path, model in zip(neighbors, models, strict=True):
        if model["scenes"] != [list(scene.tiles) for scene in scenes] or model["training"] != models[0]["training"]:
            raise StoreError(f"{path} is of other images than the label store: delete it and run again")
    title, folder = f"Explorer: {dataset}", Path(__file__).parent
    for count, shaded in _attempts(len(scenes)):
        header, arrays = _content(models, scenes[:count], tiles, labels, shaded)
        left_out = _left_out(len(scenes) - count, shaded)
        twice = any(_overlap(tiles, scene) for scene in scenes[:count])
        note = "; ".join(words for words in (left_out, _TWICE if twice else "") if words)
        text = pages.page(title, folder, pages.packed({"dataset": dataset, "note": note, **header}, arrays))
        if pages.fits(text):
            if left_out:
                _log.warning("%s: %s", outputs[0].name, left_out)
            write_atomic(outputs[0], text)
            return
    raise DataError(
        f"the explorer of {dataset} is larger than {pages.LIMIT // 10**6} MB with one image: set explorer.tiles, "
        "explorer.neighbors or explorer.removed to less, or explorer.enabled to false"
    )


def _attempts(images: int) -> Iterator[tuple[int, bool]]:
    for shaded in (True, False):
        for count in range(images, 0, -1):
            yield count, shaded


def _left_out(images: int, shaded: bool) -> str:
    """Say what did not fit."""
    said = [f"{images} image{'s' if images > 1 else ''}"] if images else []
    said += [] if shaded else ["the shading"]
    return f"{' and '.join(said)} left out, since a page has {pages.LIMIT // 10**6} MB at most" if said else ""


def _content(
    models: Sequence[Mapping[str, Any]],
    scenes: Sequence[Scene],
    tiles: xr.Dataset,
    labels: xr.Dataset,
    shaded: bool,
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return header and arrays of the page with some scenes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    shown = sum(len(scene.tiles) for scene in scenes)
    views = [_view(model, view, shown, arrays, shaded) for model in models for view in model["views"]]
    used = _number_training_tiles(models, views, arrays)
    grids = sorted({tuple(model["grid"]) for model in models})
    for grid in grids:
        for name, names in (("training", used), ("scene", [tile for scene in scenes for tile in scene.tiles])):
            arrays[f"{name} {grid[0]}x{grid[1]}"] = patch_labels(
                labels["label"].sel(tile=names).to_numpy(), grid
            ).ravel()
    side, sheet, columns = _training_sheet(tiles, used)
    arrays["sheet"] = sheet
    for i, scene in enumerate(scenes):
        pixels = _pixels(tiles, scene.tiles)
        if _overlap(tiles, scene):
            _frame(pixels)
        picture = Image.fromarray(_put_together(pixels, scene.columns))
        picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
        arrays[f"picture {i}"] = _webp(np.asarray(picture), quality=85)
    classes = dict(zip(map(str, labels.attrs["class_ids"]), map(str, labels.attrs["class_names"]), strict=True))
    header = {
        "classes": classes,
        "void": int(labels.attrs["void_id"]),
        "scenes": [{"image": scene.image, "rows": scene.rows, "columns": scene.columns} for scene in scenes],
        "training": {"tiles": used, "side": side, "columns": columns},
        "views": views,
        "shaded": shaded,
    }
    return header, arrays


def _view(
    model: Mapping[str, Any], view: Mapping[str, Any], shown: int, arrays: dict[str, npt.NDArray[Any]], shaded: bool
) -> dict[str, Any]:
    """Add the arrays of a view, of the first ``shown`` tiles, and return what the header says of it."""
    name = f"{model['model']} {view['variant']}".strip()
    rows, columns = model["grid"]
    patches = shown * rows * columns
    stops = []
    for number, stop in enumerate(view["stops"]):
        found = {key: unpacked(value)[:patches] for key, value in stop.items() if key != "removed"}
        for key, values in found.items():
            arrays[f"{name} {number} {key}"] = values.ravel()
        stops.append({"removed": stop["removed"], "train": found["train"].shape[1], "image": found["image"].shape[1]})
    order = unpacked(view["order"])
    if shaded:
        arrays |= {f"{name} order": order, f"{name} step": unpacked(view["step"])}
        if view["tokens"]:
            arrays[f"{name} tokens"] = unpacked(view["tokens"])[:patches].ravel()
    source = name if view["tokens"] else model["model"]
    return {"name": name, "rows": rows, "columns": columns, "features": len(order), "stops": stops, "tokens": source}


def _number_training_tiles(
    models: Sequence[Mapping[str, Any]], views: Sequence[Mapping[str, Any]], arrays: dict[str, npt.NDArray[Any]]
) -> list[str]:
    """Return the training tiles that any patch has a neighbour in, and number these alone in the arrays of neighbours."""
    names = models[0]["training"]
    found = [
        (f"{view['name']} {n} train", view["rows"] * view["columns"])
        for view in views
        for n in range(len(view["stops"]))
    ]
    used = np.unique(np.concatenate([np.unique(arrays[key] // patches) for key, patches in found]))
    for key, patches in found:
        tile, patch = np.divmod(arrays[key], patches)
        numbered = np.searchsorted(used, tile) * patches + patch
        arrays[key] = numbered.astype(np.uint16 if len(used) * patches < 1 << 16 else np.uint32)
    for key in [key for key in arrays if key.endswith(" image")]:
        arrays[key] = arrays[key].astype(np.uint16 if arrays[key].max(initial=0) < 1 << 16 else np.uint32)
    return [names[i] for i in used]


def _training_sheet(tiles: xr.Dataset, names: Sequence[str]) -> tuple[int, npt.NDArray[np.uint8], int]:
    """Return the side of a training tile on one picture of all of them, px, that picture, and its columns."""
    columns = int(np.ceil(np.sqrt(len(names))))
    pixels = _pixels(tiles, names)
    stored = pixels.shape[1]
    sides = [min(side, stored) for side in _SIDES if columns * min(side, stored) <= _WIDEST]
    for side in dict.fromkeys(sides):
        small = [np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.BOX)) for tile in pixels]
        empty = [np.zeros_like(small[0])] * (-len(small) % columns)
        sheet = _webp(_put_together(np.stack([*small, *empty]), columns), quality=80)
        if len(sheet) <= _PICTURES or side == sides[-1]:
            return side, sheet, columns
    raise DataError(
        f"{len(names)} training tiles do not fit on one picture: set explorer.images or explorer.tiles to less"
    )


def _pixels(tiles: xr.Dataset, names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return the pixels (tile, y, x, channel) of clean tiles by name; raises StoreError for one that is not there."""
    places = pd.Index(tiles["tile"].to_numpy()).get_indexer(list(names))
    if (places < 0).any():
        raise StoreError(
            f"{tiles.encoding.get('source', 'the tile store')} lacks tile {names[int(np.argmin(places))]!r}: delete it and run again"
        )
    return np.asarray(tiles["image"].isel(level=0).isel(tile=places).to_numpy())


def _overlap(tiles: xr.Dataset, scene: Scene) -> bool:
    """Tell whether tiles of a scene show a part of the image twice."""
    own = tiles.sel(tile=list(scene.tiles))
    size = np.broadcast_to(np.asarray(tiles.attrs["tile_size"]), 2)
    places = (np.unique(own[side].to_numpy()) for side in ("top", "left"))
    return any(bool((np.diff(place) < side).any()) for place, side in zip(places, size, strict=True))


def _frame(pixels: npt.NDArray[np.uint8]) -> None:
    """Draw a white line around every tile (tile, y, x, channel), in place."""
    width = max(1, pixels.shape[1] // 100)
    for edge in (slice(None, width), slice(-width, None)):
        pixels[:, edge] = 255
        pixels[:, :, edge] = 255


def _put_together(tiles: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Return tiles (n, y, x, channel) row by row as one picture."""
    n, height, width, channels = tiles.shape
    rows = tiles.reshape(n // columns, columns, height, width, channels).swapaxes(1, 2)
    return rows.reshape(n // columns * height, columns * width, channels)


def _webp(picture: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=quality)
    return np.frombuffer(file.getvalue(), np.uint8)
