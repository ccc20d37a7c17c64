"""Land use from above as a data set in the layout of UCMerced, at a quarter of its size: 64 x 64 px."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.aerial_canvas import photograph
from patchprobe.datasets.demo.aerial_things import paint
from patchprobe.datasets.demo.landuse_places import PLACES, plan_place
from patchprobe.datasets.demo.ucmerced_layout import CLASSES, MOST_IMAGES, write_picture
from patchprobe.errors import ConfigError, suggestion
from patchprobe.seeds import generator

_DEFAULTS = {"classes": 10, "images_per_class": 12, "size": 64}
# A pixel of the picture is about so many of those in which aerial scenes are drawn: more ground in fewer pixels.
_HEIGHT = (1.55, 2.05)
# As in the release, where 44 of 2100 images are some pixels smaller or larger than the rest.
_OFF_SHARE, _OFF = 0.04, 3


class LandUseData:
    """Pictures of land use by class.

    Options: ``classes``, a number (2 to 21) or a list of UCMerced's names; ``images_per_class`` (1 to 100); ``size``, the
    px of a side (32 to 512), from which a few images are off by up to 3 px.
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        unknown = sorted(options.keys() - _DEFAULTS.keys())
        if unknown:
            raise ConfigError(f"options.{unknown[0]} is unknown: take one of {', '.join(_DEFAULTS)}")
        self._classes = _classes(options.get("classes", _DEFAULTS["classes"]))
        self._images = _whole(options, "images_per_class", 1, MOST_IMAGES)
        self._size = _whole(options, "size", 32, 512)

    def write(self, root: Path, *, threads: int = 1) -> None:
        """Draw all pictures and write them below ``root``; the files do not depend on ``threads``."""
        work = [(name, number) for name in self._classes for number in range(self._images)]

        def one(task: tuple[str, int]) -> None:
            write_picture(root, *task, draw_place(self._seed, *task, self._size))

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, work))


GENERATOR = LandUseData


def draw_place(seed: int, name: str, number: int, size: int) -> npt.NDArray[np.uint8]:
    """Draw an image of a class, uint8 RGB (height, width, 3), each about ``size`` px.

    It depends on the seed, the class and the number, not on which classes are drawn beside it.
    """
    rng = generator(seed, "landuse", name, number)
    shape = size + (rng.integers(-_OFF, _OFF + 1, 2) if rng.random() < _OFF_SHARE else np.zeros(2, np.int64))
    side = size + _OFF
    plan = plan_place(rng, name, round(side * rng.uniform(*_HEIGHT)))
    picture = photograph(paint(plan), plan.light, rng)
    small: npt.NDArray[np.uint8] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[: shape[0], : shape[1]])


def _classes(value: object) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= len(PLACES):
        return list(PLACES)[:value]
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"options.classes is {value!r}; set it to a whole number from 2 to {len(PLACES)} or to a list of classes"
        )
    for name in value:
        if name not in CLASSES:
            hint = suggestion(str(name), CLASSES, f"known are {', '.join(CLASSES)}")
            raise ConfigError(f"options.classes: {name!r} is no class of UCMerced; {hint}")
    return sorted({*value})


def _whole(options: Mapping[str, Any], key: str, least: int, most: int) -> int:
    value = options.get(key, _DEFAULTS[key])
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"options.{key} is {value!r}; set it to a whole number from {least} to {most}")
    return value
