"""The speed of exact 1-NN against scikit-learn, faiss and the bare matrix product."""

import faiss
import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors import QUERY_BLOCK, MemoryBank

_PRODUCT_ROWS = 1024


def run() -> list[Result]:
    """Time searches of the same float32 tokens; all are prepared outside the clock."""
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    memory_bank = MemoryBank(bank)
    blocks = [queries[start : start + QUERY_BLOCK] for start in range(0, len(queries), QUERY_BLOCK)]
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    classifier = KNeighborsClassifier(1, algorithm="brute", n_jobs=THREADS).fit(bank, np.arange(len(bank)) % 12)
    product = np.empty((_PRODUCT_ROWS, len(bank)), np.float32)

    def matrix_product() -> None:
        for start in range(0, len(queries), _PRODUCT_ROWS):
            np.matmul(queries[start : start + _PRODUCT_ROWS], bank.T, out=product)

    seconds = median_seconds(
        {
            "ours": lambda: memory_bank.search(blocks, threads=THREADS),
            "faiss": lambda: index.search(queries, 1),
            "product": matrix_product,
            "scikit-learn": lambda: classifier.predict(queries),
        },
        rounds=5,
    )
    speed = {name: len(queries) / duration for name, duration in seconds.items()}
    gigaflop = 2e-9 * bank.size
    return [
        Result("1-NN, against scikit-learn brute", speed["ours"], speed["scikit-learn"], "queries/s"),
        Result("1-NN, against faiss IndexFlatL2", speed["ours"], speed["faiss"], "queries/s"),
        Result("1-NN, against the bare product", speed["ours"] * gigaflop, speed["product"] * gigaflop, "Gflop/s"),
    ]
