"""Rotation about the centre."""

import math
from typing import Any

from patchprobe.corruptions.corruption import Level, number, scalar
from patchprobe.corruptions.geometric import Affine, Geometric, about_centre


class Rotation(Geometric):
    """Rotation about the centre; a level is the angle in degrees, counter-clockwise as seen on the screen."""

    kind = "rotate"

    def _level(self, level: Any) -> Level:
        return number(level)

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        angle = math.radians(scalar(level))
        cosine, sine = math.cos(angle), math.sin(angle)
        return about_centre([[cosine, -sine], [sine, cosine]], height, width)


CORRUPTION = Rotation
