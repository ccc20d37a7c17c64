"""Street scenes as a data set in the layout of Cityscapes, at a quarter of its size: 256 x 512 px."""

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from patchprobe.datasets.demo.cityscapes_layout import write_scene
from patchprobe.datasets.demo.street import plan_street
from patchprobe.errors import ConfigError

_DEFAULTS = {"train": {"cities": 6, "images_per_city": 10}, "val": {"cities": 3, "images_per_city": 10}}
_FIRST = ("velm", "torn", "quess", "mirr", "ald", "bren", "fjor", "hask", "ister", "jun", "kor", "luv")
_LAST = ("ava", "eth", "holm", "ingen", "ora", "stad", "unde", "ix")


class StreetData:
    """Street scenes in the splits ``train`` and ``val``, which have no city in common.

    Options: for each split ``cities`` (1 to 48) and ``images_per_city``.
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        self._splits = {split: _settings(split, options) for split in _DEFAULTS}
        unknown = sorted(options.keys() - _DEFAULTS.keys())
        if unknown:
            raise ConfigError(f"options.{unknown[0]} is unknown: take one of {', '.join(_DEFAULTS)}")

    def write(self, root: Path, *, threads: int = 1) -> None:
        """Draw all scenes and write them below ``root``; the files do not depend on ``threads``."""
        work = [
            (split, city, number)
            for split, settings in self._splits.items()
            for city in city_names(split)[: settings["cities"]]
            for number in range(settings["images_per_city"])
        ]

        def one(task: tuple[str, str, int]) -> None:
            write_scene(root, *task, plan_street(self._seed, *task).draw())

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, work))


GENERATOR = StreetData


def city_names(split: str) -> list[str]:
    """Return the invented names of the cities of a split, at most 48; no name is in both splits."""
    # By last syllable first, so that a few names do not all begin alike.
    names = [first + last for last, first in itertools.product(_LAST, _FIRST)]
    return names[0::2] if split == "train" else names[1::2]


def _settings(split: str, options: Mapping[str, Any]) -> dict[str, int]:
    given = options.get(split, {})
    if not isinstance(given, Mapping):
        raise ConfigError(f"options.{split} is {given!r}; give it the keys cities and images_per_city")
    for key, value in given.items():
        if key not in _DEFAULTS[split]:
            raise ConfigError(f"options.{split}.{key} is unknown: take one of {', '.join(_DEFAULTS[split])}")
        most = len(city_names(split)) if key == "cities" else 999_999
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ConfigError(f"options.{split}.{key} is {value!r}; set it to a whole number from 1 to {most}")
    return {**_DEFAULTS[split], **given}
