"""Fitting linear probes: softmax regression from patch tokens to classes.

The protocol fixes the classifier; how it is fitted is our choice, and every number of it is an option. Adam (Kingma
and Ba, ICLR 2015, arXiv 1412.6980, with its default betas and epsilon) on minibatches, from zero weights, its rate
falling to zero along half a cosine. Several learning rates are fitted at once: they share the batches, so their
weights stand side by side in one matrix product, which costs far less than one product each. The rate is chosen on
training images held out by a seeded draw, then the probe is fitted again on all training images. Nothing of the
evaluation split enters.

Before the fit the tokens are centred by the training mean and divided by one number, the root of the mean variance
of the features. A softmax regression absorbs both, so the classifiers within reach are those on raw tokens; they
make learning rates mean the same for every model, and keep features of huge variance from drowning the rest in
rounding. With ``batch_norm`` each feature is divided by its own deviation instead, sqrt(variance + 1e-5): what
BatchNorm without affine parameters does at evaluation (Ioffe and Szegedy, ICML 2015, arXiv 1502.03167).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from patchprobe.errors import DataError, ModelError
from patchprobe.probes import LinearProbe
from patchprobe.variance import BATCH_NORM_EPSILON, moments

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_BLOCK = 8192  # rows of tokens converted at a time

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is fitted.

    ``weight_decay`` w adds w / 2 |weights|^2 to the mean cross-entropy (weights of normalised tokens, no bias).
    ``validation_fraction`` is the share of training images, not patches, held out to choose the learning rate.
    """

    learning_rates: Sequence[float] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
    steps: int = 2000
    batch_size: int = 1024
    weight_decay: float = 0.0
    validation_fraction: float = 0.2
    batch_norm: bool = False


def fit_probe(
    tokens: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    image: npt.NDArray[Any],
    options: ProbeOptions,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> LinearProbe:
    """Fit a probe on the training split: tokens (P, features) of any float type, labels (P,) and image indices (P,).

    ``labels`` are class ids without void; ``image`` tells which patches belong together, since patches of one image
    must not be on both sides of the validation split. With a single training image, or a single learning rate,
    nothing is held out: the middle rate is taken, and logged. The result is the same for the same seed, device and
    number of torch threads. Raises DataError without patches, ModelError for tokens that are not finite.
    """
    if len(labels) == 0:
        raise DataError(
            "no training patch to fit a linear probe on: take more training images or check that their labels are "
            "not all void"
        )
    mean, scale = _normalisation(tokens, options.batch_norm)
    class_ids, targets = np.unique(labels, return_inverse=True)
    data = _Data(tokens, targets, len(class_ids), mean, scale, torch.device(device))
    rates = sorted(options.learning_rates)
    everything = np.arange(len(labels))
    held_out = _held_out_images(image, options.validation_fraction, seed)
    validation_accuracy: dict[float, float] = {}
    if len(rates) > 1 and len(held_out):
        held = np.isin(image, held_out)
        weights, bias = _fit(data, everything[~held], rates, options, seed)
        validation_accuracy = dict(zip(rates, _accuracies(data, everything[held], weights, bias), strict=True))
        # max takes the first of equals: the lowest rate.
        rate = max(rates, key=lambda candidate: validation_accuracy[candidate])
    else:
        rate = rates[len(rates) // 2]
        if len(rates) > 1:
            _log.warning("one training image: no image to choose the learning rate on, %g is taken", rate)
    weights, bias = _fit(data, everything, [rate], options, seed)
    if not (torch.isfinite(weights).all() and torch.isfinite(bias).all()):
        raise ModelError(
            f"the linear probe diverged at learning rate {rate:g}: set lower learning_rates for patch_classification"
        )
    return LinearProbe(
        weights=weights[0].T.contiguous().cpu().numpy(),
        bias=bias[0].cpu().numpy(),
        mean=mean,
        scale=scale,
        class_ids=class_ids.astype(np.int64),
        learning_rate=rate,
        validation_accuracy=validation_accuracy,
    )


class _Data:
    """Training tokens on a device, normalised batch by batch so that they stay in the type they came in."""

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        targets: npt.NDArray[np.intp],
        classes: int,
        mean: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32],
        device: torch.device,
    ) -> None:
        self._tokens = torch.from_numpy(np.ascontiguousarray(tokens)).to(device)
        self._targets = torch.from_numpy(targets).to(device)
        self._mean = torch.from_numpy(mean).to(device)
        self._scale = torch.from_numpy(scale).to(device)
        self.features = tokens.shape[1]
        self.classes = classes
        self.device = device

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return normalised tokens float32 (rows, features) and class positions (rows,)."""
        rows = rows.to(self.device)
        return (self._tokens[rows].float() - self._mean) * self._scale, self._targets[rows]


def _normalisation(
    tokens: npt.NDArray[Any], batch_norm: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean and reciprocal deviation (features,), the latter one number repeated unless ``batch_norm``."""
    mean, variance = moments(tokens)
    if batch_norm:
        scale = 1 / np.sqrt(variance + BATCH_NORM_EPSILON)
    else:
        spread = float(np.sqrt(variance.mean()))
        scale = np.full(len(mean), 1 / spread if spread > 0 else 1.0)
    return mean.astype(np.float32), scale.astype(np.float32)


