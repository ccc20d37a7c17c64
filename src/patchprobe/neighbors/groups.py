"""What each row of a memory bank belongs to, so that a query can leave out the rows of its own."""

from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import DataError


class Groups:
    """The groups (N,) of bank rows, as numbers or texts, or None where they have none; of these ``rows`` are searched.

    ``numbers`` int (N,) counts the distinct groups in their order.
    """

    def __init__(self, groups: npt.ArrayLike | None, rows: int) -> None:
        self._names: npt.NDArray[Any] | None = None
        self.numbers = np.zeros(rows, np.intp)
        if groups is not None:
            given = np.asarray(groups)
            if given.shape != (rows,):
                raise DataError(
                    f"groups of shape {given.shape} for a memory bank of {rows} rows: give one for each row"
                )
            self._names, self.numbers = np.unique(given, return_inverse=True)
        self.search(np.arange(rows))

    def search(self, rows: npt.NDArray[np.intp]) -> None:
        """Say which rows are searched, sorted: places are counted among them from here on."""
        self._of_place = self.numbers[rows]
        self._by_group = np.argsort(self._of_place, kind="stable")
        number = 1 if self._names is None else len(self._names)
        self._first = np.searchsorted(self._of_place[self._by_group], np.arange(number + 1))

    def number(self, names: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return the numbers of groups (Q,), -1 for one that the bank does not have. Raises DataError for a bank without any."""
        if self._names is None:
            raise DataError("the memory bank has no groups to leave out: give MemoryBank the group of every row")
        place = np.minimum(np.searchsorted(self._names, names), len(self._names) - 1)
        return np.where(self._names[place] == names, place, -1)

    def places(self, group: int) -> npt.NDArray[np.intp]:
        """Return the places of a group's searched rows."""
        return self._by_group[self._first[group] : self._first[group + 1]]

    def leave_out(self, scores: npt.NDArray[Any], own: npt.NDArray[np.intp], places: npt.NDArray[np.intp]) -> None:
        """Make the scores (Q, B) of the rows at ``places`` (B,) infinite that are of their query's ``own`` group (Q,)."""
        groups = self._of_place[places]
        for group in np.intersect1d(own, groups):
            scores[np.flatnonzero(own == group)[:, None], np.flatnonzero(groups == group)] = np.inf
