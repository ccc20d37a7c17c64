"""Fitting linear probes: softmax regression from patch tokens to classes, many probes at once.

The protocol fixes the classifier; how it is fitted is our choice, and every number of it is an option. Adam (Kingma
and Ba, ICLR 2015, arXiv 1412.6980, with its default betas and epsilon) on minibatches, from zero weights, its rate
falling to zero along half a cosine. Every pair of a learning rate and a weight decay is fitted on part of the training
images; the pair of highest accuracy on the others, held out by a seeded draw, is fitted again on all of them. Nothing
of the evaluation split enters.

Before the fit the tokens are centred by the training mean and divided by one number, the root of the mean variance
of the features. A softmax regression absorbs both, so the classifiers within reach are those on raw tokens; they
make learning rates mean the same for every model, and keep features of huge variance from drowning the rest in
rounding. With ``batch_norm`` each feature is divided by its own deviation instead, sqrt(variance + 1e-5): what
BatchNorm without affine parameters does at evaluation (Ioffe and Szegedy, ICML 2015, arXiv 1502.03167).

Probes on several transforms of the same tokens (features removed, standardised) are fitted together. Every such
transform, with the normalisation after it, multiplies centred tokens X by a diagonal matrix S, so the scores of all of
them are one product X [S1 W1, S2 W2, ...], the gradients of all of them come from one product of X transposed, and a
removed feature has the factor 0. A probe that is fitted among others is, up to rounding, the one that is fitted alone.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from patchprobe.errors import DataError, ModelError
from patchprobe.probes.linear import LinearProbe
from patchprobe.progress import Progress
from patchprobe.tokens.transforms import BATCH_NORM_EPSILON, FeatureTransform, fit_transform, moments

# Columns of the shared product. Memory beside the tokens is about 4 bytes x columns x (7 features + 3 batch rows): 35 MB
# for 768 features. More columns are hardly faster, fewer let probes on few features leave the others out.
COLUMNS = 1024
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_BLOCK = 8192  # rows of tokens converted at a time

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is fitted.

    A weight decay w adds w / 2 |weights|^2 to the mean cross-entropy (weights of normalised tokens, no bias).
    ``validation_fraction`` is the share of training images, not patches, held out to choose rate and decay.
    """

    learning_rates: Sequence[float] = (1e-3, 1e-2, 1e-1)
    weight_decays: Sequence[float] = (0.0, 1e-3, 1e-2)
    steps: int = 2000
    batch_size: int = 1024
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
    """Fit a probe on the tokens as they are; arguments, result and errors are those of :func:`fit_probes`."""
    unchanged = fit_transform(None, tokens, key="")
    return fit_probes(tokens, labels, image, [unchanged], options, seed=seed, device=device)[0]


def fit_probes(
    tokens: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    image: npt.NDArray[Any],
    transforms: Sequence[FeatureTransform],
    options: ProbeOptions,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> list[LinearProbe]:
    """Fit a probe for each transform of the training split's tokens (P, features), of any float type.

    ``labels`` (P,) are class ids without void; ``image`` (P,) tells which patches belong together, since patches of
    one image must not be on both sides of the validation split. The probe of a transform takes tokens as the transform
    gives them; transforms that mix features (``axes``) raise ValueError: give :func:`fit_probe` their tokens.

    Of equal accuracies the lower rate, then the lower decay is taken; the choice is logged, with a warning where
    nothing but the end of a list was best. With a single training image, or a single pair, nothing is held out: the
    middle of each list is taken, and logged. The result is the same for the same seed, device and number of torch
    threads. Raises DataError without patches, ModelError for tokens that are not finite or a probe that diverged.
    """
    if len(labels) == 0:
        raise DataError(
            "no training patch to fit a linear probe on: draw more images (datasets.<name>.splits.train), or "
            "use label maps with evaluation ids"
        )
    mean, variance = moments(tokens)
    views = [_view(transform, mean, variance, options.batch_norm) for transform in transforms]
    class_ids, targets = np.unique(labels, return_inverse=True)
    data = _Data(tokens, targets, len(class_ids), mean, torch.device(device))
    accuracies = _validate(data, views, image, options, seed)
    chosen = [
        _choose(accuracy, options, f"linear probe {view + 1} of {len(views)}")
        for view, accuracy in enumerate(accuracies)
    ]
    settings = [_Setting(view, *pair) for view, pair in enumerate(chosen)]
    probes: dict[int, LinearProbe] = {}
    for group in _groups(settings, views, data):
        weights, bias = _fit(data, np.arange(len(labels)), group, options, seed)
        for column, (view, rate, decay) in enumerate(group.settings):
            if not (weights[column].isfinite().all() and bias[column].isfinite().all()):
                raise ModelError(
                    f"the linear probe diverged at learning rate {rate:g}: set lower learning_rates for "
                    "patch_classification"
                )
            probes[view] = LinearProbe(
                weights=weights[column, views[view].kept].T.contiguous().cpu().numpy(),
                bias=bias[column].cpu().numpy(),
                mean=views[view].mean,
                scale=views[view].scale,
                class_ids=class_ids.astype(np.int64),
                learning_rate=rate,
                weight_decay=decay,
                validation_accuracy=accuracies[view],
            )
    return [probes[view] for view in range(len(views))]


@dataclass(frozen=True)
class _View:
    """A transform of tokens and the normalisation after it.

    ``mean`` and ``scale`` float32 (kept,) normalise transformed tokens; ``factors`` float32 (features,) turn centred
    tokens into normalised ones at the features ``kept``, and are 0 at the others.
    """

    kept: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]


