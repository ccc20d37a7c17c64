"""Exact Euclidean nearest neighbours of patch tokens, as fast as matrix multiplication.

The answer is that of float64 brute force: the bank row with the smallest ``sum((x - y)**2)``, computed in float64
from the tokens as given, the lowest row among equals. A float32 pass only proposes candidates. With c the mean of
the bank (distances do not change when both sides are shifted), a query x and a bank row y have the score

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

of the lowest. These candidates are ranked by their distance in float64. A query with very many of them (tokens
almost equal on the scale of the bank) goes through the same search with scores in float64.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from patchprobe.errors import DataError, ModelError

QUERY_BLOCK = 512
BANK_BLOCK = 2048
_PENDING = 1 << 19  # candidates kept before they are ranked: bounds the memory of one worker
_RANK_ELEMENTS = 1 << 18  # float64 elements of one slice of differences: 2 MiB


def nearest(
    bank: npt.ArrayLike,
    queries: npt.ArrayLike,
    *,
    threads: int,
    query_block: int = QUERY_BLOCK,
    bank_block: int = BANK_BLOCK,
    progress: Callable[[int], object] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return, for queries (Q, K), the nearest rows of a bank (N, K): indices (Q,) and squared distances (Q,).

    Both are arrays in memory; see :class:`MemoryBank` for queries that are read as they are needed.
    """
    queries = np.asarray(queries)
    blocks = [queries[start : start + query_block] for start in range(0, len(queries), query_block)]
    return MemoryBank(bank, block=bank_block).search(
        blocks, threads=threads, query_block=query_block, progress=progress
    )


