"""What a benchmark returns, and how candidates are timed side by side."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

THREADS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Result:
    """One comparison: ``ratio`` is ours divided by the reference, both in ``unit``."""

    name: str
    ours: float
    reference: float
    unit: str

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the reference."""
        return self.ours / self.reference


def median_seconds(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each candidate; they take turns, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
