"""What the nearest patch of a query is to it (protocol section 6), counted per tile."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patchprobe.tiles.correspondence import NONE

ALL, OTHERS = "retrieval", "retrieval-other-tiles"
"""The settings, as measurements call them: among the patches of all tiles, and with the query's own left out."""

OUTCOMES = (
    "retrieved_same_patch",
    "retrieved_same_class",
    "retrieved_same_supercategory",
    "retrieved_other_supercategory",
    "retrieved_background",
)
"""Best first; each query has one. The class of the same patch does not count, that of any other is what its label says."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Patches:
    """The original patches of all tiles, row by row: ``classes`` int64 (tiles x patches,) of ids, and what ids mean.

    ``supercategories`` int64 (256,) numbers the supercategory of every id; ``background`` is the id of no object.
    """

    classes: Ints
    supercategories: Ints
    background: int
    grid: tuple[int, int]
    size: tuple[int, int]

    @property
    def each(self) -> int:
        """Patches in a tile."""
        return self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Queries:
    """Patches of transformed tiles that look for an original one, int64 (n,) each.

    ``tile`` is their tile, ``patch`` their place in it, ``class_id`` their label, and ``same`` the original patch that
    shows the same, numbered over all tiles, ``NONE`` without one. ``source`` float64 (n, 2) is where their centre comes from.
    """

    tile: Ints
    patch: Ints
    class_id: Ints
    same: Ints
    source: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tile)


def outcomes(queries: Queries, found: Ints, patches: Patches) -> Ints:
    """Return the place in ``OUTCOMES`` of what each query found, int64 (n,): ``found`` numbers original patches."""
    theirs = patches.classes[found]
    same_above = patches.supercategories[theirs] == patches.supercategories[queries.class_id]
    grades = [found == queries.same, theirs == queries.class_id, theirs == patches.background, same_above]
    return np.select(grades, [0, 1, 4, 2], 3)


def pixel_errors(
    queries: Queries, found: Ints, patches: Patches, centres: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the distance in px between where a query comes from and the centre of what it found, float64 (n,).

    It is infinite where that lies in another tile, NaN for a query that comes from outside its tile. ``centres`` are those
    of the patches of a tile.
    """
    place = centres[found % patches.each]
    errors = np.hypot(*(place - queries.source).T)
    errors[found // patches.each != queries.tile] = np.inf
    errors[queries.same == NONE] = np.nan
    return errors


def elsewhere(queries: Queries, patches: Patches) -> npt.NDArray[np.bool_]:
    """Return which queries have a patch of their class in another tile, bool (n,)."""
    tiles = len(patches.classes) // patches.each
    in_tile = np.zeros((tiles, 256), bool)
    in_tile[np.repeat(np.arange(tiles), patches.each), patches.classes] = True
    others = in_tile.sum(axis=0)[queries.class_id] - in_tile[queries.tile, queries.class_id]
    return np.asarray(others > 0)