class _Setting(NamedTuple):
    """One probe to fit: the number of its view, learning rate and weight decay."""

    view: int
    rate: float
    decay: float


@dataclass(frozen=True)
class _Group:
    """Settings that are fitted in one product; their columns stand side by side, as many each as there are classes.

    ``features`` int64 (used,) are those that any of them sees; ``factors`` float32 (used, columns).
    """

    settings: Sequence[_Setting]
    features: torch.Tensor
    factors: torch.Tensor


class _Data:
    """Training tokens on a device, centred batch by batch so that they stay in the type they came in."""

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        targets: npt.NDArray[np.intp],
        classes: int,
        mean: npt.NDArray[np.float64],
        device: torch.device,
    ) -> None:
        self._tokens = torch.from_numpy(np.ascontiguousarray(tokens)).to(device)
        self._targets = torch.from_numpy(targets).to(device)
        self._mean = torch.from_numpy(mean.astype(np.float32)).to(device)
        self.features = tokens.shape[1]
        self.classes = classes
        self.device = device

    def batch(self, rows: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return centred tokens float32 (rows, features) and class positions (rows,)."""
        tokens = self._tokens[rows].float().sub_(self._mean)
        return tokens if len(features) == self.features else tokens[:, features], self._targets[rows]


def _view(
    transform: FeatureTransform, mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], batch_norm: bool
) -> _View:
    """Derive the view from the moments (features,) of tokens before the transform."""
    if transform.axes is not None:
        raise ValueError("a transform that mixes features is no diagonal view: transform the tokens, then fit_probe")
    multiplied = np.ones(len(mean)) if transform.scale is None else transform.scale.astype(np.float64)
    multiplied[transform.zeroed] = 0
    kept_variance = (variance * multiplied**2)[transform.kept]
    kept_mean = ((mean - (0 if transform.mean is None else transform.mean)) * multiplied)[transform.kept]
    if batch_norm:
        scale = 1 / np.sqrt(kept_variance + BATCH_NORM_EPSILON)
    else:
        spread = float(np.sqrt(kept_variance.mean()))
        scale = np.full(len(kept_mean), 1 / spread if spread > 0 else 1.0)
    factors = np.zeros(len(mean), np.float32)
    factors[transform.kept] = multiplied[transform.kept] * scale
    return _View(transform.kept, kept_mean.astype(np.float32), scale.astype(np.float32), factors)


def _validate(
    data: _Data, views: Sequence[_View], image: npt.NDArray[Any], options: ProbeOptions, seed: int
) -> list[dict[tuple[float, float], float]]:
    """Return for each view the accuracy on held-out images of each rate and decay; empty if none can be held out."""
    pairs = [(rate, decay) for rate in sorted(options.learning_rates) for decay in sorted(options.weight_decays)]
    held_out = _held_out_images(image, options.validation_fraction, seed)
    accuracies: list[dict[tuple[float, float], float]] = [{} for _ in views]
    if len(pairs) == 1:
        return accuracies
    if not len(held_out):
        _log.warning("one training image: no image to choose the learning rate on, the middle one is taken")
        return accuracies
    held = np.isin(image, held_out)
    found: dict[_Setting, float] = {}
    settings = [_Setting(view, *pair) for view in range(len(views)) for pair in pairs]
    for group in _groups(settings, views, data):
        weights, bias = _fit(data, np.flatnonzero(~held), group, options, seed)
        found |= zip(group.settings, _accuracies(data, np.flatnonzero(held), group, weights, bias), strict=True)
    for setting in settings:
        accuracies[setting.view][setting.rate, setting.decay] = found[setting]
    return accuracies


def _held_out_images(image: npt.NDArray[Any], fraction: float, seed: int) -> npt.NDArray[Any]:
    """Draw the images to validate on: at least one, and never all; none of a single image."""
    images = np.unique(image)
    count = min(max(1, round(fraction * len(images))), len(images) - 1)
    return np.random.default_rng(seed).permutation(images)[:count]


def _choose(accuracy: dict[tuple[float, float], float], options: ProbeOptions, name: str) -> tuple[float, float]:
    """Return rate and decay of the highest accuracy, the first of equals; the middle ones without accuracies."""
    rates, decays = sorted(options.learning_rates), sorted(options.weight_decays)
    if not accuracy:
        return rates[len(rates) // 2], decays[len(decays) // 2]
    best = max(accuracy, key=lambda pair: accuracy[pair])
    _log.info("%s: learning rate %g, weight decay %g, accuracy %.4f on held-out images", name, *best, accuracy[best])
    # No decay is below 0, so 0 is no end that a longer list could pass.
    ends = {"learning_rates": {rates[0], rates[-1]}, "weight_decays": {*decays[:1], decays[-1]} - {0}}
    for place, (key, values) in enumerate(ends.items()):
        inside = [value for pair, value in accuracy.items() if pair[place] not in values]
        if len({pair[place] for pair in accuracy}) > 1 and max(inside, default=-1) < accuracy[best]:
            _log.warning(
                "%s: %g is best and at the end of %s: a longer list may find a better probe", name, best[place], key
            )
    return best


def _groups(settings: Sequence[_Setting], views: Sequence[_View], data: _Data) -> Iterator[_Group]:
    """Part settings into groups of at most COLUMNS columns, those on many features first."""
    ordered = sorted(settings, key=lambda setting: -np.count_nonzero(views[setting.view].factors))
    parts = -(-len(ordered) // max(1, COLUMNS // data.classes))
    for numbers in np.array_split(np.arange(len(ordered)), parts):
        chosen = [ordered[number] for number in numbers]
        factors = torch.from_numpy(np.stack([views[setting.view].factors for setting in chosen], axis=1))
        features = factors.any(dim=1).nonzero()[:, 0]
        columns = factors[features].repeat_interleave(data.classes, dim=1)
        yield _Group(chosen, features.to(data.device), columns.to(data.device))


def _fit(
    data: _Data, rows: npt.NDArray[np.intp], group: _Group, options: ProbeOptions, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit the settings of a group on the same batches: weights (settings, features, classes), biases (settings, classes).

    The weights are those of normalised tokens, 0 where a setting does not see a feature.
    """
    used, columns = group.factors.shape
    # One row of the parameters per feature and a last one for the bias; columns are setting by setting.
    parameters = torch.zeros(used + 1, columns, device=data.device)
    first, second = torch.zeros_like(parameters), torch.zeros_like(parameters)
    gradient, buffer = torch.empty_like(parameters), torch.empty_like(parameters)
    rates, decays = (
        torch.tensor(values, device=data.device).repeat_interleave(data.classes)
        for values in ([setting.rate for setting in group.settings], [setting.decay for setting in group.settings])
    )
    shuffle = torch.Generator().manual_seed(seed)
    order = torch.from_numpy(rows)
    batches = -(-len(rows) // options.batch_size)
    with torch.inference_mode():
        name = f"{len(group.settings)} linear probes"
        # Short fits show no bar.
        bar = Progress(iterable=range(options.steps), desc=name, unit="step", file=sys.stderr, delay=10)
        for step in bar:
            if step % batches == 0:
                order = order[torch.randperm(len(order), generator=shuffle)]
                here = order.to(data.device)
            start = step % batches * options.batch_size
            tokens, targets = data.batch(here[start : start + options.batch_size], group.features)
            torch.mul(parameters[:-1], group.factors, out=buffer[:-1])
            residual = torch.addmm(parameters[-1], tokens, buffer[:-1]).view(len(tokens), -1, data.classes)
            residual = residual.softmax(dim=2)
            residual[torch.arange(len(tokens), device=data.device), :, targets] -= 1
            residual = residual.view(len(tokens), columns).div_(len(tokens))
            torch.mm(tokens.T, residual, out=gradient[:-1])
            torch.sum(residual, dim=0, out=gradient[-1])
            gradient[:-1].mul_(group.factors).addcmul_(parameters[:-1], decays)
            first.lerp_(gradient, 1 - _BETA1)
            second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            # Adam's corrections of both moments are one factor and a corrected epsilon.
            correction = np.sqrt(1 - _BETA2 ** (step + 1))
            torch.sqrt(second, out=buffer).add_(_EPSILON * correction)
            torch.div(first, buffer, out=buffer)
            cosine = 0.5 * (1 + np.cos(np.pi * step / options.steps))
            parameters.addcmul_(buffer, rates, value=-cosine * correction / (1 - _BETA1 ** (step + 1)))
    weights = torch.zeros(len(group.settings), data.features, data.classes, device=data.device)
    weights[:, group.features] = parameters[:-1].view(used, -1, data.classes).transpose(0, 1)
    return weights, parameters[-1].view(-1, data.classes)


def _accuracies(
    data: _Data, rows: npt.NDArray[np.intp], group: _Group, weights: torch.Tensor, bias: torch.Tensor
) -> list[float]:
    """Return the share of correct patches for each setting of a group; a diverged probe has none."""
    correct = torch.zeros(len(weights), dtype=torch.int64, device=data.device)
    flat = weights[:, group.features].transpose(0, 1).flatten(1) * group.factors
    with torch.inference_mode():
        for part in torch.from_numpy(rows).split(_BLOCK):
            tokens, targets = data.batch(part.to(data.device), group.features)
            scores = torch.addmm(bias.flatten(), tokens, flat).view(len(tokens), len(weights), data.classes)
            finite = scores.isfinite().all(dim=2)
            correct += ((scores.argmax(dim=2) == targets[:, None]) & finite).sum(dim=0)
    return (correct / len(rows)).tolist()
