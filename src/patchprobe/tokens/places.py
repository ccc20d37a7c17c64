"""Where on the grid of patches tokens lie, and the mean token of each place: what position alone says of a token."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr


@dataclass(frozen=True)
class PlaceMeans:
    """The mean token of every place of a grid (rows, columns), rows first.

    ``count`` int64 (places,) is the number of tokens there, ``mean`` float64 (places, features); a place without any token
    has the mean of all tokens.
    """

    grid: tuple[int, int]
    count: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """The share of all tokens that lie at each place (places,)."""
        return np.asarray(self.count / self.count.sum())

    def coordinates(self) -> npt.NDArray[np.float64]:
        """Return row and column of every place (places, 2), each from 0 to 1; 0 along a side of one patch."""
        places = np.stack(np.divmod(np.arange(len(self.count)), self.grid[1]), axis=1)
        return np.asarray(places / np.maximum(np.array(self.grid) - 1, 1))


def place_means(tokens: npt.NDArray[Any], places: npt.NDArray[np.integer[Any]], grid: tuple[int, int]) -> PlaceMeans:
    """Return the means of tokens (n, features), of which each lies at a place (n,) of a grid, in float64."""
    count = np.bincount(places, minlength=grid[0] * grid[1])
    order = np.argsort(places, kind="stable")
    ends = np.cumsum(count)
    mean = np.zeros((len(count), tokens.shape[1]))
    for place in np.flatnonzero(count):
        mean[place] = tokens[order[ends[place] - count[place] : ends[place]]].mean(axis=0, dtype=np.float64)
    if len(tokens):
        mean[count == 0] = (count / len(tokens)) @ mean
    return PlaceMeans(grid, count, mean)


def read_image_places(store: xr.Dataset, told: str) -> tuple[PlaceMeans, npt.NDArray[np.float32]]:
    """Return the mean token of every place of the training images, and the tokens (patches, features) of a black image.

    ``told`` is what the model was told, empty for nothing.
    """
    one = store.isel(fit=store["fit_told"].values.tolist().index(told))
    grid = int(store["patch_row"].max()) + 1, int(store["patch_col"].max()) + 1
    return PlaceMeans(grid, one["place_count"].values, one["place_mean"].values), one["black"].values
