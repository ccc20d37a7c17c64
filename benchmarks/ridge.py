"""Ridge regression with its penalty chosen on left-out images: ours, without fitting again, against scikit-learn's refits."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut

from benchmarks.measure import Result, median_seconds
from patchprobe.probes.ridge import fit_ridge

_PENALTIES = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
# Images, patches of each, features, targets: few large images, and many small ones of a wider model.
_SIZES = ((12, 784, 192, 12), (48, 64, 768, 12))


def run() -> list[Result]:
    """Time the choice among six penalties, and the fit with the best one."""
    return [_compared(*size) for size in _SIZES]


def _compared(images: int, patches: int, features: int, targets: int) -> Result:
    draws = np.random.default_rng(0)
    tokens = draws.standard_normal((images * patches, features)) * np.geomspace(0.1, 1, features)
    wanted = tokens @ draws.standard_normal((features, targets)) + draws.standard_normal((len(tokens), targets))
    names = np.repeat(np.arange(images), patches)
    unit = float(np.square(tokens - tokens.mean(axis=0)).sum() / features)
    search = GridSearchCV(Ridge(), {"alpha": [penalty * unit for penalty in _PENALTIES]}, cv=LeaveOneGroupOut())
    candidates = {
        "ours": lambda: fit_ridge(tokens, wanted, names, _PENALTIES),
        "scikit-learn": lambda: search.fit(tokens, wanted, groups=names),
    }
    seconds = median_seconds(candidates, 3)
    name = f"ridge, {images} images of {patches} patches, {features} features"
    return Result(name, seconds["ours"], seconds["scikit-learn"], "s")
