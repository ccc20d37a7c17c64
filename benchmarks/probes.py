"""The time to fit linear probes at eight learning rates at once, against eight fits one after another."""

import numpy as np
import torch

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.probe_fitting import ProbeOptions, fit_probe

_RATES = ProbeOptions().learning_rates
_ROWS = 16384


def run() -> list[Result]:
    """Fit on the bank's tokens, 19 classes, few steps: the time does not depend on what is learned."""
    tokens = bank_and_queries()[0][:_ROWS]
    labels = np.random.default_rng(0).integers(0, 19, len(tokens))
    image = np.arange(len(tokens)) // 512
    torch.set_num_threads(THREADS)

    def fit(*rates: float) -> None:
        fit_probe(tokens, labels, image, ProbeOptions(learning_rates=rates, steps=32), seed=0)

    seconds = median_seconds(
        {"together": lambda: fit(*_RATES), "apart": lambda: [fit(rate) for rate in _RATES]}, rounds=3
    )
    count = len(_RATES)
    return [
        Result(
            f"probes at {count} learning rates and the choice, against {count} single fits",
            count / seconds["together"],
            count / seconds["apart"],
            "rates/s",
        )
    ]
