"""Pixel scores against Cityscapes' own evaluation of the same maps."""

from pathlib import Path

import numpy as np
import pytest
from cityscapes_evaluator import official_scores

from patchprobe.datasets.adapters.cityscapes import Cityscapes
from patchprobe.scoring.patch_scores import patch_scores
from patchprobe.tiles.patches import paint


@pytest.mark.parametrize("seed", range(3))
def test_pixel_scores_are_those_of_cityscapesscripts(seed: int, tmp_path: Path) -> None:
    """With void in the truth, classes in truth or prediction alone, and classes in neither."""
    rng = np.random.default_rng(seed)
    classes = Cityscapes.classes
    truth = rng.choice([*range(12), 255], (6, 30, 30), p=[0.06] * 12 + [0.28]).astype(np.uint8)
    patches = rng.integers(3, 15, (6, 25), dtype=np.uint8)
    images = np.repeat(["a", "b"], 3)
    table = {"class_ids": classes.ids, "class_names": classes.names, "void_id": classes.void}
    bootstrap = {"resamples": 100, "level": 0.95}
    rows = list(patch_scores(patches, (5, 5), truth, images, table, of="a test", bootstrap=bootstrap, seed=0))
    mean, by_class = official_scores(paint(patches.reshape(6, 5, 5), (30, 30)), truth, tmp_path)
    ours = {row["class"]: row["value"] for row in rows if row["metric"] == "pixel_iou"}
    assert list(ours) == list(by_class)
    np.testing.assert_allclose(list(ours.values()), list(by_class.values()), rtol=1e-12)
    assert np.isnan(list(ours.values())).sum() == 4
    (miou,) = [row["value"] for row in rows if row["metric"] == "pixel_miou"]
    assert miou == pytest.approx(mean, rel=1e-12)
