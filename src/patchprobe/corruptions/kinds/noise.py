"""Gaussian noise."""

from typing import Any

import numpy as np

from patchprobe.corruptions.corruption import Corruption, Image, Level, positive, scalar, to_uint8


class Noise(Corruption):
    """Additive Gaussian noise; a level is the standard deviation, of 255."""

    kind = "noise"

    def _level(self, level: Any) -> Level:
        return positive(level, "a standard deviation of noise")

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the image with independent noise on every pixel and channel."""
        field = self._generator(level, seed, key).standard_normal(image.shape, dtype=np.float32)
        return to_uint8(image + np.float32(scalar(level)) * field)


CORRUPTION = Noise
