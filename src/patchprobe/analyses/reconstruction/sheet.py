"""The sheet of reconstruction: tiles, what the encoder saw of them, and what the decoder makes of their tokens."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from patchprobe.analyses.reconstruction.settings import NOTHING, of_kind
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.selection import order_known
from patchprobe.report.style import PAGE, RC, WIDTH, new_figure, save

Image = npt.NDArray[np.uint8]

# Inches: between pictures, a line of text, the head of a model and of the columns, and the margin of the shares.
_GAP, _LINE, _HEAD, _MARGIN = 0.04, 0.11, 0.38, 0.2
_HIGHEST, _LEAST = 1.15, 0.6  # inches, the side of a picture
_HIDDEN = 128
_TITLES = {
    "": "no feature zeroed",
    "zero-top-variance": "{} of highest\nvariance zeroed",
    "zero-random": "{} random ones\nzeroed",
    "keep-top-variance": "all but {} of highest\nvariance zeroed",
    NOTHING: "all zeroed",
}


def draw_sheet(reconstructions: Sequence[xr.Dataset], outputs: Sequence[Path], *, models: Sequence[str]) -> None:
    """Draw a block for each model: a row for each tile and share of masked patches, a column for each setting.

    ``reconstructions`` are the stores of the models, ``models`` gives their order. At the left stands what the encoder saw of the
    tile, and before it the tile itself where it never saw all of it; the PSNR of a whole tile stands below its
    reconstruction. Raises ValueError for an unknown suffix.
    """
    by_name = {str(store.attrs["model"]): store for store in reconstructions}
    names = order_known(set(by_name), models)
    columns = max(len(_inputs(store)) + store.sizes["shown"] for store in by_name.values())
    rows = {name: store.sizes["example"] * store.sizes["masked"] for name, store in by_name.items()}
    fitting = (PAGE - len(names) * _HEAD) / sum(rows.values()) - _LINE
    side = min(_HIGHEST, (WIDTH - _MARGIN) / columns, max(_LEAST, fitting))
    heights = [_HEAD + rows[name] * (side + _LINE) for name in names]
    with matplotlib.rc_context(RC):
        figure = new_figure(_MARGIN + columns * side, sum(heights) + _GAP)
        top = 0.0
        for name, height in zip(names, heights, strict=True):
            _draw_model(figure, top, side, name, by_name[name])
            top += height
        save(figure, outputs)


def _draw_model(figure: Figure, top: float, side: float, name: str, store: xr.Dataset) -> None:
    settings = store["shown"].to_numpy().tolist()
    put_text(figure, _GAP, top + _LINE, name, weight="bold", va="bottom")
    first = _inputs(store)
    titles = [*first, *map(_title, settings)]
    for column, title in enumerate(titles):
        put_text(figure, _MARGIN + (column + 0.5) * side, top + _HEAD - 0.03, title, ha="center", va="bottom")
    originals, pictures = store["original"].to_numpy(), store["picture"].to_numpy()
    ratios = store["score"].sel(metric="psnr").sel(tile=store["example"].to_numpy(), setting=settings).to_numpy()
    rows = [(e, m) for e in range(store.sizes["example"]) for m in range(store.sizes["masked"])]
    for row, (e, m) in enumerate(rows):
        y = top + _HEAD + row * (side + _LINE)
        share = f"{100 * float(store['masked'].to_numpy()[m]):g} % masked"
        put_text(figure, _MARGIN - 0.05, y + side / 2, share, rotation=90, va="center", ha="right")
        hidden = store["hidden"].to_numpy()[m, e].astype(bool)
        grid = int(store["patch_row"].max()) + 1, int(store["patch_col"].max()) + 1
        own = [originals[e], _covered(originals[e], hidden.reshape(grid))][-len(first) :]
        shown = [*own, *pictures[m, :, e]]
        for column, image in enumerate(shown):
            put_image(figure, _MARGIN + column * side + _GAP / 2, y + _GAP / 2, side - _GAP, image)
            if column >= len(own):
                text = f"{ratios[m, column - len(own), e]:.1f} dB"
                put_text(
                    figure, _MARGIN + (column + 0.5) * side, y + side + _LINE - _GAP, text, ha="center", va="bottom"
                )


def _inputs(store: xr.Dataset) -> list[str]:
    """Return the titles of the columns at the left."""
    seen_whole = (store["masked"].to_numpy() == 0).any()
    return ["seen by the encoder"] if seen_whole else ["tile", "seen by the encoder"]


def _title(setting: str) -> str:
    kind, count = of_kind(setting)
    return _TITLES[kind].format(count)


def _covered(image: Image, hidden: npt.NDArray[np.bool_]) -> Image:
    """Return an image (y, x, channel) with grey in place of the patches that are hidden (row, column)."""
    height, width = image.shape[0] // hidden.shape[0], image.shape[1] // hidden.shape[1]
    pixels = hidden.repeat(height, axis=0).repeat(width, axis=1)
    return np.where(pixels[..., None], np.uint8(_HIDDEN), image)
