"""The search of the protocol ``hummingbird``: ours, exact, against ScaNN's approximate one as open-hummingbird sets it."""

import sys

import numpy as np

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.neighbors.blocks import slices
from patchprobe.neighbors.memory_bank import MemoryBank

_K = 30
_ROWS = 512
# The defaults of open-hummingbird-eval (Pariza et al.), for the dot product of normalised tokens.
_TREE = {"num_leaves": 512, "num_leaves_to_search": 32}
_QUANTISATION = {"dimensions_per_block": 4, "anisotropic_quantization_threshold": 0.2}
_REORDERED = 120


def run() -> list[Result]:
    """Time 30 neighbours by cosine of the same float32 tokens, and count those that ScaNN finds; banks are prepared."""
    try:
        import scann
    except ImportError:
        print("hummingbird: there is no ScaNN for this platform", file=sys.stderr)
        return []
    bank, queries, _ = (part if isinstance(part, str) else part.astype(np.float32) for part in bank_and_queries())
    normed, asked = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True) for tokens in (bank, queries))
    builder = scann.scann_ops_pybind.builder(normed, _K, "dot_product").set_n_training_threads(THREADS)
    searcher = (
        builder.tree(training_sample_size=len(bank), **_TREE).score_ah(**_QUANTISATION).reorder(_REORDERED).build()
    )
    searcher.set_num_threads(THREADS)
    memory_bank = MemoryBank(bank, metric="cosine")
    blocks = [queries[rows] for rows in slices(len(queries), _ROWS)]
    candidates = {
        "ours": lambda: memory_bank.search(blocks, threads=THREADS, k=_K),
        "scann": lambda: searcher.search_batched_parallel(asked, final_num_neighbors=_K),
    }
    speed = {name: len(queries) / seconds for name, seconds in median_seconds(candidates, 5).items()}
    exact, _ = memory_bank.search(blocks, threads=THREADS, k=_K)
    found, _ = searcher.search_batched_parallel(asked, final_num_neighbors=_K)
    shared = sum(len(np.intersect1d(ours, theirs)) for ours, theirs in zip(exact, found, strict=True))
    return [
        Result("30-NN by cosine, exact, against ScaNN", speed["ours"], speed["scann"], "queries/s"),
        Result("neighbours of ScaNN that are right, of ours", shared, exact.size, "neighbours"),
    ]
