"""Pictures written as UCMerced has them: uncompressed RGB tif, by class, numbered from 00."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

IMAGES = Path("Images")
# All of the release.
CLASSES = (
    *("agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential", "forest"),
    *("freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark", "overpass"),
    *("parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt"),
)
# Names have two digits.
MOST_IMAGES = 100


def write_picture(root: Path, name: str, number: int, image: npt.NDArray[np.uint8]) -> None:
    """Write an image of a class, uint8 RGB (height, width, 3); the same image gives the same bytes."""
    folder = root / IMAGES / name
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{name}{number:02d}.tif")
