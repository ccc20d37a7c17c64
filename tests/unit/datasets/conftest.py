"""Miniature data sets in their official layouts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_pair() -> Callable[..., None]:
    """Return a function that adds an image and label map to a miniature CamVid."""

    def write(root: Path, split: str, stem: str, label: np.ndarray | None = None) -> None:
        """Write one image and label map, and append them to the list as the release does."""
        (root / split).mkdir(parents=True, exist_ok=True)
        (root / f"{split}annot").mkdir(exist_ok=True)
        label = np.zeros((36, 48), np.uint8) if label is None else label
        rng = np.random.default_rng(len(stem))
        Image.fromarray(rng.integers(0, 256, (*label.shape, 3), dtype=np.uint8)).save(root / split / f"{stem}.png")
        Image.fromarray(label).save(root / f"{split}annot" / f"{stem}.png")
        with (root / f"{split}.txt").open("a") as listing:
            listing.write(f"/SegNet/CamVid/{split}/{stem}.png /SegNet/CamVid/{split}annot/{stem}.png\n")

    return write
