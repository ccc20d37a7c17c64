"""Film-strips: objects, and what every model takes them for some frames later."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.patches import Rectangle

from patchprobe.errors import StoreError
from patchprobe.own_files import read_table
from patchprobe.report.pictures import put_image, put_text
from patchprobe.report.style import PAGE, RC, WIDTH, new_figure, save

_BOX = ("x1", "y1", "x2", "y2")
_COLUMNS = {
    **dict.fromkeys(
        ("model", "query", "video", "image_id", "object_id", "category", "found_image_id", "found_id"), str
    ),
    **dict.fromkeys((*_BOX, *(f"found_{side}" for side in _BOX)), float),
    "frames": int,
    "right": bool,
}
# Inches: a line of text, between pictures, the names of models, the greatest side of a picture.
_LINE, _GAP, _NAMES, _MOST = 0.13, 0.05, 1.15, 0.72
_RIGHT, _WRONG, _QUERY = "#009e73", "#d55e00", "#000000"
_AROUND = 1.4  # side of a picture as a multiple of the longer side of its box


def draw_strips(
    examples: Sequence[Path],
    tiles: xr.Dataset,
    images: pd.DataFrame,
    outputs: Sequence[Path],
    *,
    models: Sequence[str],
    number: int,
) -> None:
    """Draw ``number`` objects: a strip for each model, from the object to the one that is taken for it at every distance.

    ``examples`` are the tables of examples of all models, ``tiles`` is the tile store, ``images`` the table of frames. Those
    objects are drawn that tell models apart most. Raises StoreError for a damaged table or a store that lacks a frame.
    """
    table = pd.concat([read_table(path, _COLUMNS, may_be_empty=True) for path in examples], ignore_index=True)
    chosen = _telling(table, number)
    distances = sorted(table["frames"].unique())
    shown = [model for model in models if model in set(table["model"])]
    frames = _Frames(tiles, images)
    rows = max(1, len(chosen) * len(shown))
    head = 3 * _LINE
    side = min(
        _MOST,
        (WIDTH - _NAMES) / (1 + len(distances)) - _GAP,
        max(0.3, (PAGE - head * max(1, len(chosen))) / rows - _GAP),
    )
    height = _LINE + len(chosen) * (head + len(shown) * (side + _GAP))
    with matplotlib.rc_context(RC):
        figure = new_figure(WIDTH, max(height, 0.5))

        def picture(x: float, y: float, image_id: str, box: Sequence[float], color: str) -> None:
            """Draw the surroundings of a box, in a frame of its colour."""
            pixels, (x1, y1, x2, y2) = frames.around(image_id, box)
            axes = put_image(figure, x, y, side, pixels, extent=(0, 1, 1, 0))
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=0.7))
            axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=color, linewidth=2.4))

        put_text(
            figure,
            0.02,
            _LINE,
            "Left: object. Then its match, frames later: itself (green) or another (orange)."
            if chosen
            else "No object is there long enough.",
        )
        top = _LINE
        for query in chosen:
            own = table[table["query"] == query]
            first = own.iloc[0]
            put_text(
                figure,
                0.02,
                top + 2 * _LINE,
                f"{first['category']} {first['object_id']} of {first['image_id']}",
                weight="bold",
            )
            for place, distance in enumerate(distances, start=1):
                put_text(
                    figure, _NAMES + place * (side + _GAP) + side / 2, top + 2.75 * _LINE, f"+{distance}", ha="center"
                )
            top += head
            for model in shown:
                put_text(figure, 0.02, top + side / 2, model, va="center")
                picture(_NAMES, top, first["image_id"], [first[one] for one in _BOX], _QUERY)
                for _, match in own[own["model"] == model].iterrows():
                    x = _NAMES + (1 + distances.index(match["frames"])) * (side + _GAP)
                    box = [match[f"found_{one}"] for one in _BOX]
                    picture(x, top, match["found_image_id"], box, _RIGHT if match["right"] else _WRONG)
                top += side + _GAP
        save(figure, outputs)


def _telling(table: pd.DataFrame, number: int) -> list[str]:
    """Return the queries that models find at about half of the models and distances, of those that are there longest."""
    by_query = table.groupby("query", sort=True)
    facts = pd.DataFrame(
        {
            "times": by_query["frames"].nunique(),
            "off": (by_query["right"].mean() - 0.5).abs(),
            "object": by_query["object_id"].first() + " " + by_query["video"].first(),
        }
    )
    facts = facts.sort_values(["times", "off"], ascending=[False, True], kind="stable").drop_duplicates("object")
    return [str(query) for query in facts.index[:number]]


class _Frames:
    """The frames of a tile store, put together of their tiles."""

    def __init__(self, tiles: xr.Dataset, images: pd.DataFrame) -> None:
        self._tiles = tiles
        self._sides = images.set_index("image_id")[["height", "width"]]
        self.whole = lru_cache(maxsize=16)(self._whole)

    def around(self, image_id: str, box: Sequence[float]) -> tuple[npt.NDArray[np.uint8], tuple[float, ...]]:
        """Return a square of pixels around a box, and where the box lies in it, as shares of its side."""
        pixels = self.whole(image_id)
        height, width = self._sides.loc[image_id]
        scale = np.array([pixels.shape[1] / width, pixels.shape[0] / height] * 2)
        x1, y1, x2, y2 = np.asarray(box) * scale
        side = max(8.0, _AROUND * max(x2 - x1, y2 - y1))
        left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
        # What lies beyond the frame repeats its edge.
        x, y = ((start + np.arange(round(side))).round().astype(int) for start in (left, top))
        cut = pixels[np.clip(y, 0, len(pixels) - 1)[:, None], np.clip(x, 0, pixels.shape[1] - 1)]
        return cut, ((x1 - left) / side, (y1 - top) / side, (x2 - left) / side, (y2 - top) / side)

    def _whole(self, image_id: str) -> npt.NDArray[np.uint8]:
        found = np.flatnonzero(self._tiles["image_id"].to_numpy() == image_id)
        if not len(found):
            source = self._tiles.encoding.get("source", "a tile store")
            raise StoreError(f"{source} has no frame {image_id!r}: delete it and run again")
        part = self._tiles.isel(tile=found, level=0)
        rows, columns = int(part["row"].max()) + 1, int(part["col"].max()) + 1
        images = part["image"].to_numpy()
        images = images.reshape(rows, columns, *images.shape[1:]).transpose(0, 2, 1, 3, 4)
        return images.reshape(rows * images.shape[1], columns * images.shape[3], 3)
