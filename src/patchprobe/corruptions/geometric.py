"""Corruptions that move pixels, and labels with them.

Affine matrices are float64 (2, 3) and map (x, y, 1) of an output pixel centre to (x, y) of the input, where
the centre of the top-left pixel is (0, 0), x goes right and y goes down.
"""

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from patchprobe.corruptions.corruption import Corruption, Image, Level, to_uint8

Affine = npt.NDArray[np.float64]


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


def warp_image(image: Image, affine: Affine) -> Image:
    """Move an image by an affine matrix: bilinear, same size, zeros outside."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (image.shape[1], image.shape[0])
    # In float32, so that values are rounded once.
    moved = cv2.warpAffine(image.astype(np.float32), affine, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return to_uint8(moved)


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


def about_centre(linear: Sequence[Sequence[float]], height: int, width: int) -> Affine:
    """Return the affine matrix (2, 3) of a linear map (2, 2) about the centre of an image."""
    matrix = np.array(linear)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([matrix, centre - matrix @ centre])
