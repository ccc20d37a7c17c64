"""What a corruption is, and how one is found by its name.

Levels and definitions follow arXiv 2401.00463. All corruptions take and return uint8 images of shape (height,
width, 3) of any size; results are rounded and clipped to 0..255. A random corruption draws from a generator
that depends on (seed, corruption, level, key) only, where the key names the image or tile it is applied to.

A kind in the config names its module: ``band-noise`` is ``corruptions/kinds/band_noise.py``, whose ``CORRUPTION`` is a
subclass of :class:`Corruption`. There is no list to edit.
"""

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from patchprobe.corruptions import kinds
from patchprobe.errors import ConfigError, suggestion
from patchprobe.seeds import generator

Image = npt.NDArray[np.uint8]
Level = float | tuple[float, float]


class Corruption(ABC):
    """A corruption with its levels; made by :func:`open_corruption` from a config entry."""

    kind: ClassVar[str]
    """Its name in the config."""
    geometric: ClassVar[bool] = False
    """Whether it moves pixels, and labels with them: then it is a :class:`patchprobe.corruptions.geometric.Geometric`."""

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


def open_corruption(kind: str, entry: Mapping[str, Any]) -> Corruption:
    """Make a corruption from its config entry (keys ``levels``, ``apply``, and what else the kind takes).

    Raises ConfigError naming the key for an unknown kind or a level that makes no sense.
    """
    known = sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(kinds.__path__))
    if kind not in known:
        hint = suggestion(kind, known, f"known are {', '.join(known)}")
        raise ConfigError(f"corruptions.{kind}: there is no such corruption; {hint}")
    module = importlib.import_module(f"{kinds.__name__}.{kind.replace('-', '_')}")
    made: type[Corruption] | None = getattr(module, "CORRUPTION", None)
    if made is None or made.kind != kind:
        raise ConfigError(
            f"corruptions.{kind}: {module.__file__} has no CORRUPTION whose kind is {kind!r}: add or correct it"
        )
    try:
        return made(entry)
    except ConfigError as error:
        raise ConfigError(f"corruptions.{kind}.{error}") from None


def to_uint8(values: npt.NDArray[np.float32]) -> Image:
    """Round and clip to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def number(value: Any, key: str = "levels") -> float:
    """Return a number of the config as float; raises ConfigError naming ``key``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key} holds {value!r}; give a number")
    return float(value)


def positive(value: Any, what: str, key: str = "levels") -> float:
    """Return a number above 0 of the config as float; raises ConfigError that says ``what`` it is."""
    if number(value, key) <= 0:
        raise ConfigError(f"{key} holds {value!r}; {what} is above 0: correct the key")
    return float(value)


def scalar(level: Level) -> float:
    """Return a level that is no pair."""
    assert not isinstance(level, tuple)
    return level


def _nonempty(levels: Any) -> Sequence[Any]:
    if not isinstance(levels, Sequence) or isinstance(levels, str) or not levels:
        raise ConfigError(f"levels is {levels!r}; give a list of levels")
    return levels
