"""Source ``pixels``, a control: the raw pixels of each patch are its token."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Norm, Tokens


class Pixels:
    """A :class:`patchprobe.models.backbone.Backbone` with one block, no [CLS], and 3 * patch_size**2 features.

    Features are in the order channel, row, column. Pixels stay in 0..1 unless the entry has its own mean and
    std, because no training set prescribes a normalisation.
    """

    blocks = 1
    registers = 0
    has_cls = False

    def __init__(self, name: str, entry: Mapping[str, Any], *, input_size: tuple[int, int]) -> None:
        patch = int(entry.get("patch_size") or 16)
        rows, columns = input_size
        if rows % patch or columns % patch:
            raise ModelError(
                f"models.{name}.patch_size: patches of {patch} px do not divide images of {rows} x {columns} px; "
                "use a divisor of the image side"
            )
        self._patch = patch
        self.name = name
        self.grid = (rows // patch, columns // patch)
        self.features = 3 * patch * patch
        self.input_size = input_size
        self.mean: tuple[float, float, float] = tuple(entry.get("mean") or (0.0, 0.0, 0.0))
        self.std: tuple[float, float, float] = tuple(entry.get("std") or (1.0, 1.0, 1.0))
        self.provenance: dict[str, Any] = {
            "architecture": "raw pixels",
            "patch_size": patch,
            "checkpoint": None,
            "input_size": list(input_size),
            "mean": list(self.mean),
            "std": list(self.std),
            "token_norm": "none",
            "versions": {"torch": str(torch.__version__)},
        }

    def tokens(self, images: torch.Tensor, layers: Sequence[int]) -> Tokens:
        """See :meth:`patchprobe.models.backbone.Backbone.tokens`; the only block is 1."""
        patches = F.unfold(images.float(), self._patch, stride=self._patch).transpose(1, 2)
        return Tokens(patches.contiguous()[None], None, None)


def load_pixels(
    name: str,
    entry: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    input_size: tuple[int, int],
    norm: Norm,
    device: str,
    ground_sample_distance: float | None,
) -> Pixels:
    """Return the control; nothing is loaded, and nothing is normed."""
    return Pixels(name, entry, input_size=input_size)


SOURCE = load_pixels
