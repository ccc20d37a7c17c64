"""Pictures of tokens: their first principal components as colours, and their lengths."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.analyses.sheets.choosing import choose_images, tiles_of
from patchprobe.analyses.sheets.reading import Image, Part, part_of, pick, stitched
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.style import PAGE, RC, WIDTH, new_figure, save
from patchprobe.tiles.stitching import stitch
from patchprobe.tokens.directions import moments_of, top_components
from patchprobe.tokens.labelled import grid

# Inches: beside the pictures, between them, above each row, and the map of places.
_LEFT, _GAP, _LINE, _MAP = 0.22, 0.06, 0.14, 0.75
_ENDS = (1, 99)  # percentiles of a component that are darkest and brightest
_GREY = 225  # of what no tile covers


def draw_pictures(
    tiles: xr.Dataset,
    labels: xr.Dataset,
    stores: Mapping[str, xr.Dataset],
    of_places: Mapping[str, npt.NDArray[np.float64]],
    outputs: Sequence[Path],
    *,
    images: int,
) -> None:
    """Draw a row of photographs, and a row for each model: components and lengths of the tokens of each image, and the mean length at places.

    ``tiles`` and ``labels`` are the clean tile store and the label store, ``stores`` the token stores of clean tiles by model, ``of_places`` the
    mean length (patches,) at each place. ``images`` evaluation images are shown. Raises StoreError for a store that lacks a tile.
    """
    parts = [part_of(labels, tiles_of(labels, image).tolist()) for image in choose_images(labels, images)]
    photographs = []
    for part in parts:
        found = stitched(tiles.isel(level=0), "image", part)
        photographs.append(np.where(found.covered[..., None], found.pixels, _GREY).astype(np.uint8))
    wide = (WIDTH - _LEFT - _MAP - (2 * len(parts) + 1) * _GAP) / (2 * len(parts))
    tallest = max(picture.shape[0] / picture.shape[1] for picture in photographs)
    high = min(wide * tallest, (PAGE - _LINE) / (len(stores) + 1) - _LINE)
    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH, (len(stores) + 1) * (high + _LINE) + _GAP)
        places = [_LEFT + i * (wide + _GAP) for i in range(2 * len(parts))]
        for image, photograph in enumerate(photographs):
            put_image(figure, places[2 * image], _LINE, wide, photograph, height=high)
        put_text(
            figure,
            places[1],
            _LINE + 0.1,
            "Left: first three principal\ncomponents of the tokens.\nRight: their lengths.",
            va="top",
        )
        put_text(figure, WIDTH - _MAP, _LINE + high, "mean length\nat each place", va="bottom")
        for row, (model, store) in enumerate(stores.items(), start=1):
            top = row * (high + _LINE) + _LINE
            put_text(figure, places[0], top - 0.03, model, weight="bold")
            for i, (shown, (low, top_length)) in enumerate(_pictures(store, parts)):
                put_image(figure, places[i], top, wide, shown, height=high)
                if i % 2:
                    put_text(figure, places[i] + wide, top - 0.03, f"{low:.4g} to {top_length:.4g}", ha="right")
            if model in of_places:
                mean = of_places[model].reshape(grid(store))
                side = min(_MAP - _GAP, high)
                put_image(figure, WIDTH - _MAP, top, side, _bright(mean, mean.min(), mean.max()), height=side)
                put_text(figure, WIDTH - _MAP, top - 0.03, f"{mean.min():.4g} to {mean.max():.4g}")
        save(figure, outputs)


def components(tokens: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the first three principal components of tokens (..., features) as colours uint8 (..., 3).

    Each goes from its 1st percentile, dark, to its 99th. An axis points to where its greatest loading is positive.
    """
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float32)
    moments = moments_of(flat)
    axes = top_components(moments).first(3).vectors
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    found = (flat - moments.mean) @ axes.T
    low, high = np.percentile(found, _ENDS, axis=0)
    scaled = np.clip((found - low) / np.where(high > low, high - low, 1), 0, 1)
    colours = np.zeros((len(flat), 3))
    colours[:, : scaled.shape[1]] = scaled
    return np.asarray((255 * colours).round().astype(np.uint8).reshape(*tokens.shape[:-1], 3))


def _pictures(store: xr.Dataset, parts: Sequence[Part]) -> list[tuple[Image, tuple[float, float]]]:
    """Return two pictures of each part, components and lengths, with the least and the greatest length of all."""
    last = store.isel(level=0, layer=-1)
    last.encoding["source"] = store.encoding.get("source", "the token store")
    tokens = [_tokens(last, part) for part in parts]
    coloured = components(np.concatenate(tokens))
    lengths = [np.linalg.norm(one.astype(np.float32), axis=-1) for one in tokens]
    least, greatest = min(map(np.min, lengths)), max(map(np.max, lengths))
    found, start = [], 0
    for part, own in zip(parts, lengths, strict=True):
        colours = coloured[start : start + len(own)]
        start += len(own)
        for patches in (colours, _bright(own, least, greatest)):
            maps = patches.reshape(len(own), *grid(store), 3)
            pixels, covered, _ = stitch(maps, part.corners, part.cut)
            shown = np.where(covered[..., None], pixels, _GREY).astype(np.uint8)
            found.append((shown, (float(least), float(greatest))))
    return found


def _tokens(last: xr.Dataset, part: Part) -> npt.NDArray[Any]:
    return np.asarray(pick(last, "tokens", part.tiles))


def _bright(values: npt.NDArray[Any], low: float, high: float) -> Image:
    """Return values (...) as colours uint8 (..., 3), from dark to bright."""
    shares = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(matplotlib.colormaps["inferno"](shares, bytes=True)[..., :3])
