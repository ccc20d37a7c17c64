"""Exact nearest neighbours without the features of highest variance, for many numbers of them in one pass.

A squared distance is a sum over features. So with the features in groups, one group between two numbers of removed
features, the scores of all numbers come out of one accumulation that starts with the group of lowest variance: adding
the small numbers first also keeps their digits. The answer is that of a search of its own among the features that are
left, see :mod:`patchprobe.neighbors.memory_bank`, whose notation is used here. The score of all groups up to one is summed in
float32 from n products, one for every feature and one for every group, whose |y|^2 over its features is multiplied by
one. In any order this errs by at most gamma_(n+4) (2 |x| |y| + |y|^2), norms over the features that are left.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.neighbors.arrays import CpuArrays, arrays_on
from patchprobe.neighbors.blocks import check_bank, search_blocks, slices
from patchprobe.neighbors.candidates import Candidates
from patchprobe.neighbors.duplicates import first_occurrences
from patchprobe.neighbors.ranking import Ranking
from patchprobe.neighbors.rounding import margins, mean_and_scale

Precision = type[np.float32] | type[np.float64]


class SweepBank:
    """Tokens (N, K) to search in without the first features of an order, prepared once for many numbers of them.

    ``order`` (K,) is the features in the order of their removal, the highest variance first; ``counts`` says how many
    are removed, each below K. ``tokens`` and ``device`` are those of :class:`patchprobe.neighbors.memory_bank.MemoryBank`, and so
    are the errors. The bank is held in groups of features, float32 (rows, features of the group and one for their
    |y|^2): group g has the features that the g-th number of removed ones leaves and the next does not.
    """

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        order: npt.NDArray[np.intp],
        counts: Sequence[int],
        *,
        device: str = "cpu",
        block: int | None = None,
    ) -> None:
        check_bank(tokens)
        removed = self._removed = sorted(set(counts))
        self._tokens = tokens
        self._arrays = arrays_on(device)
        self._block = block = block or self._arrays.bank_block
        # Rows that repeat an earlier row repeat it without some features too.
        self._rows = np.unique(first_occurrences(tokens, np.zeros(len(tokens), np.intp), block))
        self._mean, self._scale = mean_and_scale(self._exact, self._rows, block)
        self._features = [order[start:stop] for start, stop in pairwise([*removed, len(order)])]
        self._left = [np.sort(order[start:]) for start in removed]
        parts = [np.empty((len(self._rows), len(group) + 1), np.float32) for group in self._features]
        squares = np.empty((len(self._rows), len(removed)))
        for part in slices(len(self._rows), block):
            for group, values in enumerate(self._doubled_and_squares(part)):
                parts[group][part] = values
                squares[part, group] = values[:, -1]
        self._parts = [self._arrays.put(part) for part in parts]
        self._radii = np.sqrt(_summed_from_last(squares).max(axis=0))

    def search(
        self,
        blocks: Iterable[Any],
        *,
        threads: int,
        query_block: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> dict[int, npt.NDArray[np.int64]]:
        """Return for every number of removed features the nearest row (Q,) of the bank to each query.

        Blocks are arrays (..., K) of all features; the arguments are those of ``MemoryBank.search``.
        """
        found = search_blocks(
            self,
            SweepBank._nearest,
            blocks,
            features=self._tokens.shape[1],
            threads=threads,
            query_block=query_block or self._arrays.query_block,
            progress=progress,
            portable=isinstance(self._arrays, CpuArrays),
        )
        indices = np.concatenate([np.empty((0, len(self._removed)), np.int64), *(part[0] for part in found)])
        return dict(zip(self._removed, indices.T, strict=True))

    def _nearest(self, queries: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64]]:
        """Return for queries (Q, K) the nearest rows (Q, numbers of removed features)."""
        rankings = [Ranking(queries, self._exact, features=left) for left in self._left]
        crowd_limit = max(64, len(self._rows) // 64)  # from there on float64 scores are cheaper than exact distances
        crowded = self._propose(queries, rankings, np.arange(len(queries)), np.float32, crowd_limit)
        if crowded.size:
            self._propose(queries, rankings, crowded, np.float64, None)
        return (np.stack([ranking.index[:, 0] for ranking in rankings], axis=1),)

    def _propose(
        self,
        queries: npt.NDArray[np.float64],
        rankings: Sequence[Ranking],
        members: npt.NDArray[np.intp],
        precision: Precision,
        crowd_limit: int | None,
    ) -> npt.NDArray[np.intp]:
        """Rank every row that can be the nearest of the queries ``members`` for some number; return the crowded ones."""
        centred = (queries[members] - self._mean) * self._scale
        parts = [np.append(centred[:, group], np.ones((len(members), 1)), axis=1) for group in self._features]
        norms = np.sqrt(_summed_from_last(np.stack([np.square(part[:, :-1]).sum(axis=1) for part in parts], axis=1)))
        # Few queries come to float64, which GPUs are slow at: they stay on the CPU.
        arrays = self._arrays if precision is np.float32 else CpuArrays()
        books = []
        for number, ranking in enumerate(rankings):
            features = len(self._left[number])
            terms = features + len(rankings) - number + 4
            allowed = margins(
                norms[:, number],
                float(self._radii[number]),
                features,
                terms=terms,
                square_terms=terms,
                precision=precision,
            )
            rank = partial(self._rank, ranking, members)
            books.append(arrays.candidates(allowed, rank, crowd_limit=crowd_limit))
        points = [arrays.put(np.ascontiguousarray(part, dtype=precision)) for part in parts]
        tile, added = (arrays.empty(len(members), self._block, precision) for _ in range(2))
        for rows in slices(len(self._rows), self._block):
            groups = self._bank_part(rows, precision)
            scores = arrays.product(points[-1], groups[-1], tile)
            books[-1].offer(scores, rows.start)
            for number in reversed(range(len(books) - 1)):
                arrays.add_product(scores, points[number], groups[number], added)
                books[number].offer(scores, rows.start)
        for ranking, book in zip(rankings, books, strict=True):
            self._rank_remaining(ranking, members, book)
        return members[np.unique(np.concatenate([book.crowded for book in books]))]

    def _rank(
        self,
        ranking: Ranking,
        members: npt.NDArray[np.intp],
        query: npt.NDArray[np.intp],
        number: npt.NDArray[np.intp],
    ) -> None:
        ranking.rank(members[query], self._rows[number])

    def _rank_remaining(self, ranking: Ranking, members: npt.NDArray[np.intp], book: Candidates) -> None:
        query, number = book.remaining()
        # The only candidate is the nearest row, whatever its distance.
        unranked = np.isinf(ranking.distance[members, 0])
        alone = (unranked & (np.bincount(query, minlength=len(members)) == 1))[query]
        ranking.index[members[query[alone]], 0] = self._rows[number[alone]]
        self._rank(ranking, members, query[~alone], number[~alone])

    def _exact(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        return self._tokens[rows].astype(np.float64)

    def _bank_part(self, rows: slice, precision: Precision) -> Sequence[npt.NDArray[Any]]:
        if precision is np.float32:
            return [group[rows] for group in self._parts]
        return self._doubled_and_squares(rows)

    def _doubled_and_squares(self, part: slice) -> list[npt.NDArray[np.float64]]:
        """Return for each group -2 y of some searched rows and, as a last column, |y|^2."""
        centred = (self._exact(self._rows[part]) - self._mean) * self._scale
        groups = [centred[:, group] for group in self._features]
        parts = [np.append(-2 * group, np.square(group).sum(axis=1, keepdims=True), axis=1) for group in groups]
        return [np.ascontiguousarray(part) for part in parts]


def _summed_from_last(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sums of each column (rows, groups) and all later ones."""
    return np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
