"""Generated street scenes of the split ``pretrain``, which no evaluation draws from, with their label maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.synthetic import Synthetic, draw_scene


class SceneImages:
    """Scenes of the generator's own size; label maps hold indices of its classes."""

    labelled = True

    def __init__(self, options: Mapping[str, Any], *, data_root: Path, seed: int) -> None:
        self.count: int = options["count"]
        self.class_names = Synthetic.classes.names
        self.size = (256, 512)

    def read(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """See :class:`patchprobe.pretraining.images.ImageSource`."""
        image, label = draw_scene(f"pretrain/{number}", self.size)
        return image, label


SOURCE = SceneImages
