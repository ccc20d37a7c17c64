"""Exact nearest neighbours of patch tokens, as fast as matrix multiplication.

The answer is that of float64 brute force: the k bank rows with the smallest ``sum((x - y)**2)``, computed in float64
from the tokens as given, lower rows first among equals. A float32 pass only proposes candidates. With c the mean of
the bank's distinct rows (distances do not change when both sides are shifted), a query x and a bank row y have the score

    s = |y - c|^2 - 2 (x - c).(y - c) = |x - y|^2 - |x - c|^2

so that the scores of one query are ordered as its distances. Write u for the unit roundoff of the precision used,
gamma_k = k u / (1 - k u), K for the number of features, and norms for those of the centred rows. The score that is
computed differs from s by at most

    e = 2 gamma_(K+4) |x| |y| + (gamma_4 + g_K) |y|^2

where gamma_K bounds a dot product summed in any order, with or without fused multiply-add (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1, doi:10.1137/1.9780898718027), g is gamma in float64 (in
which |y|^2 is summed), one roundoff each is for rounding the centred x, the centred y and |y|^2, one for the final
addition, and the last covers the products of all these. Brute force in float64 errs by at most g_(K+2) |x - y|^2
itself. So, with R the largest |y|, every row that brute force could choose has a computed score within

    2 (2 gamma_(K+4) |x| R + (gamma_4 + g_K) R^2 + g_(K+2) (|x| + R)^2)

of the k-th lowest. These candidates are ranked by their distance in float64. A query with very many of them (tokens
almost equal on the scale of the bank) goes through the same search with scores in float64.

On a CPU, once a bank has answered so many queries that it pays, lower bounds from few principal axes spare most of the
pass: see :mod:`patchprobe.neighbors.bounds`. They change no answer.
"""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from patchprobe.errors import DataError
from patchprobe.neighbors.arrays import CpuArrays, arrays_on
from patchprobe.neighbors.blocks import check_bank, search_blocks, slices
from patchprobe.neighbors.bounds import SAMPLE, LowerBounds, choose_axes
from patchprobe.neighbors.candidates import Pairs, round_up
from patchprobe.neighbors.cosine import directions
from patchprobe.neighbors.duplicates import first_occurrences
from patchprobe.neighbors.groups import Groups
from patchprobe.neighbors.ranking import Ranking
from patchprobe.neighbors.rounding import margins, mean_and_scale

_REST = 15  # query blocks that take the full pass after one that bounds made dearer
_PREPARING = threading.Lock()  # not of the bank, which can travel to another process

