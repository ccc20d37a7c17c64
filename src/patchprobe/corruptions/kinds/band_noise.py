"""Noise of a band of frequencies."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from patchprobe.corruptions.corruption import Corruption, Image, Level, number, positive, to_uint8
from patchprobe.errors import ConfigError, DataError


class BandNoise(Corruption):
    """Gaussian noise limited to a ring of frequencies; a level is its two radii as fractions of Nyquist."""

    kind = "band-noise"

    def __init__(self, entry: Mapping[str, Any]) -> None:
        super().__init__(entry)
        self.std = positive(entry["std"], "std of noise", "std")

    def _level(self, level: Any) -> Level:
        if not isinstance(level, Sequence) or isinstance(level, str) or len(level) != 2:
            raise ConfigError(f"levels holds {level!r}; a ring is [inner radius, outer radius]: write both")
        low, high = (number(radius) for radius in level)
        if not 0 <= low < high <= math.sqrt(2):
            raise ConfigError(
                f"levels holds {level!r}; a ring has 0 <= inner < outer <= 1.4142 (the square root of 2): correct it"
            )
        return low, high

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the image with the noise added; raises DataError if no frequency lies in the ring."""
        assert isinstance(level, tuple)
        return to_uint8(image + band_noise(image.shape, level, self.std, self._generator(level, seed, key)))


def band_noise(
    shape: tuple[int, ...], ring: tuple[float, float], std: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return Gaussian noise of standard deviation ``std`` with all frequencies outside the ring removed.

    ``shape`` is (height, width, channels); the radius of a frequency is sqrt(fy^2 + fx^2) / 0.5 with fy, fx
    in cycles per pixel, so 1 is the Nyquist frequency of an axis; both radii of the ring belong to it. Every
    channel is drawn and filtered by itself. Raises DataError if no frequency of an image of this size lies in
    the ring.
    """
    height, width, _ = shape
    # The noise is real and the ring symmetric, so half of the frequency plane says all.
    radius = 2 * np.hypot(scipy.fft.fftfreq(height)[:, None], scipy.fft.rfftfreq(width))
    inside = (radius >= ring[0]) & (radius <= ring[1])
    if not inside.any():
        raise DataError(
            f"corruptions.band-noise.levels: the ring {list(ring)} holds no frequency of a {width} x {height} image; "
            "widen the ring or use larger images"
        )
    noise = np.float32(std) * rng.standard_normal(shape, dtype=np.float32)
    spectrum = scipy.fft.rfft2(noise, axes=(0, 1))
    spectrum *= inside[..., None]
    field: npt.NDArray[np.float32] = scipy.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return field


CORRUPTION = BandNoise
