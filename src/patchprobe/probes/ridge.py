"""Ridge regression in closed form, its penalty chosen on left-out training images.

Minimised is |y - X w - b|^2 + a |w|^2, the intercept b without penalty. The penalty a is given as a multiple of the mean
eigenvalue of X'X (X centred), so that a list of penalties means the same for tokens of any scale. Of the list the one with
the smallest squared error on left-out training images is taken, for every target by itself. With H the matrix from targets
to fitted values and g the rows of an image, the errors without that image are (I - H_gg)^-1 (y - H y)_g, exactly (the
identity behind Allen's PRESS, Technometrics 16, 1974, for a group of rows), so no fit is repeated.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ridge:
    """Predictions are ``tokens @ weights + intercept``.

    ``weights`` float64 (features, targets), ``intercept`` (targets,), ``penalties`` (targets,) the multiples chosen.
    """

    weights: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    penalties: npt.NDArray[np.float64]

    def predict(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return predictions (n, targets) of tokens (n, features)."""
        return np.ascontiguousarray(tokens, np.float64) @ self.weights + self.intercept


def fit_ridge(
    tokens: npt.NDArray[Any], targets: npt.NDArray[np.float64], images: npt.NDArray[Any], penalties: Sequence[float]
) -> Ridge:
    """Fit tokens (n, features) to ``targets`` (n, targets), each with the penalty that is best on left-out images.

    ``images`` (n,) tells which rows are left out together. Of equal errors the larger penalty is taken. From a single
    image the middle penalty is taken, and logged.
    """
    # The digits of sums depend on how an array lies in memory.
    tokens, targets = np.ascontiguousarray(tokens, np.float64), np.ascontiguousarray(targets)
    mean, level = tokens.mean(axis=0), targets.mean(axis=0)
    left, singular, right = np.linalg.svd(tokens - mean, full_matrices=False)
    unit = max(float(np.square(singular).sum()) / tokens.shape[1], np.finfo(np.float64).tiny)
    tried = np.sort(np.asarray(penalties, np.float64))[::-1]
    if len(np.unique(images)) < 2:
        _log.warning("one training image: none to choose the penalty on, the middle one is taken")
        best = np.full(targets.shape[1], len(tried) // 2)
    else:
        shrinks = [np.square(singular) / (np.square(singular) + penalty * unit) for penalty in tried]
        errors = [_left_out_errors(left, shrink, targets - level, images) for shrink in shrinks]
        best = np.argmin(errors, axis=0)
        if ends := sorted({float(tried[i]) for i in best if len(tried) > 1 and i in (0, len(tried) - 1)}):
            _log.info("the best penalty is at the end of the list: %s", ", ".join(f"{end:g}" for end in ends))
    chosen = tried[best]
    shrunk = singular[:, None] / (np.square(singular)[:, None] + chosen * unit)
    weights = right.T @ (shrunk * (left.T @ (targets - level)))
    return Ridge(weights, level - mean @ weights, chosen)


def _left_out_errors(
    left: npt.NDArray[np.float64],
    shrink: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
) -> npt.NDArray[np.float64]:
    """Return the sum of squared errors (targets,) on images that are left out, from the fit on all rows.

    ``left`` (n, r) are left singular vectors of the centred tokens, ``shrink`` (r,) what the penalty leaves of each.
    """
    residuals = targets - left @ (shrink[:, None] * (left.T @ targets))
    total = np.zeros(targets.shape[1])
    for image in np.unique(images):
        own = images == image
        hat = (left[own] * shrink) @ left[own].T + 1 / len(targets)
        total += np.square(np.linalg.solve(np.eye(len(hat)) - hat, residuals[own])).sum(axis=0)
    return total
