"""The speed of 1-NN for 15 numbers of removed features in one pass, against searches one by one and one full pass."""

import faiss
import numpy as np

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.tokens.transforms import by_variance, moments

_COUNTS = (0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 650, 700)
_ROWS = 512


def run() -> list[Result]:
    """Time sweeps of the same float32 tokens; all are prepared outside the clock, our searches by the uncounted round."""
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    order = by_variance(moments(bank)[1])
    blocks = slices(len(queries), _ROWS)
    faiss.omp_set_num_threads(THREADS)
    sweep = SweepBank(bank, order, _COUNTS)
    left = [np.sort(order[count:]) for count in _COUNTS]
    kept = [np.ascontiguousarray(queries[:, features]) for features in left]
    indices = [faiss.IndexFlatL2(len(features)) for features in left]
    for index, features in zip(indices, left, strict=True):
        index.add(np.ascontiguousarray(bank[:, features]))
    memory_banks = [MemoryBank(bank[:, features]) for features in left]

    def by_search() -> None:
        for memory_bank, part in zip(memory_banks, kept, strict=True):
            memory_bank.search([part[rows] for rows in blocks], threads=THREADS)

    seconds = median_seconds(
        {
            "sweep": lambda: sweep.search([queries[rows] for rows in blocks], threads=THREADS),
            "faiss one by one": lambda: [index.search(part, 1) for index, part in zip(indices, kept, strict=True)],
            "searches one by one": by_search,
            "one pass of faiss": lambda: indices[0].search(queries, 1),
        },
        rounds=3,
    )
    speed = {name: len(_COUNTS) / duration for name, duration in seconds.items()}
    count = len(_COUNTS)
    return [
        Result(
            f"sweep of {count}, against {count} searches by faiss", speed["sweep"], speed["faiss one by one"], "1/s"
        ),
        Result(f"sweep of {count}, against {count} searches", speed["sweep"], speed["searches one by one"], "1/s"),
        Result(
            f"time of a sweep of {count}, against one pass of faiss",
            seconds["sweep"],
            seconds["one pass of faiss"],
            "s",
        ),
    ]
