"""Short street videos as a data set in the layout of BDD100K's tracking, with smaller frames: 128 x 256 px."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from patchprobe.datasets.demo.bdd100k_layout import write_boxes, write_frame
from patchprobe.datasets.demo.video import plan_video
from patchprobe.errors import ConfigError
from patchprobe.seeds import generator

_SPLIT = "val"
# Options with their default and their largest value.
_OPTIONS = {"videos": (4, 999), "frames": (12, 250)}


class StreetVideoData:
    """Videos in the split ``val``, five frames a second.

    Options: ``videos`` (1 to 999) and ``frames`` of each (1 to 250).
    """

    def __init__(self, seed: int, options: Mapping[str, Any]) -> None:
        self._seed = seed
        unknown = sorted(options.keys() - _OPTIONS.keys())
        if unknown:
            raise ConfigError(f"options.{unknown[0]} is unknown: take one of {', '.join(_OPTIONS)}")
        self._videos, self._frames = (_whole(options, key) for key in _OPTIONS)

    def write(self, root: Path, *, threads: int = 1) -> None:
        """Draw all videos and write them below ``root``; the files do not depend on ``threads``."""

        def one(number: int) -> None:
            name, video, boxes = video_name(self._seed, number), plan_video(self._seed, number, self._frames), []
            for index in range(self._frames):
                frame = video.frame(index)
                write_frame(root, _SPLIT, name, index, frame.image)
                boxes.append(frame.boxes)
            write_boxes(root, _SPLIT, name, boxes)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(self._videos)))


GENERATOR = StreetVideoData


def video_name(seed: int, number: int) -> str:
    """Return the name of a video, two numbers in base 16 as BDD100K's; the first has the number of the video in it."""
    rng = generator(seed, "video", number, "name")
    return f"{number:03x}{rng.integers(16**5):05x}-{rng.integers(16**8):08x}"


def _whole(options: Mapping[str, Any], key: str) -> int:
    default, most = _OPTIONS[key]
    value = options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ConfigError(f"options.{key} is {value!r}; set it to a whole number from 1 to {most}")
    return value
