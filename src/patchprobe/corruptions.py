"""Image corruptions: blur, noise, band-limited noise, and small shifts, rotations and scalings.

Levels and definitions follow arXiv 2401.00463. All functions take and return uint8 images of shape (height,
width, 3) of any size; results are rounded and clipped to 0..255. A random corruption draws from a generator
that depends on (seed, corruption, level, key) only, where the key names the image or tile it is applied to.

Affine matrices are float64 (2, 3) and map (x, y, 1) of an output pixel centre to (x, y) of the input, where
the centre of the top-left pixel is (0, 0), x goes right and y goes down.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from patchprobe.errors import ConfigError, DataError
from patchprobe.seeds import generator

Image = npt.NDArray[np.uint8]
Affine = npt.NDArray[np.float64]
Level = float | tuple[float, float]


class Corruption(ABC):
    """A corruption with its levels; made by :func:`open_corruption` from a config entry."""

    kind: ClassVar[str]
    geometric: ClassVar[bool] = False
    """Whether it moves pixels, and labels with them: then it is a :class:`Geometric`."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.levels: tuple[Level, ...] = tuple(self._level(level) for level in _nonempty(entry["levels"]))
        if len(set(self.level_values())) < len(self.levels):
            raise ConfigError(f"levels holds one level twice: {list(entry['levels'])}; remove one")
        self.apply: str = entry["apply"]
        """``image``: the full image is corrupted, then cut into tiles; ``tile``: the resized tiles are."""
        if self.apply not in ("image", "tile"):
            raise ConfigError(f"apply is {self.apply!r}; set it to 'image' or 'tile'")

    def level_values(self) -> npt.NDArray[np.float64]:
        """Return a number for each level, float64 (levels,): the level itself, or the centre of its ring."""
        return np.array([float(np.mean(level)) for level in self.levels])

    @abstractmethod
    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the image corrupted at one level; ``key``, an image or tile id, is what randomness hangs on."""

    @abstractmethod
    def _level(self, level: Any) -> Level:
        """Validate a level of the config; raises ConfigError."""

    def _generator(self, level: Level, seed: int, key: str) -> np.random.Generator:
        return generator(seed, self.kind, *(level if isinstance(level, tuple) else (level,)), key)


class Blur(Corruption):
    """Gaussian blur; a level is the width of the kernel in pixels, odd."""

    kind = "blur"

    def _level(self, level: Any) -> Level:
        if _number(level) % 2 != 1 or level < 3:
            raise ConfigError(f"levels holds {level!r}; a blur kernel is an odd number of pixels from 3 on")
        return float(level)

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the blurred image; nothing is random."""
        return blur(image, int(_scalar(level)))


class Noise(Corruption):
    """Additive Gaussian noise; a level is the standard deviation, of 255."""

    kind = "noise"

    def _level(self, level: Any) -> Level:
        return _positive(level, "a standard deviation of noise")

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the image with independent noise on every pixel and channel."""
        field = self._generator(level, seed, key).standard_normal(image.shape, dtype=np.float32)
        return _to_uint8(image + np.float32(_scalar(level)) * field)


class BandNoise(Corruption):
    """Gaussian noise limited to a ring of frequencies; a level is its two radii as fractions of Nyquist."""

    kind = "band-noise"

    def __init__(self, entry: Mapping[str, Any]) -> None:
        super().__init__(entry)
        self.std = _positive(entry["std"], "std of noise", "std")

    def _level(self, level: Any) -> Level:
        if not isinstance(level, Sequence) or isinstance(level, str) or len(level) != 2:
            raise ConfigError(f"levels holds {level!r}; a ring is [inner radius, outer radius]")
        low, high = (_number(radius) for radius in level)
        if not 0 <= low < high <= math.sqrt(2):
            raise ConfigError(f"levels holds {level!r}; a ring has 0 <= inner < outer <= 1.4142 (the square root of 2)")
        return low, high

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the image with the noise added; raises DataError if no frequency lies in the ring."""
        assert isinstance(level, tuple)
        return _to_uint8(image + band_noise(image.shape, level, self.std, self._generator(level, seed, key)))


