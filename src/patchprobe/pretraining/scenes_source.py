"""Generated street scenes of the split ``pretrain``, which no evaluation draws from, with their label maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.adapters.cityscapes import TRAIN_IDS, Cityscapes
from patchprobe.datasets.demo.pretraining_scenes import pretraining_scene
from patchprobe.datasets.demo.street import SHAPE


class SceneImages:
    """Scenes of the generator's own size; label maps hold the train ids of Cityscapes."""

    labelled = True
    size = SHAPE
    class_names = Cityscapes.classes.names

    def __init__(self, options: Mapping[str, Any], *, data_root: Path, seed: int) -> None:
        self.count: int = options["count"]
        self._seed = seed

    def read(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """See :class:`patchprobe.pretraining.images.ImageSource`."""
        scene = pretraining_scene(self._seed, number)
        return scene.image, TRAIN_IDS[scene.label_ids]


SOURCE = SceneImages
