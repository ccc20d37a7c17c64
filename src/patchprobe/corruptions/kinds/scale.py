"""Scaling about the centre."""

from typing import Any

from patchprobe.corruptions.corruption import Level, positive, scalar
from patchprobe.corruptions.geometric import Affine, Geometric, about_centre


class Scaling(Geometric):
    """Scaling about the centre; a level is the factor, above 1 enlarges the content."""

    kind = "scale"

    def _level(self, level: Any) -> Level:
        return positive(level, "a scale factor")

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        inverse = 1 / scalar(level)
        return about_centre([[inverse, 0.0], [0.0, inverse]], height, width)


CORRUPTION = Scaling
