"""Small pictures and a small network for the tests of pretraining."""

import numpy as np
import pytest
from pretraining_data import SIDE, SMALL

from patchprobe.pretraining.images import Images
from patchprobe.pretraining.network import Network
from patchprobe.pretraining.training import seed_weights


@pytest.fixture(scope="session")
def images() -> Images:
    """Stripes and blobs whose class can be seen: 24 pictures of 48 x 64 px, classes by label map."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :64]
    pictures, labels = [], []
    for number in range(24):
        wave = np.sin((rows if number % 2 else columns) * rng.uniform(0.3, 0.6) + rng.uniform(0, 6))
        colour = rng.uniform(60, 190, 3)
        picture = colour + 50 * wave[..., None] + rng.normal(0, 3, (48, 64, 3))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        labels.append(np.full((48, 64), number % 2, np.uint8))
    return Images(np.stack(pictures), np.stack(labels), ("columns", "rows"), sha256="0" * 64)


@pytest.fixture
def network() -> Network:
    seed_weights(0)
    return Network(SMALL["name"], SMALL["arguments"], SIDE)
