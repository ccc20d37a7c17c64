"""The speed of 1-NN for 15 numbers of removed features in one pass, against searches one by one and one full pass."""

import faiss
import numpy as np

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbor_blocks import slices
from patchprobe.neighbor_sweep import nearest_without
from patchprobe.neighbors import MemoryBank
from patchprobe.variance import by_variance, moments

_COUNTS = (0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 650, 700)
_ROWS = 512


def run() -> list[Result]:
    """Time sweeps of the same float32 tokens, each with the preparation of its banks."""
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    order = by_variance(moments(bank)[1])
    blocks = [queries[rows] for rows in slices(len(queries), _ROWS)]
    faiss.omp_set_num_threads(THREADS)

    def by_faiss(count: int) -> None:
        left = np.sort(order[count:])
        index = faiss.IndexFlatL2(len(left))
        index.add(np.ascontiguousarray(bank[:, left]))
        index.search(np.ascontiguousarray(queries[:, left]), 1)

    def by_search(count: int) -> None:
        left = np.sort(order[count:])
        MemoryBank(bank[:, left]).search([block[:, left] for block in blocks], threads=THREADS)

    seconds = median_seconds(
        {
            "sweep": lambda: nearest_without(bank, order, _COUNTS, blocks, threads=THREADS),
            "faiss one by one": lambda: [by_faiss(count) for count in _COUNTS],
            "searches one by one": lambda: [by_search(count) for count in _COUNTS],
            "one pass of faiss": lambda: by_faiss(0),
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
