"""Networks without weights: where those of a file take their place, or only names and sizes matter."""

from typing import Any

import timm
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_FILLING = {
    getattr(torch.Tensor, name)
    for name in ("add_", "clamp_", "copy_", "erfinv_", "fill_", "mul_", "normal_", "uniform_", "zero_")
}
# These reach a mode themselves, and what they call no longer does.
_FILLING |= {value for name, value in vars(nn.init).items() if name.endswith("_") and callable(value)}


class Unfilled(TorchFunctionMode):
    """Leaves out what fills parameters in place, so that they hold whatever lay in memory; buffers are computed.

    Drawing the weights of a ViT-H takes ten seconds. Load them strictly then: every parameter is one of the state dict.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FILLING:
            filled = args[0] if args else kwargs["tensor"]
            if isinstance(filled, nn.Parameter):
                return filled
        return func(*args, **kwargs)


def outline(architecture: str, **arguments: Any) -> Any:
    """Build an architecture of timm without classifier and memory, on the device meta; raises what timm raises."""
    with torch.device("meta"), Unfilled():
        return timm.create_model(architecture, num_classes=0, **arguments)
