"""Gaussian blur."""

from typing import Any

import cv2
import numpy as np

from patchprobe.corruptions.corruption import Corruption, Image, Level, number, scalar, to_uint8
from patchprobe.errors import ConfigError


class Blur(Corruption):
    """Gaussian blur; a level is the width of the kernel in pixels, odd."""

    kind = "blur"

    def _level(self, level: Any) -> Level:
        if number(level) % 2 != 1 or level < 3:
            raise ConfigError(f"levels holds {level!r}; a blur kernel is an odd number of pixels from 3 on: take one")
        return float(level)

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the blurred image; nothing is random."""
        return blur(image, int(scalar(level)))


def blur(image: Image, kernel: int) -> Image:
    """Blur with a Gaussian kernel, sigma = 0.3 ((kernel - 1) / 2 - 1) + 0.8; edges mirror without repeating."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    return to_uint8(cv2.GaussianBlur(image.astype(np.float32), (kernel, kernel), sigma))


CORRUPTION = Blur
