"""The speed of exact 1-NN against scikit-learn, faiss and the bare matrix product, on tokens of two kinds."""

import faiss
import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries, with_noisy_features
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank

_ROWS = 512
_PRODUCT_ROWS = 1024


def run() -> list[Result]:
    """Time searches of the same float32 tokens; all are prepared outside the clock, ours by the uncounted round."""
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    classifier = KNeighborsClassifier(1, algorithm="brute", n_jobs=THREADS).fit(bank, np.arange(len(bank)) % 12)
    product = np.empty((_PRODUCT_ROWS, len(bank)), np.float32)

    def matrix_product() -> None:
        for rows in slices(len(queries), _PRODUCT_ROWS):
            np.matmul(queries[rows], bank.T, out=product)

    speed = _speed(
        bank, queries, {"product": matrix_product, "scikit-learn": lambda: classifier.predict(queries)}, rounds=5
    )
    results = [
        Result("1-NN, against scikit-learn brute", speed["ours"], speed["scikit-learn"], "queries/s"),
        Result("1-NN, against faiss IndexFlatL2", speed["ours"], speed["faiss"], "queries/s"),
        Result("1-NN, against the bare product", speed["ours"], speed["product"], "queries/s"),
    ]
    for count in (1, 50, 200):
        speed = _speed(with_noisy_features(bank, count, seed=1), with_noisy_features(queries, count, seed=2), {}, 3)
        results.append(
            Result(
                f"1-NN, {count} noisy features, against faiss IndexFlatL2", speed["ours"], speed["faiss"], "queries/s"
            )
        )
    return results


def _speed(
    bank: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], others: dict, rounds: int
) -> dict[str, float]:
    """Return queries per second of ours, of faiss and of other candidates."""
    memory_bank = MemoryBank(bank)
    blocks = [queries[rows] for rows in slices(len(queries), _ROWS)]
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    candidates = {
        "ours": lambda: memory_bank.search(blocks, threads=THREADS),
        "faiss": lambda: index.search(queries, 1),
        **others,
    }
    return {name: len(queries) / seconds for name, seconds in median_seconds(candidates, rounds).items()}
