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
import scipy.linalg

_log = logging.getLogger(__name__)
_NOTHING = 1e-200  # of its inverse, times that of the smallest penalty, there is still a number


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
    components, scores, squares = _components(tokens - mean)
    # Tokens that do not vary: any penalty keeps the weights at zero.
    unit = float(squares.sum()) / tokens.shape[1] if squares.sum() > _NOTHING else 1.0
    tried = np.sort(np.asarray(penalties, np.float64))[::-1]
    if len(np.unique(images)) < 2:
        _log.warning("one training image: none to choose the penalty on, the middle one is taken")
        best = np.full(targets.shape[1], len(tried) // 2)
    else:
        inverses = 1 / (squares + tried[:, None] * unit)
        best = np.argmin(_left_out_errors(scores, inverses, targets - level, images), axis=0)
        if ends := sorted({float(tried[i]) for i in best if len(tried) > 1 and i in (0, len(tried) - 1)}):
            _log.info("the best penalty is at the end of the list: %s", ", ".join(f"{end:g}" for end in ends))
    chosen = tried[best]
    weights = components @ (scores.T @ (targets - level) / (squares[:, None] + chosen * unit))
    return Ridge(weights, level - mean @ weights, chosen)


def _components(
    centred: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return principal components (features, r) of centred tokens, the tokens along them (n, r), and their squared lengths (r,).

    Of many tokens by their matrix of products, which takes a sixth of the time: its rounding, some 1e-13 of the mean
    square, is far below any penalty.
    """
    if len(centred) > centred.shape[1]:
        squares, components = np.linalg.eigh(centred.T @ centred)
        return components, centred @ components, np.maximum(squares, 0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    return right.T, left * singular, np.square(singular)


def _left_out_errors(
    scores: npt.NDArray[np.float64],
    inverses: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
) -> npt.NDArray[np.float64]:
    """Return sums of squared errors (penalties, targets) on images that are left out, from the fits on all rows.

    ``scores`` (n, r) are tokens along principal components, ``inverses`` (penalties, r) one over squared length and penalty of
    each; ``targets`` are centred. Of an image with more rows than components it is the inverse of Woodbury's identity that is
    solved for, which has a row for each component (Hager, SIAM Review 31, 1989), so an image costs what its rows cost and
    not their cube.
    """
    along = scores.T @ targets
    # The intercept is one component more.
    roots = np.sqrt(np.column_stack([inverses, np.full(len(inverses), 1 / len(targets))]))
    total = np.zeros((len(inverses), targets.shape[1]))
    for image in np.unique(images):
        own = images == image
        rows = np.column_stack([scores[own], np.ones(own.sum())])
        products = rows.T @ rows if len(rows) > rows.shape[1] else None
        for place, (inverse, root) in enumerate(zip(inverses, roots, strict=True)):
            errors = targets[own] - rows[:, :-1] @ (inverse[:, None] * along)
            if products is None:
                part = rows * root
                errors = _solved(part @ part.T, errors)
            else:
                errors += rows @ (
                    root[:, None] * _solved(root[:, None] * products * root, root[:, None] * (rows.T @ errors))
                )
            total[place] += np.square(errors).sum(axis=0)
    return total


def _solved(fitted: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    solution: npt.NDArray[np.float64] = scipy.linalg.solve(np.eye(len(fitted)) - fitted, right, assume_a="pos")
    return solution
