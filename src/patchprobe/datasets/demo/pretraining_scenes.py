"""Drawn worlds with exact ground truth: seeded, without any file, in the layouts of real data sets.

Nothing in here is data: every scene is drawn from numbers. A scene depends on (seed, split, city, index) only, so that
splits have no scene in common and the order of drawing does not matter.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.demo.scene import Scene
from patchprobe.datasets.demo.street import plan_street

PRETRAINING = "pretrain"
_PRETRAINING_CITIES = 48


def scene_batch(seed: int, n: int, *, start: int = 0) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Draw ``n`` street scenes for pretraining, from number ``start`` on, one at a time.

    Yields images, uint8 (256, 512, 3) RGB, and label ids of Cityscapes, uint8 (256, 512). The scenes belong to the split
    "pretrain" and to cities of its own, so that none of them is in a data set on disk, whatever its seed.
    """
    for index in range(start, start + n):
        scene = pretraining_scene(seed, index)
        yield scene.image, scene.label_ids


def pretraining_scene(seed: int, index: int) -> Scene:
    """Draw one scene for pretraining; consecutive numbers are in different cities."""
    city = f"{PRETRAINING}{index % _PRETRAINING_CITIES:02d}"
    return plan_street(seed, PRETRAINING, city, index).draw()
