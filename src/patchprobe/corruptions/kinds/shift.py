"""Diagonal shift."""

from typing import Any

import numpy as np

from patchprobe.corruptions.corruption import Level, positive, scalar
from patchprobe.corruptions.geometric import Affine, Geometric


class Shift(Geometric):
    """Diagonal shift; a level is the pixels by which the content moves to the right and down."""

    kind = "shift"

    def _level(self, level: Any) -> Level:
        return positive(level, "a shift in pixels")

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        pixels = scalar(level)
        return np.array([[1.0, 0.0, -pixels], [0.0, 1.0, -pixels]])


CORRUPTION = Shift