class MemoryBank:
    """Tokens (N, K) to search in, prepared once: centred, in float32, with their norms.

    ``tokens`` is any real array; it is kept (not copied, unless it has repeated rows) for the exact distances, and
    a float32 copy is added. Rows that repeat an earlier row are never an answer, so they are dropped.
    Raises DataError for an empty bank, ModelError for tokens that are not finite.
    """

    def __init__(self, tokens: npt.ArrayLike, *, block: int = BANK_BLOCK) -> None:
        tokens = np.asarray(tokens)
        _check_matrix(tokens, "memory bank")
        if tokens.size == 0:
            raise DataError(
                f"the memory bank is empty (shape {tokens.shape}): no training patch is left to search in; "
                "take more training images or check that their labels are not all void"
            )
        self._block = block
        self._mean = np.zeros(tokens.shape[1])
        for rows in _slices(len(tokens), block):
            part = tokens[rows].astype(np.float64)
            if not np.isfinite(part).all():
                raise _not_finite("memory bank")
            self._mean += part.sum(axis=0) / len(tokens)
        self._rows = _first_occurrences(tokens, block)
        self._tokens = tokens if len(self._rows) == len(tokens) else tokens[self._rows]
        self._scale = 1.0
        largest = max(np.abs(self._centred(rows)).max() for rows in _slices(len(self._rows), block))
        # A power of two is exact; it keeps squares of float32 far from overflow and underflow.
        self._scale = float(2.0 ** -np.ceil(np.log2(largest))) if largest > 0 else 1.0
        self._doubled = np.empty(self._tokens.shape, np.float32)
        self._squares = np.empty(len(self._tokens))
        for rows in _slices(len(self._rows), block):
            self._doubled[rows], self._squares[rows] = self._doubled_and_squares(rows)
        self._radius = float(np.sqrt(self._squares.max()))

    @property
    def features(self) -> int:
        """The number of features K of a token."""
        return int(self._tokens.shape[1])

    def search(
        self,
        blocks: Iterable[Any],
        *,
        threads: int,
        query_block: int = QUERY_BLOCK,
        progress: Callable[[int], object] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the nearest bank row (int64) and squared distance (float64) of every query, in the order of blocks.

        A block is an array (..., K), or something lazy that becomes one: a dask array or ``dask.delayed`` value,
        or an xarray view of a store. Blocks are spread over ``threads`` workers of dask's threaded scheduler, each
        with one BLAS thread; a lazy block is read by the worker that searches it, so memory does not depend on how
        many there are. The chunk of a store (some dozens of tiles) is a good block; ``query_block`` rows of it are
        searched at a time. ``progress`` is called with the number of queries just finished, one call at a time.
        Raises ModelError for tokens that are not finite or have another number of features than the bank.
        """
        lock = threading.Lock()

        def search_block(block: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
            queries = np.asarray(block)
            queries = queries.reshape(-1, queries.shape[-1])
            self._check_queries(queries)
            indices = np.empty(len(queries), np.int64)
            distances = np.empty(len(queries))
            for rows in _slices(len(queries), query_block):
                indices[rows], distances[rows] = self._nearest(queries[rows].astype(np.float64))
                if progress is not None:
                    with lock:
                        progress(rows.stop - rows.start)
            return indices, distances

        # pure=False: otherwise dask would hash every block, and the bank in the closure with it.
        task = dask.delayed(search_block, pure=False, traverse=False)
        with threadpool_limits(limits=1, user_api="blas"):
            found = dask.compute(
                *[task(block) for block in blocks],
                scheduler="threads",
                num_workers=threads,
            )
        indices = [index for index, _ in found]
        distances = [distance for _, distance in found]
        return np.concatenate([np.empty(0, np.int64), *indices]), np.concatenate([np.empty(0), *distances])

    def _check_queries(self, queries: npt.NDArray[Any]) -> None:
        _check_matrix(queries, "queries")
        if queries.shape[1] != self.features:
            raise ModelError(
                f"queries have {queries.shape[1]} features and the memory bank {self.features}: "
                "both must come from the same model and layer"
            )

    def _centred(self, rows: slice) -> npt.NDArray[np.float64]:
        return self._scaled(self._tokens[rows])

    def _scaled(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        centred = tokens.astype(np.float64)
        centred -= self._mean
        centred *= self._scale
        return centred

    def _doubled_and_squares(self, rows: slice) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return -2 y and |y|^2 of some bank rows; with -2 already inside, a score costs one addition."""
        centred = self._centred(rows)
        squares = np.square(centred).sum(axis=1)
        centred *= -2.0
        return centred, squares

    def _nearest(self, queries: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Search one block of queries (Q, K)."""
        if not np.isfinite(queries).all():
            raise _not_finite("queries")
        best = _Best(self._tokens, queries)
        crowd_limit = max(64, len(self._rows) // 64)  # from there on float64 scores are cheaper than exact distances
        crowded = self._propose(queries, best, np.arange(len(queries)), np.float32, crowd_limit)
        if crowded.size:
            self._propose(queries, best, crowded, np.float64, None)
        return self._rows[best.index], best.distance

    def _propose(
        self,
        queries: npt.NDArray[np.float64],
        best: "_Best",
        members: npt.NDArray[np.intp],
        precision: type[np.float32] | type[np.float64],
        crowd_limit: int | None,
    ) -> npt.NDArray[np.intp]:
        """Rank every bank row that can be the nearest of the queries ``members``; return the crowded ones.

        Queries with more than ``crowd_limit`` candidates are given up, unranked.
        """
        centred = self._scaled(queries[members])
        margins = self._margins(centred, precision)
        centred = centred.astype(precision)
        lowest = np.full(len(members), np.inf)
        counts = np.zeros(len(members), np.int64)
        tile = np.empty((len(members), self._block), precision)
        pending: list[tuple[npt.NDArray[Any], ...]] = []
        for columns in _slices(len(self._rows), self._block):
            doubled, squares = self._bank_block(columns, precision)
            scores = tile[:, : len(squares)] if len(squares) == self._block else np.empty_like(tile[:, : len(squares)])
            np.matmul(centred, doubled.T, out=scores)
            scores += squares
            minima = scores.min(axis=1)
            np.minimum(lowest, minima, out=lowest)
            limits = lowest + margins
            near = np.flatnonzero(minima <= limits)
            near_scores = scores[near]
            row, column = np.divmod(
                np.flatnonzero(near_scores <= _round_up(limits[near], precision)[:, None]), scores.shape[1]
            )
            pending.append((near[row], column + columns.start, near_scores[row, column]))
            if crowd_limit is not None:
                counts += np.bincount(near[row], minlength=len(members))
                gave_up = counts > crowd_limit
                margins[gave_up] = -np.inf
            if sum(len(part[0]) for part in pending) > _PENDING:
                pending = [_survivors(pending, limits)]
                if len(pending[0][0]) > _PENDING // 2:
                    best.rank(members[pending[0][0]], pending[0][1])
                    pending = []
        if pending:
            row, column, _ = _survivors(pending, lowest + margins)
            best.rank(members[row], column)
        return members[margins == -np.inf]

    def _bank_block(self, columns: slice, precision: type) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if precision is np.float32:
            return self._doubled[columns], self._squares[columns].astype(np.float32)
        return self._doubled_and_squares(columns)

    def _margins(self, centred: npt.NDArray[np.float64], precision: type) -> npt.NDArray[np.float64]:
        """Return for each query how far above the lowest score a candidate can be: see the module's docstring."""
        features = self.features
        norms = np.sqrt(np.square(centred).sum(axis=1))
        if norms.size and not norms.max() < 2.0**60:
            raise ModelError(
                "a query token is more than 2^60 times as far from the memory bank's mean as its tokens are: "
                "the tokens are unusable; check that queries and memory bank come from the same model"
            )
        roundoff, roundoff64 = float(np.finfo(precision).eps) / 2, float(np.finfo(np.float64).eps) / 2
        bound = 2 * _gamma(features + 4, roundoff) * norms * self._radius
        bound += (_gamma(4, roundoff) + _gamma(features, roundoff64)) * self._radius**2
        bound += _gamma(features + 2, roundoff64) * (norms + self._radius) ** 2
        # Numbers below the smallest normal one may be flushed to zero; the bank's largest is about one.
        underflow = 8 * features * (1 + norms) * float(np.finfo(precision).tiny)
        return 2 * (bound + underflow)


class _Best:
    """The nearest bank row of each query so far, by exact distance."""

    def __init__(self, tokens: npt.NDArray[Any], queries: npt.NDArray[np.float64]) -> None:
        self._tokens = tokens
        self._queries = queries
        self.index = np.zeros(len(queries), np.int64)
        self.distance = np.full(len(queries), np.inf)

    def rank(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> None:
        """Take pairs (query row, bank row) into account."""
        distances = np.empty(len(rows))
        for part in _slices(len(rows), max(1, _RANK_ELEMENTS // self._queries.shape[1])):
            difference = self._queries[rows[part]] - self._tokens[columns[part]]
            distances[part] = np.square(difference, out=difference).sum(axis=1)
        order = np.lexsort((columns, distances, rows))
        rows, first = np.unique(rows[order], return_index=True)
        columns, distances = columns[order][first], distances[order][first]
        better = (distances < self.distance[rows]) | ((distances == self.distance[rows]) & (columns < self.index[rows]))
        self.index[rows[better]] = columns[better]
        self.distance[rows[better]] = distances[better]


def _survivors(
    pending: Sequence[tuple[npt.NDArray[Any], ...]], limits: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], ...]:
    """Join the candidates found so far and drop those that later blocks have ruled out."""
    row, column, score = (np.concatenate(parts) for parts in zip(*pending, strict=True))
    alive = score <= limits[row]
    return row[alive], column[alive], score[alive]


def _first_occurrences(tokens: npt.NDArray[Any], block: int) -> npt.NDArray[np.int64]:
    """Return the rows that repeat no earlier row, in order (of rows whose hashes collide, more than needed)."""
    factors = np.random.default_rng(0).integers(1, 2**63, tokens.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(tokens), np.uint64)
    for rows in _slices(len(tokens), block):
        bits = (tokens[rows].astype(np.float64) + 0.0).view(np.uint64)  # + 0.0: -0.0 becomes 0.0
        bits ^= bits >> np.uint64(32)
        bits *= factors
        hashes[rows] = bits.sum(axis=1, dtype=np.uint64)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    first = first[group]
    later = np.flatnonzero(first != np.arange(len(tokens)))
    keep = np.ones(len(tokens), bool)
    for part in _slices(len(later), block):
        keep[later[part]] = (tokens[later[part]] != tokens[first[later[part]]]).any(axis=1)
    return np.flatnonzero(keep)


def _round_up(limits: npt.NDArray[np.float64], precision: type) -> npt.NDArray[Any]:
    """Convert to a precision without excluding anything."""
    return np.nextafter(limits.astype(precision), precision(np.inf))


def _gamma(terms: int, roundoff: float) -> float:
    return terms * roundoff / (1 - terms * roundoff)


def _slices(length: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _check_matrix(tokens: npt.NDArray[Any], what: str) -> None:
    if tokens.ndim != 2 or tokens.dtype.kind not in "fiu":
        raise ModelError(f"{what}: expected real tokens (rows, features), got {tokens.dtype} of shape {tokens.shape}")


def _not_finite(what: str) -> ModelError:
    return ModelError(
        f"{what}: some tokens are infinite or not a number; extract them again in a wider format "
        "(extraction: dtype float32, precision fp32)"
    )
