"""Token diagnostics: what patch tokens are like in every stored block, on drawn training tiles."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.analyses.token_diagnostics.statistics import (
    Distances,
    at_border,
    participation_ratio,
    position_share,
    rankme,
    relative_cut,
)
from patchprobe.scoring.bootstrap import ratio_intervals
from patchprobe.scoring.clean_scores import clean_columns
from patchprobe.tokens.directions import moments_of
from patchprobe.tokens.drawn_tiles import draw_tiles
from patchprobe.tokens.labelled import grid, training_split
from patchprobe.tokens.places import place_means
from patchprobe.tokens.transforms import by_variance

PROTOCOL = "token-diagnostics-v1"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_MAPPED = 2  # last blocks whose places are told one by one
Row = dict[str, Any]


class Block:
    """The tokens (tile, patch, feature) of one block, on a ``grid``, with the ``images`` str (tile,) that tiles are of.

    Every function yields ``metric``, ``value`` and where there is one ``axis``, ``at`` and the interval.
    """

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        images: npt.NDArray[np.str_],
        shape: tuple[int, int],
        *,
        bootstrap: Mapping[str, Any],
        seed: int,
    ) -> None:
        self._tokens = tokens.astype(np.float32)
        self._flat = self._tokens.reshape(-1, tokens.shape[-1])
        self._shape, self._bootstrap, self._seed = shape, bootstrap, seed
        names, self._image = np.unique(images, return_inverse=True)
        self._images = len(names)
        self._moments = moments_of(self._flat)
        self._lengths = np.linalg.norm(self._tokens.astype(np.float64), axis=-1)

    def lengths(self, norm_cut: float, deviations: float, *, mapped: bool) -> Iterator[Row]:
        """Yield quantiles of lengths, and the share of outliers by both cuts; if ``mapped``, the mean length of every place."""
        for at, value in zip(QUANTILES, np.quantile(self._lengths, QUANTILES), strict=True):
            yield {"metric": "token_norm", "axis": "quantile", "at": at, "value": float(value)}
        cuts = {
            "norm_outliers": norm_cut,
            "norm_outliers_relative": relative_cut(self._lengths, deviations),
        }
        border = at_border(self._shape)
        for metric, cut in cuts.items():
            outliers = self._lengths > cut
            counts = np.stack(
                [outliers.sum(1), outliers[:, border].sum(1), np.full(len(outliers), outliers.shape[1])], axis=1
            )
            (share, inside), (low, high) = self._ratios(counts, [0, 1], [2, 0])
            yield {"metric": metric, "value": share, "ci_low": low[0], "ci_high": high[0]}
            if outliers.any():
                yield {"metric": f"{metric}_at_border", "value": inside, "ci_low": low[1], "ci_high": high[1]}
                if mapped:
                    yield from self._of_places(f"{metric}_of_place", outliers)
        yield {"metric": "places_at_border", "value": float(border.mean())}
        if mapped:
            yield from self._of_places("token_norm_of_place", self._lengths)

    def ranks(self) -> Iterator[Row]:
        """Yield how many axes the tokens spread over, in three ways."""
        yield {"metric": "rankme", "value": rankme(self._flat)}
        yield {"metric": "effective_rank", "value": rankme(self._flat - self._moments.mean)}
        yield {"metric": "participation_ratio", "value": participation_ratio(self._moments.covariance)}

    def massive(self, numbers: Sequence[int]) -> Iterator[Row]:
        """Yield the share of the whole variance in the features of highest variance, where there are more than so many."""
        variance = self._moments.variance
        ordered, whole = np.cumsum(variance[by_variance(variance)]), float(variance.sum())
        for number in sorted(numbers):
            if number < len(variance) and whole > 0:
                value = float(ordered[number - 1]) / whole
                yield {"metric": "variance_in_top", "axis": "top_features", "at": number, "value": value}

    def position(self) -> Iterator[Row]:
        """Yield the share of the variance that the place explains, and that by chance."""
        places = place_means(self._flat, np.tile(np.arange(self._tokens.shape[1]), len(self._tokens)), self._shape)
        share, chance = position_share(places, self._moments.mean, float(self._moments.variance.sum()))
        yield {"metric": "position_variance", "value": share}
        yield {"metric": "position_variance_by_chance", "value": chance}

    def neighbours(self) -> Iterator[Row]:
        """Yield the mean cosine of two centred tokens of a tile by their distance in patches."""
        distances = Distances(self._shape)
        known = distances.known
        if not len(known):
            return
        mean = self._moments.mean.astype(np.float32)
        sums = np.stack([distances.sums(tile - mean) for tile in self._tokens])
        pairs = np.broadcast_to(distances.count[known], sums.shape)
        columns = np.arange(len(known))
        values, (low, high) = self._ratios(np.concatenate([sums, pairs], axis=1), columns, columns + len(known))
        for i, distance in enumerate(known):
            ends = {"ci_low": low[i], "ci_high": high[i]}
            yield {"metric": "token_similarity", "axis": "distance", "at": int(distance), "value": values[i], **ends}

    def _of_places(self, metric: str, values: npt.NDArray[Any]) -> Iterator[Row]:
        for place, value in enumerate(values.mean(axis=0)):
            yield {"metric": metric, "axis": "place", "at": place, "value": float(value)}

    def _ratios(self, of_tiles: npt.NDArray[Any], above: npt.ArrayLike, below: npt.ArrayLike) -> Any:
        """Return ratios of columns (tile, columns) summed over tiles, and their intervals over images."""
        sums = np.zeros((self._images, of_tiles.shape[1]))
        np.add.at(sums, self._image, of_tiles)
        return ratio_intervals(sums, above, below, **self._bootstrap, rng=np.random.default_rng(self._seed))


def measure(
    tokens: xr.Dataset,
    *,
    dataset: str,
    model: str,
    number: int,
    norm_cut: float,
    relative_cut: float,
    top_features: Sequence[int],
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[Row]:
    """Return the rows of every stored block and metric.

    ``tokens`` is the store of clean tiles, of which ``number`` of the training split are drawn; ``norm_cut`` is a length, ``relative_cut`` in robust
    deviations, ``top_features`` are numbers of features of highest variance.
    """
    chosen = draw_tiles(tokens, training_split(tokens), number, seed=seed, purpose="token-diagnostics")
    part = tokens.isel(level=0, tile=chosen)
    common = clean_columns(tokens, dataset=dataset, seed=seed)
    common |= {"model": model, "method": "", "class": "", "protocol": PROTOCOL, "spec": spec}
    common |= {"n": len(chosen) * tokens.sizes["patch"], "ci_low": np.nan, "ci_high": np.nan, "axis": "", "at": 0}
    rows = []
    layers = tokens.layer.values.tolist()
    for place, layer in enumerate(layers):
        values = part.tokens.isel(layer=place).values
        block = Block(values, part.image_id.values, grid(tokens), bootstrap=bootstrap, seed=seed)
        mapped = place >= len(layers) - _MAPPED
        for found in (
            block.lengths(norm_cut, relative_cut, mapped=mapped),
            block.ranks(),
            block.massive(top_features),
            block.position(),
            block.neighbours(),
        ):
            rows += [common | {"layer": int(layer)} | row for row in found]
    return rows
