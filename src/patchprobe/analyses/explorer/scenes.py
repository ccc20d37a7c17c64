"""The images of the explorer, and which of their tiles it shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.errors import StoreError


@dataclass(frozen=True)
class Scene:
    """A block of ``rows`` x ``columns`` neighbouring tiles of an image; ``tiles`` are their names, row by row."""

    image: str
    rows: int
    columns: int
    tiles: tuple[str, ...]


def choose_scenes(labels: xr.Dataset, images: int, tiles: int) -> list[Scene]:
    """Return scenes of so many evaluation images of a label store, evenly spread over all of them.

    Each is the whole image where it has no more than ``tiles`` tiles. Otherwise it is the block of that many at most with
    most classes in the truth, so that no model is favoured, and of equals the first. Raises StoreError for a store without evaluation tiles.
    """
    evaluation = np.flatnonzero(labels["split"].to_numpy() == "evaluation")
    if not len(evaluation):
        raise StoreError(
            f"{labels.encoding.get('source', 'the label store')} holds no tile of the evaluation split; delete it and run again"
        )
    owners = labels["image_id"].to_numpy()[evaluation]
    names = list(dict.fromkeys(owners.tolist()))
    spread = np.linspace(0, len(names) - 1, min(images, len(names))).round().astype(int)
    return [_scene(names[i], evaluation[owners == names[i]], labels, tiles) for i in spread]


def _scene(image: str, members: npt.NDArray[np.intp], labels: xr.Dataset, most: int) -> Scene:
    names = [str(name) for name in labels["tile"].to_numpy()[members]]
    at = {_place(name): i for i, name in enumerate(names)}
    rows, columns = (max(place[axis] for place in at) + 1 for axis in (0, 1))
    if len(at) == rows * columns <= most:
        chosen = (0, 0, rows, columns)
    else:
        maps = labels["label"].isel(tile=members).to_numpy()
        seen = [set(np.unique(one).tolist()) - {labels.attrs["void_id"]} for one in maps]
        chosen = _best_block({place: seen[i] for place, i in at.items()}, rows, columns, most)
    top, left, height, width = chosen
    places = product(range(top, top + height), range(left, left + width))
    return Scene(image, height, width, tuple(names[at[place]] for place in places))


def _best_block(
    classes: Mapping[tuple[int, int], set[int]], rows: int, columns: int, most: int
) -> tuple[int, int, int, int]:
    """Return top, left, rows and columns of the block: as many tiles as may be, shaped as the image, with most classes."""
    best, found = (0, 0.0, 0), (0, 0, 1, 1)
    for height, width in product(range(1, rows + 1), range(1, columns + 1)):
        if height * width > most:
            continue
        for top, left in product(range(rows - height + 1), range(columns - width + 1)):
            places = list(product(range(top, top + height), range(left, left + width)))
            # A draw of single tiles leaves holes.
            if all(place in classes for place in places):
                seen = len(set().union(*(classes[place] for place in places)))
                value = (height * width, -abs(height * columns - width * rows) / (rows * columns), seen)
                if value > best:
                    best, found = value, (top, left, height, width)
    return found


def _place(tile: str) -> tuple[int, int]:
    found = re.search(r"#r(\d+)c(\d+)$", tile)
    if found is None:
        raise StoreError(
            f"tile {tile!r} has no place in its image at the end of its name: delete the stores and run again"
        )
    return int(found[1]), int(found[2])
