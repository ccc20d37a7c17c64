"""The settings of reconstruction: which features of the tokens are zero before they reach the decoder."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from patchprobe.seeds import generator
from patchprobe.tokens.transforms import by_variance, feature_count

KINDS = ("zero-top-variance", "zero-random", "keep-top-variance")
"""Beginnings of the names of settings, which end with a number m of features: the m features of highest variance are zero, m
random ones are, or all but the m of highest variance are."""
NOTHING = "zero-all"
"""The setting in which all features are zero: what the decoder makes of no token at all, the floor of every other."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """A name such as ``zero-top-variance-200``, empty for tokens as they are; and the features that are zero, int64 (n,)."""

    name: str
    zeroed: npt.NDArray[np.int64]


def settings(
    variance: npt.NDArray[np.float64], features: float, sweep: Sequence[float], *, seed: int
) -> tuple[list[Setting], list[str]]:
    """Return all settings, tokens as they are first, then by rising number of features, ``NOTHING`` last; and the names of
    those of the table.

    ``variance`` (total,) of the features decides which are highest, of equals the lower index. ``features`` is the number of
    the table and ``sweep`` are those of the curves, below 1 as shares. Random features of a larger number hold those of a
    smaller. Numbers that leave no feature are left out, and logged.
    """
    total = len(variance)
    own = feature_count(features, total)
    counts = sorted({own, *(feature_count(asked, total) for asked in sweep)})
    if beyond := [count for count in counts if count >= total]:
        _log.warning("the model has %d features: settings of %s are left out", total, ", ".join(map(str, beyond)))
    order = by_variance(variance)
    random = generator(seed, "reconstruction", "features").permutation(total)
    found = [Setting("", np.empty(0, np.int64))]
    for count in counts:
        if count < total:
            parts = (order[:count], random[:count], order[count:])
            found += [Setting(f"{kind}-{count}", np.sort(part)) for kind, part in zip(KINDS, parts, strict=True)]
    found.append(Setting(NOTHING, np.arange(total)))
    table = ["", *(f"{kind}-{own}" for kind in KINDS), NOTHING]
    return found, [setting.name for setting in found if setting.name in table]


def of_kind(name: str) -> tuple[str, int]:
    """Return the beginning of a setting's name and its number of features; the name itself and 0 for one without a number."""
    kind, _, count = name.rpartition("-")
    return (kind, int(count)) if kind in KINDS else (name, 0)
