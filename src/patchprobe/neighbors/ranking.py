"""The nearest bank rows of queries among candidates, by squared distances in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.neighbors.blocks import slices

_ELEMENTS = 1 << 18  # float64 elements of one slice of differences: 2 MiB
_NONE = np.iinfo(np.int64).max


class Ranking:
    """The ``k`` nearest bank rows of each query so far, nearest first, the lower row first among equals.

    ``queries`` float64 (Q, K); ``rows`` returns bank rows (n,) as numbers (n, K), of which ``features`` count. ``index`` int64 (Q, k) and
    ``distance`` float64 (Q, k) hold the largest integer and infinity where no row is known yet.
    """

    def __init__(
        self,
        queries: npt.NDArray[np.float64],
        rows: Callable[[npt.NDArray[np.intp]], npt.NDArray[Any]],
        k: int = 1,
        features: npt.NDArray[np.intp] | slice = slice(None),
    ) -> None:
        self._queries = queries
        self._rows = rows
        self._features = features
        self.index = np.full((len(queries), k), _NONE, np.int64)
        self.distance = np.full((len(queries), k), np.inf)

    def rank(self, query: npt.NDArray[np.intp], row: npt.NDArray[np.intp]) -> None:
        """Take pairs (query, bank row) into account; a pair may come again."""
        if not query.size:
            return
        touched, k = np.unique(query), self.index.shape[1]
        distance = np.concatenate([self.distance[touched].ravel(), self.distances(query, row)])
        query = np.concatenate([np.repeat(touched, k), query])
        row = np.concatenate([self.index[touched].ravel(), row])
        order = np.lexsort((row, distance, query))
        query, row, distance = query[order], row[order], distance[order]
        new = np.ones(len(query), bool)
        new[1:] = (query[1:] != query[:-1]) | (row[1:] != row[:-1]) | (row[1:] == _NONE)
        query, row, distance = query[new], row[new], distance[new]
        place = np.arange(len(query)) - np.searchsorted(query, query)
        kept = place < k
        self.index[query[kept], place[kept]] = row[kept]
        self.distance[query[kept], place[kept]] = distance[kept]

    def distances(self, query: npt.NDArray[np.intp], row: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the squared distances (n,) of pairs (query, bank row)."""
        found = np.empty(len(query))
        for part in slices(len(query), max(1, _ELEMENTS // self._queries.shape[1])):
            # In C order, so that a distance is summed the same way whatever the tokens' layout.
            ours, theirs = self._queries[query[part]], self._rows(row[part])
            difference = np.subtract(ours[:, self._features], theirs[:, self._features], order="C")
            found[part] = np.square(difference, out=difference).sum(axis=1)
        return found
