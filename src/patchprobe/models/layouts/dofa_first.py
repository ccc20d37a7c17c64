"""Layout ``dofa-first``: a file of DOFA of before September 2024, whose generated kernel has its numbers in another order.

Source: the first version of ``wave_dynamic_layer.py`` of zhu-xlab/DOFA (1550cbe3), and the repository's remark that the
models were trained anew with the mended one. See ``dofa``.
"""

from collections.abc import Mapping
from typing import Any

import torch

from patchprobe.models.layout import Contents
from patchprobe.models.layouts.dofa import sorted_out


def read_dofa_first(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`."""
    return sorted_out(file, "dofa-first", key, _kernel)


LAYOUT = read_dofa_first


def _kernel(numbers: torch.Tensor, features: int) -> torch.Tensor:
    side = round((numbers.shape[1] / features) ** 0.5)
    return numbers.reshape(features, -1, side, side)
