"""Lower bounds of squared distances from few features, which spare most of the matrix product of a search.

With p the coordinates of a centred token along k orthonormal axes and r the length of what they leave of it, the
inequality of Cauchy and Schwarz gives x.y <= p_x.p_y + r_x r_y, so that

    L = |y|^2 - 2 (p_x.p_y + r_x r_y)

is at most the score s of :mod:`patchprobe.neighbors.memory_bank`. Only rows whose L does not exceed the score of the best row
known so far can be nearer. Along the principal axes of a bank few rows are left; a second bound, from more axes, is
computed for these, and the exact distance where that leaves them too. Any orthonormal axes give valid bounds, so they
come from a sample and from float32.

Roundoff. Let V (K, k) be the axes as stored, d the Frobenius norm of V'V - I, g_n the gamma of n terms in float64. The
nearest matrix with orthonormal columns is within d of V (singular values differ from 1 by less than their squares
do), so p as computed in float64 is within eta |x| of exact coordinates, with eta = d + 2 k g_K (rounding of d
included). Take r^2 = (1 + eps) |x|^2 - |p|^2 with eps = 3 eta + 4 g_(K+4). It is not below the true one, though V, p and
the norms are rounded, and L exceeds s by 2 (2 eta + eta^2) |x| |y| <= 2 eps |x| |y| at most. Rounding p, r and |y|^2 to
float32 and summing the n products in float32 adds gamma_(n+5) (2 |x| |y| + |y|^2), as for the scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.candidates import round_up
from patchprobe.neighbors.ranking import Ranking
from patchprobe.neighbors.rounding import gamma, margins

_AXES = (16, 32, 48, 64, 96, 128)  # numbers of axes to choose from
SAMPLE = 4096  # bank rows that decide on axes
_LEAST_FEATURES = 64  # below, a score costs hardly more than a bound

# Costs of one (query, bank row), in those of one feature of a matrix product (0.017 ns at 115 Gflop/s).
_SCAN = 6


def _second_cost(axes: int) -> int:
    return 5_000 + 60 * axes


def _distance_cost(features: int) -> int:
    return 30_000 + 110 * features


Rows = npt.NDArray[np.float64]
Rank = Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], None]


@dataclass(frozen=True)
class Axes:
    """Orthonormal ``vectors`` (K, k), float64, in falling order of variance; ``slack`` is eps of the module's text."""

    vectors: npt.NDArray[np.float64]
    slack: float

    def points(self, tokens: Rows, counts: Sequence[int]) -> list[npt.NDArray[np.float64]]:
        """Return p and r (n, count + 1) of centred tokens (n, K) along the first axes, for each of ``counts``."""
        along = tokens @ self.vectors[:, : max(counts)]
        squares = (1 + self.slack) * np.square(tokens).sum(axis=1)
        found = []
        for count in counts:
            rest = np.sqrt(np.maximum(squares - np.square(along[:, :count]).sum(axis=1), 0))
            found.append(np.append(along[:, :count], rest[:, None], axis=1))
        return found


def principal_axes(tokens: Rows, count: int) -> Axes:
    """Return the ``count`` principal axes of centred tokens (n, K)."""
    sample = tokens.astype(np.float32)
    vectors = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :count].astype(np.float64)
    vectors = np.linalg.qr(vectors)[0]
    error = float(np.linalg.norm(vectors.T @ vectors - np.eye(count)))
    features = len(vectors)
    error += 2 * count * gamma(features, np.float64)
    return Axes(vectors, 3 * error + 4 * gamma(features + 4, np.float64))


