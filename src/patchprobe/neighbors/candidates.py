"""Candidates for the nearest bank rows, collected from scores whose rounding errors are bounded.

A score is a squared distance less a number that depends on the query alone. Scores come in tiles (queries, some bank
rows); every row whose score is within a margin of the k-th lowest so far is kept.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_PENDING = 1 << 19  # candidates kept before they are ranked: bounds the memory of one worker
_FEW = 8  # one row in so many is few

Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


class Candidates:
    """The bank rows that can be among the ``k`` nearest of each query.

    ``margins`` float64 (Q,): how far above the k-th lowest score a row can be. ``rank`` takes pairs (query, bank row)
    that may not wait any longer, since there are too many. A query with more than ``crowd_limit`` candidates is given
    up; None gives up none.
    """

    def __init__(
        self,
        margins: npt.NDArray[np.float64],
        rank: Callable[[npt.NDArray[np.intp], npt.NDArray[np.intp]], None],
        *,
        k: int = 1,
        crowd_limit: int | None,
    ) -> None:
        self._margins = margins.copy()
        self._rank = rank
        self._crowd_limit = crowd_limit
        self._lowest = np.full((len(margins), k), np.inf)
        self._kth = np.full(len(margins), np.inf)
        self._counts = np.zeros(len(margins), np.int64)
        self._pending: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.floating]]] = []
        self._waiting = 0

    @property
    def crowded(self) -> npt.NDArray[np.intp]:
        """The queries that were given up."""
        return np.flatnonzero(self._margins == -np.inf)

    def offer(self, scores: npt.NDArray[np.floating], start: int) -> None:
        """Take the scores (Q, B) of the bank rows from ``start`` on into account; infinite ones are no candidates."""
        nearest = scores.argmin(axis=1)  # much faster than min
        minima = scores[np.arange(len(scores)), nearest]
        if self._lowest.shape[1] == 1:
            np.minimum(self._kth, minima, out=self._kth)
        near = (minima <= self._kth + self._margins).nonzero()[0]
        if not near.size:
            return
        if self._lowest.shape[1] == 1:
            row, column, score = self._close_to_lowest(scores, near, nearest[near], minima[near])
        else:
            row, column, score = self._among_lowest(scores[near], near)
        self._keep(near[row], column + start, score)

    def limits(self, precision: type[np.floating]) -> npt.NDArray[np.floating]:
        """Return the score (Q,) above which a row is no candidate, in a precision."""
        return round_up(self._kth + self._margins, np.dtype(precision))

    def remaining(self) -> Pairs:
        """Return the pairs (query, bank row) that are left to rank."""
        row, column, _ = self._alive()
        return row, column

    def _close_to_lowest(
        self,
        scores: npt.NDArray[np.floating],
        near: npt.NDArray[np.intp],
        nearest: npt.NDArray[np.intp],
        minima: npt.NDArray[np.floating],
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.floating]]:
        """Return the lowest score of every row ``near`` and the few others below the limit."""
        rows = np.arange(len(near))
        # To copy rows takes longer than to look through all, unless they are few.
        part, place = (scores[near], rows) if len(near) * _FEW < len(scores) else (scores, near)
        part[place, nearest] = np.inf
        limits = round_up(self._kth[near] + self._margins[near], part.dtype)
        # Few rows have a second candidate: only they are scanned.
        several = np.flatnonzero(part[place, part.argmin(axis=1)[place]] <= limits)
        others = part[place[several]]
        part[place, nearest] = minima
        row, column = np.divmod(np.flatnonzero(others <= limits[several, None]), part.shape[1])
        finite = np.isfinite(minima)
        return (
            np.concatenate([rows[finite], several[row]]),
            np.concatenate([nearest[finite], column]),
            np.concatenate([minima[finite], others[row, column]]),
        )

    def _among_lowest(
        self, part: npt.NDArray[np.floating], near: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.floating]]:
        """Return the scores below the limit of every row, and update the k lowest."""
        k = self._lowest.shape[1]
        kth = self._kth[near]
        if part.shape[1] >= k and not np.isfinite(kth).all():
            np.minimum(kth, np.partition(part, k - 1, axis=1)[:, k - 1], out=kth)
        limits = round_up(kth + self._margins[near], part.dtype)
        row, column = np.divmod(np.flatnonzero(part <= limits[:, None]), part.shape[1])
        score = part[row, column]
        counts = np.bincount(row, minlength=len(near))
        # The k lowest so far and the new ones side by side, rows filled up with infinity.
        merged = np.full((len(near), k + int(counts.max())), np.inf)
        merged[:, :k] = self._lowest[near]
        merged[row, k + np.arange(len(row)) - (np.cumsum(counts) - counts)[row]] = score
        merged.partition(k - 1, axis=1)
        self._lowest[near] = merged[:, :k]
        self._kth[near] = merged[:, k - 1]
        return row, column, score

    def _keep(self, row: npt.NDArray[np.intp], column: npt.NDArray[np.intp], score: npt.NDArray[np.floating]) -> None:
        self._pending.append((row, column, score))
        self._waiting += len(row)
        if self._crowd_limit is not None:
            self._counts += np.bincount(row, minlength=len(self._counts))
            self._margins[self._counts > self._crowd_limit] = -np.inf
        if self._waiting > _PENDING:
            self._pending = [self._alive()]
            if len(self._pending[0][0]) > _PENDING // 2:
                self._rank(*self._pending.pop()[:2])
            self._waiting = sum(len(part[0]) for part in self._pending)

    def _alive(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.floating]]:
        """Join the candidates found so far and drop those that later scores have ruled out."""
        if not self._pending:
            return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
        row, column, score = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
        alive = (score <= (self._kth + self._margins)[row]) & (score < np.inf)
        return row[alive], column[alive], score[alive]


def round_up(limits: npt.NDArray[np.float64], precision: np.dtype[np.floating]) -> npt.NDArray[np.floating]:
    """Convert to a precision without excluding anything but infinite scores."""
    below_largest = np.nextafter(np.finfo(precision).max, precision.type(0))
    return np.nextafter(np.minimum(limits, below_largest).astype(precision), precision.type(np.inf))
