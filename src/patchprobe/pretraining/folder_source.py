"""Images of a user's folder, all brought to one size; the sub-folders of the first level are classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.datasets.listing import files_below
from patchprobe.datasets.pictures import read_rgb
from patchprobe.errors import DataError
from patchprobe.files import folder_below
from patchprobe.pretraining.images import NO_CLASS
from patchprobe.seeds import generator

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_KEY = "pretraining.images.folder"


class FolderImages:
    """Images found below a folder, ``count`` of them drawn by the seed if there are more.

    An image is scaled to cover ``size`` and its middle is kept. Where every image lies in a sub-folder, the sub-folders
    are the classes; otherwise the images have none. Raises DataError for a missing folder or one without images,
    ConfigError for one that lies outside ``data_root``.
    """

    labelled = False

    def __init__(self, options: Mapping[str, Any], *, data_root: Path, seed: int) -> None:
        self._folder = folder_below(_KEY, options["folder"], data_root)
        if not self._folder.is_dir():
            raise DataError(f"{_KEY}: there is no folder {self._folder}; create it or correct the key")
        found = [path.relative_to(self._folder) for path in files_below(self._folder, _SUFFIXES)]
        if not found:
            raise DataError(
                f"{_KEY}: {self._folder} holds no images ({', '.join(_SUFFIXES)}): put some there, or correct the key"
            )
        folders = sorted({path.parts[0] for path in found if len(path.parts) > 1})
        sorted_into_classes = all(len(path.parts) > 1 for path in found) and len(folders) > 1
        if len(folders) > NO_CLASS and sorted_into_classes:
            raise DataError(
                f"{_KEY}: {self._folder} has {len(folders)} sub-folders, at most {NO_CLASS} can be classes: put images of fewer there"
            )
        self.class_names = tuple(folders) if sorted_into_classes else ()
        drawn = generator(seed, "pretraining images").permutation(len(found))[: options["count"]]
        self._paths = [found[number] for number in sorted(drawn)]
        self.count = len(self._paths)
        rows, columns = options["size"]
        self.size: tuple[int, int] = (rows, columns)

    def read(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """See :class:`patchprobe.pretraining.images.ImageSource`."""
        path = self._paths[number]
        label = self.class_names.index(path.parts[0]) if self.class_names else NO_CLASS
        return _covering(read_rgb(self._folder / path), self.size), np.asarray(label, np.uint8)


def _covering(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Scale an image until it covers ``size`` (rows, columns) and return its middle."""
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    if scale != 1:
        rows, columns = (max(s, round(scale * side)) for s, side in zip(size, image.shape, strict=False))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(image, (columns, rows), interpolation=method), np.uint8)
    top, left = ((side - s) // 2 for s, side in zip(size, image.shape, strict=False))
    return image[top : top + size[0], left : left + size[1]]


SOURCE = FolderImages
