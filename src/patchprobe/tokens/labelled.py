"""Tokens of a store joined with the patch labels of their tiles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.errors import DataError
from patchprobe.tiles.patches import patch_labels

TILES_PER_BLOCK = 32
_PATCHES_PER_BLOCK = TILES_PER_BLOCK * 1024  # fewer tiles in a block where they have more patches, such as full images


@dataclass(frozen=True)
class LabelledTokens:
    """Patches with a class: ``tokens`` (n, features), ``ids`` uint8 (n,), ``images`` str (n,); void ones are left out.

    ``places`` int64 (n,) says where each lies in its tile, on a ``grid`` of patches (rows, columns), rows first.
    """

    tokens: npt.NDArray[Any]
    ids: npt.NDArray[np.uint8]
    images: npt.NDArray[np.str_]
    places: npt.NDArray[np.int64]
    grid: tuple[int, int]

    def part(self, chosen: npt.NDArray[Any]) -> "LabelledTokens":
        """Return some of the patches, by their numbers or a mask (n,)."""
        return replace(
            self,
            tokens=self.tokens[chosen],
            ids=self.ids[chosen],
            images=self.images[chosen],
            places=self.places[chosen],
        )


def training_split(features: xr.Dataset) -> str:
    """Return the split that features are judged by: ``train``, or the other where a data set has that alone."""
    return "train" if (features.split.values == "train").any() else "evaluation"


def labelled_tokens(features: xr.Dataset, labels: xr.Dataset, split: str, layer: int = -1) -> LabelledTokens:
    """Join the clean tokens of a split with the majority labels of their patches.

    They are those of the last stored layer, or of the one at the place ``layer``. Patches labelled void are left out of training (protocol section 3). Raises DataError if none is left.
    """
    tiles = np.flatnonzero(features.split.values == split)
    part = features.isel(tile=tiles, level=0, layer=layer)
    maps = labels.label.sel(tile=part.tile.values).values
    ids = patch_labels(maps, grid(features)).reshape(len(tiles), -1)
    keep = ids != labels.attrs["void_id"]
    if not keep.any():
        raise DataError(
            f"split {split!r} has no patch with a class: every patch is void; use the label maps with evaluation ids"
        )
    images = np.broadcast_to(part.image_id.values[:, None], ids.shape)
    return LabelledTokens(part.tokens.values[keep], ids[keep], images[keep], np.nonzero(keep)[1], grid(features))


def evaluation_labels(tiles: xr.Dataset, labels: xr.Dataset) -> xr.DataArray:
    """Return the label maps (level, tile, y, x) of the evaluation tiles of a tile store.

    Geometric corruptions carry labels that moved with their pixels; all others have the clean labels at each level.
    """
    evaluated = tiles.isel(tile=np.flatnonzero(tiles.split.values == "evaluation"))
    if "label" in evaluated:
        return evaluated.label
    clean = labels.label.sel(tile=evaluated.tile.values).reset_coords(drop=True)
    return clean.expand_dims(level=evaluated.level.values)


def token_blocks(features: xr.Dataset, level: int) -> Iterator[Any]:
    """Yield the evaluation tokens of the last layer at a level as lazy blocks (tiles, patches, features)."""
    tiles = np.flatnonzero(features.split.values == "evaluation")
    tokens = features.tokens.isel(level=level, layer=-1)
    step = max(1, min(TILES_PER_BLOCK, _PATCHES_PER_BLOCK // features.sizes["patch"]))
    for start in range(0, len(tiles), step):
        yield tokens.isel(tile=tiles[start : start + step])


def grid(features: Mapping[str, Any] | xr.Dataset) -> tuple[int, int]:
    """Return the patch grid (rows, columns) of a token store."""
    return int(features["patch_row"].max()) + 1, int(features["patch_col"].max()) + 1