class Geometric(Corruption):
    """A corruption that moves pixels, by one affine matrix for each level; outside is zero, labels void."""

    geometric = True

    @abstractmethod
    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3), output pixel centre to input pixel centre, for images of this size."""

    def corrupt(self, image: Image, level: Level, *, seed: int, key: str) -> Image:
        """Return the moved image; nothing is random."""
        return warp_image(image, self.affine(level, *image.shape[:2]))

    def move_label(self, label: Image, level: Level, void: int) -> Image:
        """Return a label map, uint8 (height, width), moved as its image is, void where nothing came from."""
        return warp_label(label, self.affine(level, *label.shape), void)


class Shift(Geometric):
    """Diagonal shift; a level is the pixels by which the content moves to the right and down."""

    kind = "shift"

    def _level(self, level: Any) -> Level:
        return _positive(level, "a shift in pixels")

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        pixels = _scalar(level)
        return np.array([[1.0, 0.0, -pixels], [0.0, 1.0, -pixels]])


class Rotation(Geometric):
    """Rotation about the centre; a level is the angle in degrees, counter-clockwise as seen on the screen."""

    kind = "rotate"

    def _level(self, level: Any) -> Level:
        return _number(level)

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        angle = math.radians(_scalar(level))
        cosine, sine = math.cos(angle), math.sin(angle)
        return _about_centre([[cosine, -sine], [sine, cosine]], height, width)


class Scaling(Geometric):
    """Scaling about the centre; a level is the factor, above 1 enlarges the content."""

    kind = "scale"

    def _level(self, level: Any) -> Level:
        return _positive(level, "a scale factor")

    def affine(self, level: Level, height: int, width: int) -> Affine:
        """Return the matrix (2, 3)."""
        inverse = 1 / _scalar(level)
        return _about_centre([[inverse, 0.0], [0.0, inverse]], height, width)


_KINDS: dict[str, type[Corruption]] = {c.kind: c for c in (Blur, Noise, BandNoise, Shift, Rotation, Scaling)}


def open_corruption(kind: str, entry: Mapping[str, Any]) -> Corruption:
    """Make a corruption from its config entry (keys ``levels``, ``apply``; ``std`` for band-noise).

    Raises ConfigError naming the key for an unknown kind or a level that makes no sense.
    """
    if kind not in _KINDS:
        raise ConfigError(f"corruptions.{kind}: there is no such corruption; known are {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](entry)
    except ConfigError as error:
        raise ConfigError(f"corruptions.{kind}.{error}") from None


def blur(image: Image, kernel: int) -> Image:
    """Blur with a Gaussian kernel, sigma = 0.3 ((kernel - 1) / 2 - 1) + 0.8; edges mirror without repeating."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    return _to_uint8(cv2.GaussianBlur(image.astype(np.float32), (kernel, kernel), sigma))


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


def warp_image(image: Image, affine: Affine) -> Image:
    """Move an image by an affine matrix: bilinear, same size, zeros outside."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (image.shape[1], image.shape[0])
    # In float32, so that values are rounded once.
    moved = cv2.warpAffine(image.astype(np.float32), affine, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return _to_uint8(moved)


def warp_label(label: Image, affine: Affine, void: int) -> Image:
    """Move a label map, uint8 (height, width), by an affine matrix: the nearest pixel, void outside.

    A position belongs to the pixel whose square holds it, so a label goes with the pixel that weighs most in
    the bilinear image.
    """
    height, width = label.shape
    x, y = np.arange(width), np.arange(height)[:, None]
    source_x = np.floor(affine[0, 0] * x + affine[0, 1] * y + affine[0, 2] + 0.5).astype(np.intp)
    source_y = np.floor(affine[1, 0] * x + affine[1, 1] * y + affine[1, 2] + 0.5).astype(np.intp)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    moved = np.full_like(label, void)
    moved[inside] = label[source_y[inside], source_x[inside]]
    return moved


def _about_centre(linear: Sequence[Sequence[float]], height: int, width: int) -> Affine:
    matrix = np.array(linear)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([matrix, centre - matrix @ centre])


def _to_uint8(values: npt.NDArray[np.float32]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _nonempty(levels: Any) -> Sequence[Any]:
    if not isinstance(levels, Sequence) or isinstance(levels, str) or not levels:
        raise ConfigError(f"levels is {levels!r}; give a list of levels")
    return levels


def _number(value: Any, key: str = "levels") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key} holds {value!r}; give a number")
    return float(value)


def _positive(value: Any, what: str, key: str = "levels") -> float:
    if _number(value, key) <= 0:
        raise ConfigError(f"{key} holds {value!r}; {what} is above 0")
    return float(value)


def _scalar(level: Level) -> float:
    assert not isinstance(level, tuple)
    return level