Metric = Literal["euclidean", "cosine"]
Neighbors = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def nearest(
    bank: npt.ArrayLike,
    queries: npt.ArrayLike,
    *,
    threads: int,
    k: int = 1,
    metric: Metric = "euclidean",
    query_block: int | None = None,
    bank_block: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Neighbors:
    """Return, for queries (Q, K), the nearest rows of a bank (N, K): indices and squared distances.

    Both are arrays in memory; see :class:`MemoryBank` for queries that are read as they are needed, and for shapes.
    """
    queries = np.asarray(queries)
    blocks = [queries[rows] for rows in slices(len(queries), query_block or CpuArrays.query_block)]
    return MemoryBank(bank, metric=metric, block=bank_block).search(
        blocks, threads=threads, k=k, query_block=query_block, progress=progress
    )


class MemoryBank:
    """Tokens (N, K) to search in, prepared once: centred, in float32, with their norms.

    ``tokens`` is any real array; it is kept, not copied, for the exact distances, and a float32 copy is added.
    ``metric``: ``euclidean``, or ``cosine``, which is Euclidean between rows divided by their length, in float64: a
    squared distance d then means the cosine similarity 1 - d / 2. A token of zeros has the similarity 0 to all.
    ``device`` holds the float32 copy and computes the scores: ``cpu``, or one that torch knows, such as ``cuda``, where
    nothing may have switched on TF32. ``groups`` (N,): what each row belongs to (its tile, as a number or text), for :meth:`search_outside`.
    Raises DataError for an empty bank or groups that do not fit, ModelError for tokens that are not finite.
    """

    def __init__(
        self,
        tokens: npt.ArrayLike,
        *,
        metric: Metric = "euclidean",
        groups: npt.ArrayLike | None = None,
        block: int | None = None,
        device: str = "cpu",
    ) -> None:
        tokens = np.asarray(tokens)
        check_bank(tokens)
        self._tokens = tokens
        self._metric = metric
        self._arrays = arrays_on(device)
        self._block = block = block or self._arrays.bank_block
        self._groups = Groups(groups, len(tokens))
        # Rows that repeat an earlier row are searched once.
        first = first_occurrences(tokens, self._groups.numbers, block)
        self._rows, numbers = np.unique(first, return_inverse=True)
        self._groups.search(self._rows)
        self._copies = np.argsort(numbers, kind="stable")
        self._first_copy = np.append(np.searchsorted(numbers[self._copies], np.arange(len(self._rows))), len(tokens))
        self._mean, self._scale = mean_and_scale(self._exact, self._rows, block)
        doubled = np.empty((len(self._rows), len(self._mean)), np.float32)
        self._squares = np.empty(len(self._rows))
        for part in self._parts():
            doubled[part], self._squares[part] = self._doubled_and_squares(part)
        self._doubled = self._arrays.put(doubled)
        self._rounded_squares = self._arrays.put(self._squares.astype(np.float32))
        self._radius = float(np.sqrt(self._squares.max()))
        self._bounds: LowerBounds | None = None
        self._decided = False
        self._searched = 0
        self._resting = 0

    @property
    def features(self) -> int:
        """The number of features K of a token."""
        return int(self._tokens.shape[1])

    def search(
        self,
        blocks: Iterable[Any],
        *,
        threads: int,
        k: int = 1,
        query_block: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Neighbors:
        """Return the nearest bank rows (int64) and squared distances (float64) of every query, in the order of blocks.

        Both have the shape (Q,) for ``k`` = 1 and (Q, k) above, nearest first. A block is an array (..., K), or
        something lazy that becomes one: a dask array or ``dask.delayed`` value, or an xarray view of a store. Blocks
        are spread over ``threads`` workers of dask's threaded scheduler, each with one BLAS thread, or over the
        workers of a dask cluster where one is configured; a lazy block is read by the worker that searches it, so
        memory does not depend on how many there are. The chunk of a store (some dozens of tiles) is a good block;
        ``query_block`` rows of it (as many as suit the device) are searched at a time. ``progress`` is called with the number of queries just
        finished, one call at a time. Raises ModelError for tokens that are not finite or have another number of
        features than the bank, DataError for a ``k`` above the number of bank rows.
        """
        self._check_k(k)
        found = search_blocks(
            self,
            partial(_overall, k=k),
            blocks,
            features=self.features,
            threads=threads,
            query_block=query_block or self._arrays.query_block,
            progress=progress,
            portable=isinstance(self._arrays, CpuArrays),
        )
        return _joined([part[:2] for part in found], k)

    def search_outside(
        self,
        blocks: Iterable[Any],
        groups: Iterable[npt.ArrayLike],
        *,
        threads: int,
        k: int = 1,
        outside_k: int | None = None,
        query_block: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> tuple[Neighbors, Neighbors]:
        """Return the nearest bank rows overall, and the nearest outside each query's own group, in one pass.

        ``groups`` names the groups of the queries of every block, (...,) for a block (..., K); a group that the bank
        does not have leaves nothing out. Outside the ``outside_k`` nearest are searched, ``k`` if that is None. All else is as
        in :meth:`search`. Raises DataError too for a bank without groups, and where fewer rows lie outside a group.
        """
        outside_k = k if outside_k is None else outside_k
        self._check_k(k)
        self._check_k(outside_k)
        found = search_blocks(
            self,
            partial(_outside, k=k, outside_k=outside_k),
            blocks,
            groups,
            features=self.features,
            threads=threads,
            query_block=query_block or self._arrays.query_block,
            progress=progress,
            portable=isinstance(self._arrays, CpuArrays),
        )
        return _joined([part[:2] for part in found], k), _joined([part[2:] for part in found], outside_k)

    def _check_k(self, k: int) -> None:
        if not 1 <= k <= len(self._tokens):
            raise DataError(f"k is {k}, but the memory bank has {len(self._tokens)} rows: take k from 1 to that number")

    def _parts(self) -> list[slice]:
        return slices(len(self._rows), self._block)

    def _exact(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return bank rows as the metric sees them."""
        tokens = self._tokens[rows].astype(np.float64)
        return directions(tokens, axis=0) if self._metric == "cosine" else tokens

    def _centred(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        return (self._exact(rows) - self._mean) * self._scale

    def _doubled_and_squares(self, part: slice) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return -2 y and |y|^2 of some searched rows; with -2 already inside, a score costs one addition."""
        centred = self._centred(self._rows[part])
        squares = np.square(centred).sum(axis=1)
        centred *= -2.0
        return centred, squares

    def _nearest(
        self, queries: npt.NDArray[np.float64], ks: tuple[int, ...], own: npt.NDArray[np.intp] | None = None
    ) -> list[Ranking]:
        """Search one block of queries (Q, K): overall and, if ``own`` numbers their groups, outside these, so many of each."""
        if self._metric == "cosine":
            queries = directions(queries, axis=1)
        # A CPU looks through all rows outside once, and through the few of the own group beside them; for a GPU many small
        # products are dearer than a second look at each large one.
        at_once = own is None or not isinstance(self._arrays, CpuArrays)
        rankings = [Ranking(queries, self._exact, k) for k in (ks if at_once else (max(ks),))]
        members = self._search_by_bounds(queries, rankings[-1], own)
        # From so many candidates on, float64 scores are cheaper than exact distances.
        crowd_limit = max(64 + 16 * max(ks), len(self._rows) // 64)
        crowded = self._propose(queries, rankings, members, own, np.float32, crowd_limit)
        if crowded.size:
            self._propose(queries, rankings, crowded, own, np.float64, None)
        self._prepare_bounds(queries, rankings[-1])
        return rankings if at_once else self._with_own(queries, own, rankings[0], ks)

    def _with_own(
        self, queries: npt.NDArray[np.float64], own: Any, outside: Ranking, ks: tuple[int, ...]
    ) -> list[Ranking]:
        """Return the rankings overall and outside own groups, of what is nearest outside."""
        overall = Ranking(queries, self._exact, ks[0])
        overall.index[:], overall.distance[:] = outside.index[:, : ks[0]], outside.distance[:, : ks[0]]
        outside.index, outside.distance = outside.index[:, : ks[1]], outside.distance[:, : ks[1]]
        centred, allowed = self._rounded(queries, np.float32)
        pairs: list[Pairs] = []
        for group in np.unique(own[own >= 0]):
            members = np.flatnonzero(own == group)
            places = self._groups.places(group)
            # The rows of one tile follow each other, mostly: a view of them, not a copy.
            rows = places if np.ptp(places) >= len(places) else slice(places[0], places[-1] + 1)
            scores = centred[members] @ self._doubled[rows].T
            scores += self._rounded_squares[rows]
            last = min(ks[0], len(places)) - 1
            limits = round_up(np.partition(scores, last, axis=1)[:, last] + allowed[members], scores.dtype)
            query, column = np.nonzero(scores <= limits[:, None])
            pairs.append((members[query], places[column]))
        if pairs:
            self._ranks(overall, np.arange(len(queries)))(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
        return [overall, outside]

    def _rounded(
        self, queries: npt.NDArray[np.float64], precision: type[np.float32] | type[np.float64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Return centred queries in a precision, and how far above the lowest the score of a nearest row can be there."""
        centred, features = (queries - self._mean) * self._scale, len(self._mean)
        norms = np.sqrt(np.square(centred).sum(axis=1))
        allowed = margins(norms, self._radius, features, terms=features + 4, square_terms=4, precision=precision)
        return centred.astype(precision), allowed

    def _search_by_bounds(
        self, queries: npt.NDArray[np.float64], ranking: Ranking, own: npt.NDArray[np.intp] | None
    ) -> npt.NDArray[np.intp]:
        """Search with lower bounds where they pay; return the queries that are left for a full pass."""
        everything = np.arange(len(queries))
        if self._bounds is None or self._resting > 0:
            self._resting -= 1
            return everything

        def leave_out_own(bounds: npt.NDArray[np.float32], numbers: npt.NDArray[np.intp]) -> None:
            assert own is not None
            self._groups.leave_out(bounds, own, numbers)

        left, cost = self._bounds.search(
            (queries - self._mean) * self._scale,
            self._scale,
            ranking,
            self._ranks(ranking, everything),
            None if own is None else leave_out_own,
        )
        # Queries unlike the sample, such as corrupted ones: try again later.
        self._resting = _REST if cost > 1 else 0
        return left

    def _prepare_bounds(self, queries: npt.NDArray[np.float64], ranking: Ranking) -> None:
        """Decide on lower bounds once as many queries have been searched as preparing them costs."""
        features, length = len(self._mean), len(self._rows)
        self._searched += len(queries)
        enough = (2 * SAMPLE * features + 20 * features**2) / length + features / 2
        on_cpu = isinstance(self._arrays, CpuArrays)  # a GPU's products cost less than looking for survivors
        if not on_cpu or self._decided or self._searched < enough or not _PREPARING.acquire(blocking=False):
            return
        try:
            if not self._decided:
                sample = np.linspace(0, len(queries) - 1, min(64, len(queries))).astype(int)
                chosen = choose_axes(
                    self._centred_numbers,
                    length,
                    (queries[sample] - self._mean) * self._scale,
                    ranking.distance[sample, -1] * self._scale**2,
                )
                if chosen is not None:
                    self._bounds = LowerBounds(self._centred_numbers, length, *chosen, self._block)
                self._decided = True
        finally:
            _PREPARING.release()

    def _centred_numbers(self, numbers: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        return self._centred(self._rows[numbers])

    def _propose(
        self,
        queries: npt.NDArray[np.float64],
        rankings: list[Ranking],
        members: npt.NDArray[np.intp],
        own: npt.NDArray[np.intp] | None,
        precision: type[np.float32] | type[np.float64],
        crowd_limit: int | None,
    ) -> npt.NDArray[np.intp]:
        """Rank every bank row that can be among the nearest of the queries ``members``; return the crowded ones.

        Queries with more than ``crowd_limit`` candidates are given up.
        """
        if not members.size:
            return members
        rounded, allowed = self._rounded(queries[members], precision)
        # Few queries come to float64, which GPUs are slow at: they stay on the CPU.
        arrays = self._arrays if precision is np.float32 else CpuArrays()
        books = [
            arrays.candidates(allowed, self._ranks(ranking, members), k=ranking.index.shape[1], crowd_limit=crowd_limit)
            for ranking in rankings
        ]
        tile = arrays.empty(len(members), self._block, precision)
        centred = arrays.put(rounded)
        for part in self._parts():
            if precision is np.float32:
                doubled, squares = self._doubled[part], self._rounded_squares[part]
            else:
                doubled, squares = self._doubled_and_squares(part)
            scores = arrays.product(centred, doubled, tile)
            scores += squares
            for place, book in enumerate(books, start=1):
                if place == len(books) and own is not None:
                    self._groups.leave_out(scores, own[members], np.arange(part.start, part.stop))
                book.offer(scores, part.start)
        for book, ranking in zip(books, rankings, strict=True):
            self._ranks(ranking, members)(*book.remaining())
        return members[np.unique(np.concatenate([book.crowded for book in books]))]

    def _ranks(
        self, ranking: Ranking, members: npt.NDArray[np.intp]
    ) -> Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], None]:
        k = ranking.index.shape[1]

        def rank(query: npt.NDArray[np.intp], number: npt.NDArray[np.intp]) -> None:
            """Rank pairs (query, searched row) with the rows that repeat it, of which k are enough."""
            copies = np.minimum(np.diff(self._first_copy)[number], k)
            within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
            rows = self._copies[np.repeat(self._first_copy[number], copies) + within]
            ranking.rank(members[np.repeat(query, copies)], rows)

        return rank


# Functions of the bank, so that one file of it serves all searches on workers.
def _overall(bank: MemoryBank, queries: npt.NDArray[np.float64], *, k: int) -> Neighbors:
    (ranking,) = bank._nearest(queries, (k,))
    return ranking.index, ranking.distance


def _outside(
    bank: MemoryBank, queries: npt.NDArray[np.float64], own: npt.NDArray[Any], *, k: int, outside_k: int
) -> tuple[npt.NDArray[Any], ...]:
    overall, outside = bank._nearest(queries, (k, outside_k), bank._groups.number(own))
    if np.isinf(outside.distance).any():
        group = own[np.isinf(outside.distance).any(axis=1)][0]
        raise DataError(f"group {group!r}: fewer than {outside_k} bank rows lie outside it; take more training images")
    return overall.index, overall.distance, outside.index, outside.distance


def _joined(found: list[tuple[npt.NDArray[Any], ...]], k: int) -> Neighbors:
    index = np.concatenate([np.empty((0, k), np.int64), *(part[0] for part in found)])
    distance = np.concatenate([np.empty((0, k)), *(part[1] for part in found)])
    return (index[:, 0], distance[:, 0]) if k == 1 else (index, distance)