def _held_out_images(image: npt.NDArray[Any], fraction: float, seed: int) -> npt.NDArray[Any]:
    """Draw the images to validate on: at least one, and never all; none of a single image."""
    images = np.unique(image)
    count = min(max(1, round(fraction * len(images))), len(images) - 1)
    return np.random.default_rng(seed).permutation(images)[:count]


def _fit(
    data: _Data, rows: npt.NDArray[np.intp], rates: Sequence[float], options: ProbeOptions, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit one probe per rate on the same batches: weights (rates, features, classes), biases (rates, classes)."""
    # One row of the parameters per feature and a last one for the bias; columns are rate by rate.
    columns = len(rates) * data.classes
    parameters = torch.zeros(data.features + 1, columns, device=data.device)
    first, second = torch.zeros_like(parameters), torch.zeros_like(parameters)
    gradient = torch.empty_like(parameters)
    column_rates = torch.tensor(rates, device=data.device).repeat_interleave(data.classes)
    shuffle = torch.Generator().manual_seed(seed)
    order = torch.from_numpy(rows)
    batches = -(-len(rows) // options.batch_size)
    steps = options.steps
    with torch.inference_mode():
        for step in range(steps):
            if step % batches == 0:
                order = order[torch.randperm(len(order), generator=shuffle)]
            start = step % batches * options.batch_size
            tokens, targets = data.batch(order[start : start + options.batch_size])
            residual = torch.addmm(parameters[-1], tokens, parameters[:-1]).view(len(tokens), len(rates), -1)
            residual = residual.softmax(dim=2)
            residual[torch.arange(len(tokens), device=data.device), :, targets] -= 1
            residual = residual.view(len(tokens), columns) / len(tokens)
            torch.mm(tokens.T, residual, out=gradient[:-1])
            torch.sum(residual, dim=0, out=gradient[-1])
            gradient[:-1].add_(parameters[:-1], alpha=options.weight_decay)
            first.lerp_(gradient, 1 - _BETA1)
            second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            corrected = (second / (1 - _BETA2 ** (step + 1))).sqrt_().add_(_EPSILON)
            decay = 0.5 * (1 + np.cos(np.pi * step / steps))
            parameters -= first / corrected * (column_rates * (decay / (1 - _BETA1 ** (step + 1))))
    weights = parameters[:-1].view(data.features, len(rates), data.classes).transpose(0, 1)
    return weights, parameters[-1].view(len(rates), data.classes)


def _accuracies(data: _Data, rows: npt.NDArray[np.intp], weights: torch.Tensor, bias: torch.Tensor) -> list[float]:
    """Return the share of correct patches for each rate; a diverged probe has none."""
    correct = torch.zeros(len(weights), dtype=torch.int64, device=data.device)
    with torch.inference_mode():
        for part in torch.from_numpy(rows).split(_BLOCK):
            tokens, targets = data.batch(part)
            scores = torch.matmul(tokens, weights) + bias[:, None]
            finite = scores.isfinite().all(dim=2)
            correct += ((scores.argmax(dim=2) == targets) & finite).sum(dim=1)
    return (correct / len(rows)).tolist()
