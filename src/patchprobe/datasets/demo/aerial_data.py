"""Aerial scenes as a data set in the layout of FAIR1M, with smaller images: 512 x 512 px."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from patchprobe.datasets.demo.aerial_canvas import photograph
from patchprobe.datasets.demo.aerial_places import plan_scene
from patchprobe.datasets.demo.aerial_things import paint
from patchprobe.datasets.demo.fair1m_layout import write_scene
from patchprobe.errors import ConfigError
from patchprobe.seeds import generator

_DEFAULTS = {"train": {"images": 12}, "validation": {"images": 4}}
_SIZE = 512
_OPTIONS = (*_DEFAULTS, "size")
_MOST = 9999


class AerialData:
    """Aerial scenes in the splits ``train`` and ``validation``.

    Options: for each split ``images`` (1 to 9999), and ``size``, the px of a side (a multiple of 64, at least 256).
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        unknown = sorted(options.keys() - {*_OPTIONS})
        if unknown:
            raise ConfigError(f"options.{unknown[0]} is unknown: take one of {', '.join(_OPTIONS)}")
        self._images = {split: _images(split, options) for split in _DEFAULTS}
        self._size = _side(options.get("size", _SIZE))

    def write(self, root: Path, *, threads: int = 1) -> None:
        """Draw all scenes and write them below ``root``; the files do not depend on ``threads``."""
        work = [(split, number) for split, images in self._images.items() for number in range(images)]

        def one(task: tuple[str, int]) -> None:
            """Draw and write one scene."""
            plan = plan_scene(self._seed, *task, self._size)
            rng = generator(self._seed, "aerial", *task, "photograph")
            write_scene(root, *task, photograph(paint(plan), plan.light, rng), plan.objects())

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, work))


GENERATOR = AerialData


def _images(split: str, options: Mapping[str, Any]) -> int:
    given = options.get(split, {})
    if not isinstance(given, Mapping):
        raise ConfigError(f"options.{split} is {given!r}; give it the key images")
    unknown = [key for key in given if key != "images"]
    if unknown:
        raise ConfigError(f"options.{split}.{unknown[0]} is unknown: take images")
    count = given.get("images", _DEFAULTS[split]["images"])
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST:
        raise ConfigError(f"options.{split}.images is {count!r}; set it to a whole number from 1 to {_MOST}")
    return count


def _side(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 256 or value % 64:
        raise ConfigError(f"options.size is {value!r}; set it to a multiple of 64 from 256 on")
    return value
