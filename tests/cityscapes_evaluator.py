"""Cityscapes' own evaluation of pixels, by the package cityscapesscripts."""

import copy
from pathlib import Path

import numpy as np
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as evaluation
from cityscapesscripts.helpers.labels import trainId2label
from PIL import Image

# Void, train id 255, becomes "unlabeled", which the evaluation ignores.
LABEL_IDS = np.zeros(256, np.uint8)
LABEL_IDS[:19] = [trainId2label[i].id for i in range(19)]


def official_scores(predicted: np.ndarray, truth: np.ndarray, folder: Path) -> tuple[float, dict[str, float]]:
    """Write maps of train ids (n, height, width) as files of label ids; return mean IoU and IoU of the 19 classes."""
    files = []
    for i, pair in enumerate(zip(predicted, truth, strict=True)):
        files.append([folder / f"{i}_{kind}.png" for kind in ("predicted", "labelIds")])
        for path, ids in zip(files[-1], pair, strict=True):
            Image.fromarray(LABEL_IDS[ids]).save(path)
    args = copy.copy(evaluation.args)
    args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
    predictions, truths = (list(map(str, paths)) for paths in zip(*files, strict=True))
    result = evaluation.evaluateImgLists(predictions, truths, args)
    names = [trainId2label[i].name for i in range(19)]
    return result["averageScoreClasses"], {name: result["classScores"][name] for name in names}
