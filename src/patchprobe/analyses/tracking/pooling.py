"""Feature maps of full frames, and one vector for each box in them."""

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr
from torchvision.ops import roi_align

from patchprobe.errors import StoreError
from patchprobe.tokens.variants import View

Float32 = npt.NDArray[np.float32]
# Cells: a box of no extent is pooled as one so small, since ROIAlign takes no sample of it.
_LEAST = 1e-3


class FeatureMaps:
    """The tokens of the last block of every frame of a token store, read a frame at a time.

    The tiles of a frame lie side by side, as their names say; a full frame is a single tile.
    """

    def __init__(self, tokens: xr.Dataset) -> None:
        self._tokens = tokens.tokens.isel(level=0, layer=-1)
        self._grid = int(tokens["patch_row"].max()) + 1, int(tokens["patch_col"].max()) + 1
        places = [re.search(r"#r(\d+)c(\d+)$", str(name)) for name in tokens.tile.values]
        if not all(places):
            source = tokens.encoding.get("source", "a token store")
            raise StoreError(f"{source} has tiles without place in their image: delete it and run again")
        table = pd.DataFrame(
            [(int(place[1]), int(place[2])) for place in places if place], columns=["row", "column"]
        ).assign(image_id=tokens.image_id.values, tile=range(len(places)))
        self._tiles = {
            str(image_id): part.pivot(index="row", columns="column", values="tile").to_numpy()
            for image_id, part in table.groupby("image_id", sort=False)
        }

    @property
    def image_ids(self) -> list[str]:
        """The frames, in the order of the store."""
        return list(self._tiles)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches of a tile."""
        return self._grid

    def read(self, image_id: str, view: View | None = None) -> Float32:
        """Return the feature map of a frame, float32 (rows, columns, features), as a ``view`` has its tokens.

        Raises StoreError for a frame that is not there.
        """
        tokens, places = self.tiles(image_id)
        tokens = tokens if view is None else view(tokens).astype(np.float32, copy=False)
        tokens = tokens.reshape(*places, *self._grid, -1).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(tokens.reshape(places[0] * self._grid[0], places[1] * self._grid[1], -1))

    def tiles(self, image_id: str) -> tuple[Float32, tuple[int, int]]:
        """Return the tokens of the tiles of a frame, float32 (tiles, patches, features), and how many are below and beside each other.

        Raises StoreError for a frame that is not there.
        """
        if image_id not in self._tiles:
            raise StoreError(f"a token store has no frame {image_id}: delete it and run again")
        places = self._tiles[image_id]
        # Tiles of a frame follow each other, so that its chunk is read once.
        tokens = self._tokens.isel(tile=places.ravel()).to_numpy().astype(np.float32)
        return tokens, (places.shape[0], places.shape[1])


def visible(boxes: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return which boxes (n, 4), x1, y1, x2, y2 in px, have a part, if only a line or point, inside a frame."""
    x1, y1, x2, y2 = boxes.T
    return (x2 >= 0) & (y2 >= 0) & (x1 <= width) & (y1 <= height)


def pooled(feature_map: Float32, boxes: npt.NDArray[np.float64], height: int, width: int) -> Float32:
    """Return a vector for each box by ROIAlign (He et al., Mask R-CNN, arXiv 1703.06870, section 3), float32 (n, features).

    ``feature_map`` (rows, columns, features) covers a frame of ``height`` x ``width`` px, so that cell i lies between
    i and i + 1 times width / columns px. ``boxes`` (n, 4) are x1, y1, x2, y2 in px, the first pixel from 0 to 1. What is
    outside the frame is cut off first, where ROIAlign would count zeros. One cell is pooled per box, from as many
    samples as the box has cells.
    """
    rows, columns, _ = feature_map.shape
    inside = np.clip(boxes, 0, [width, height, width, height])
    cells = inside * np.array([columns / width, rows / height] * 2)
    short = np.maximum(0, _LEAST - (cells[:, 2:] - cells[:, :2])) / 2
    cells = np.concatenate([np.zeros((len(cells), 1)), cells[:, :2] - short, cells[:, 2:] + short], axis=1)
    planes = torch.from_numpy(feature_map).permute(2, 0, 1)[None]
    found = roi_align(
        planes, torch.from_numpy(cells.astype(np.float32)), output_size=1, sampling_ratio=-1, aligned=True
    )
    return found[:, :, 0, 0].numpy()
