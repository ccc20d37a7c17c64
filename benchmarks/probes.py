"""The time to fit many linear probes at once: eight against one, and those of a removal sweep against separate fits."""

import numpy as np
import torch

from benchmarks.measure import THREADS, Result, median_seconds
from benchmarks.tokens import bank_and_queries
from patchprobe.probes.fitting import ProbeOptions, fit_probe, fit_probes
from patchprobe.tokens.transforms import FeatureTransform, by_variance, moments

_ROWS, _CLASSES = 16384, 19
_REMOVED = (0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 750)


def run() -> list[Result]:
    """Fit on the bank's tokens, few steps: the time of a step does not depend on what is learned."""
    tokens = bank_and_queries()[0][:_ROWS]
    labels = np.random.default_rng(0).integers(0, _CLASSES, len(tokens))
    image = np.arange(len(tokens)) // 512
    torch.set_num_threads(THREADS)
    order, none = by_variance(moments(tokens)[1]), np.empty(0, np.int64)
    transforms = [FeatureTransform(len(order), np.sort(order[count:]), none) for count in _REMOVED]
    one = ProbeOptions(learning_rates=(0.01,), weight_decays=(0.0,), steps=256)
    grid = ProbeOptions(steps=64)

    def at_once(options: ProbeOptions, views: list[FeatureTransform]) -> None:
        fit_probes(tokens, labels, image, views, options, seed=0)

    few = median_seconds(
        {"eight": lambda: at_once(one, transforms[:1] * 8), "one": lambda: at_once(one, transforms[:1])}, rounds=5
    )
    many = median_seconds(
        {
            "at once": lambda: at_once(grid, transforms),
            "apart": lambda: [fit_probe(seen(tokens), labels, image, grid, seed=0) for seen in transforms],
        },
        rounds=3,
    )
    count = len(_REMOVED)
    return [
        Result("time of eight probes at once, against one", few["eight"], few["one"], "s"),
        Result(
            f"{count} probes of a removal sweep, against separate fits", 1 / many["at once"], 1 / many["apart"], "1/s"
        ),
    ]