def choose_axes(
    bank: Callable[[npt.NDArray[np.intp]], Rows],
    length: int,
    queries: Rows,
    nearest: npt.NDArray[np.float64],
) -> tuple[Axes, tuple[int, int]] | None:
    """Return axes and how many the first and the second bound take, or None if bounds would not make a search faster.

    ``bank`` returns centred rows of the ``length`` there are; ``queries`` (n, K) is a sample, centred, and ``nearest``
    (n,) the squared distance of the last neighbour that is asked for.
    """
    features = queries.shape[1]
    if features < _LEAST_FEATURES or length < SAMPLE:
        return None
    sample = bank(np.arange(0, length, -(-length // SAMPLE)))
    seconds = features // 4, features // 2
    firsts = [count for count in _AXES if count <= seconds[0]]
    axes = principal_axes(sample, seconds[-1])
    squares = np.square(sample).sum(axis=1)
    limits = nearest - np.square(queries).sum(axis=1)
    counts = [*firsts, *seconds]
    points = zip(counts, axes.points(queries, counts), axes.points(sample, counts), strict=True)
    left = {count: float((squares - 2 * ours @ theirs.T <= limits[:, None]).mean()) for count, ours, theirs in points}

    def cost(first: int, second: int) -> float:
        projection = 2 * features * second / length  # of a query, in float64
        ranked = left[first] * _second_cost(second) + left[second] * _distance_cost(features)
        return first + 2 + _SCAN + ranked + projection

    first, second = min(product(firsts, seconds), key=lambda pair: cost(*pair))
    return (axes, (first, second)) if cost(first, second) < 0.8 * features else None


class LowerBounds:
    """The bounds of a bank of ``length`` centred rows, prepared once: float32 (rows, first + 2) and (rows, second + 1).

    Rows are in random order, so that the first ones are a sample, among which a near row is found early.
    """

    def __init__(
        self, bank: Callable[[npt.NDArray[np.intp]], Rows], length: int, axes: Axes, counts: tuple[int, int], block: int
    ) -> None:
        self._axes = axes
        self._counts = counts
        self._block = block
        self._order = np.random.default_rng(0).permutation(length)
        self._first = np.empty((length, counts[0] + 2), np.float32)
        self._second = np.empty((length, counts[1] + 1), np.float32)
        self._squares = np.empty(length)
        for part in slices(length, block):
            tokens = bank(self._order[part])
            self._squares[part] = np.square(tokens).sum(axis=1)
            first, second = axes.points(tokens, self._counts)
            self._first[part, :-1] = -2 * first
            self._first[part, -1] = self._squares[part]
            self._second[part] = -2 * second
        self._radius = float(np.sqrt(self._squares.max()))

    def search(
        self,
        queries: Rows,
        scale: float,
        ranking: Ranking,
        rank: Rank,
        leave_out: Callable[[npt.NDArray[np.float32], npt.NDArray[np.intp]], None] | None,
    ) -> tuple[npt.NDArray[np.intp], float]:
        """Rank every row that can be among the nearest of centred queries (Q, K).

        ``scale`` is that of the centred tokens, ``rank`` takes pairs (query, bank row) into ``ranking``; ``leave_out``
        makes the bounds (Q, rows) infinite that do not count. Returns the queries that too many rows are left of, which
        are not ranked, and the cost as a share of a full pass.
        """
        first, second = (points.astype(np.float32) for points in self._axes.points(queries, self._counts))
        first = np.append(first, np.ones((len(queries), 1), np.float32), axis=1)
        book = _Survivors(self, queries, second, scale, ranking, rank)
        tile = np.empty((len(queries), self._block), np.float32)
        for number, part in enumerate(slices(len(self._order), self._block), 1):
            width = part.stop - part.start
            bounds = tile if width == self._block else np.empty((len(queries), width), np.float32)
            np.matmul(first, self._first[part].T, out=bounds)
            if leave_out is not None:
                leave_out(bounds, self._order[part])
            book.offer(bounds, part.start)
            if number & (number - 1) == 0:
                book.tighten()
        book.finish()
        pairs = len(queries) * len(self._order)
        work = self._counts[0] + 2 + _SCAN + book.work / pairs
        return book.given_up, work / queries.shape[1] + len(book.given_up) / len(queries)


class _Survivors:
    """The rows that bounds leave to one ranking."""

    def __init__(
        self,
        bounds: LowerBounds,
        queries: Rows,
        points: npt.NDArray[np.float32],
        scale: float,
        ranking: Ranking,
        rank: Rank,
    ) -> None:
        self._bounds = bounds
        self._ranking = ranking
        self._rank = rank
        self._scale = scale
        self._points = points
        self._features = queries.shape[1]
        self._squares = np.square(queries).sum(axis=1)
        self._margins, self._second_margins = (
            self._margin(queries, columns) for columns in (bounds._first.shape[1], bounds._second.shape[1] + 1)
        )
        self._limits = np.full(len(queries), np.inf)
        self._counts = np.zeros(len(queries), np.int64)
        self._most = max(256 + 16 * ranking.index.shape[1], len(bounds._order) // 24)
        self._pending: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]] = []
        self._mask = np.empty((len(queries), bounds._block), bool)
        self.work = 0

    @property
    def given_up(self) -> npt.NDArray[np.intp]:
        """The queries that too many rows are left of."""
        return np.flatnonzero(self._limits == -np.inf)

    def offer(self, bounds: npt.NDArray[np.float32], start: int) -> None:
        """Keep the rows from ``start`` on whose bounds (Q, B) do not rule them out."""
        k = self._ranking.index.shape[1]
        ranked = np.empty((len(bounds), 0), np.intp)
        if start == 0 and bounds.shape[1] > k:
            ranked = np.argpartition(bounds, k - 1, axis=1)[:, :k] if k > 1 else bounds.argmin(axis=1)[:, None]
            query, column = np.repeat(np.arange(len(bounds)), k), ranked.ravel()
            self._take(query, column, np.isfinite(bounds[query, column]))
        mask = self._mask[:, : bounds.shape[1]]
        np.less_equal(bounds, round_up(self._limits, bounds.dtype)[:, None], out=mask)
        np.put_along_axis(mask, ranked, False, axis=1)
        query, column = np.divmod(np.flatnonzero(mask), bounds.shape[1])
        self._pending.append((query, column + start, bounds[query, column]))
        self._counts += np.bincount(query, minlength=len(bounds))
        self._limits[self._counts > self._most] = -np.inf

    def tighten(self) -> None:
        """Rank the rows of the lowest bounds, and drop those that are ruled out by what they give."""
        query, row, bound = self._alive(*(np.concatenate(parts) for parts in zip(*self._pending, strict=True)))
        first = self._lowest(query, bound)
        self._take(query, row, first)
        self._pending = [self._alive(query[~first], row[~first], bound[~first])]

    def finish(self) -> None:
        """Rank all rows that the second bound leaves."""
        self.tighten()
        query, row, _ = self._pending.pop()
        self.work += len(query) * _second_cost(self._points.shape[1])
        second = np.empty(len(query), np.float32)
        for part in slices(len(query), 4096):
            second[part] = np.einsum("ij,ij->i", self._points[query[part]], self._bounds._second[row[part]])
        second += self._bounds._squares[row].astype(np.float32)
        difference = self._second_margins - self._margins
        for everything in (False, True):
            alive = second <= (self._limits + difference)[query]
            query, row, second = query[alive], row[alive], second[alive]
            chosen = np.ones(len(query), bool) if everything else self._lowest(query, second)
            self._take(query, row, chosen)
            query, row, second = query[~chosen], row[~chosen], second[~chosen]

    def _take(self, query: npt.NDArray[np.intp], row: npt.NDArray[np.intp], chosen: npt.NDArray[np.bool_]) -> None:
        self._rank(query[chosen], self._bounds._order[row[chosen]])
        self.work += int(chosen.sum()) * _distance_cost(self._features)
        known = self._ranking.distance[:, -1] * self._scale**2 - self._squares + self._margins
        self._limits[:] = np.where(self._limits == -np.inf, -np.inf, np.minimum(known, np.finfo(np.float32).max))

    def _lowest(self, query: npt.NDArray[np.intp], bound: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return which are the k lowest bounds of their query, or among equals with them."""
        if self._ranking.index.shape[1] == 1:
            least = np.full(len(self._limits), np.inf, np.float32)
            np.minimum.at(least, query, bound)
            return bound == least[query]
        order = np.lexsort((bound, query))
        place = np.arange(len(query)) - np.searchsorted(query[order], query[order])
        lowest = np.empty(len(query), bool)
        lowest[order] = place < self._ranking.index.shape[1]
        return lowest

    def _alive(
        self, query: npt.NDArray[np.intp], row: npt.NDArray[np.intp], bound: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        alive = bound <= self._limits[query]
        return query[alive], row[alive], bound[alive]

    def _margin(self, queries: Rows, columns: int) -> npt.NDArray[np.float64]:
        """Return how far above the score of a known row the bound of a nearer one can be, as computed."""
        norms = np.sqrt(self._squares)
        features, radius = queries.shape[1], self._bounds._radius
        terms = columns + 5
        found = margins(
            norms,
            radius,
            features,
            terms=terms,
            square_terms=terms,
            precision=np.float32,
            slack=self._bounds._axes.slack,
        )
        # The known score is a distance in float64 less |x|^2.
        return found + 2 * gamma(features + 2, np.float64) * (norms + radius) ** 2
