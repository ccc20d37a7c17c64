"""Variants of a model: views on its tokens, of features (:mod:`patchprobe.tokens.transforms`), of directions, lengths and places.

A variant is fitted on a sample of training tokens, and applied to tokens as they are read. Those of directions and places
ask what the variance of features hides: is it position, and is a direction of high variance worse than a feature?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import ModelError
from patchprobe.tokens.directions import (
    Directions,
    black_directions,
    moments_of,
    position_planes,
    too_few,
    top_components,
    unit_length,
)
from patchprobe.tokens.labelled import LabelledTokens
from patchprobe.tokens.places import PlaceMeans, place_means
from patchprobe.tokens.transforms import FeatureTransform, Moments, fit_transform
from patchprobe.tokens.variant_kinds import DIRECTIONS


@dataclass(frozen=True)
class Sample:
    """What variants are fitted on: training tokens (n, features), or the moments of tokens that are not kept.

    ``places`` says where they lie, int (n,) with the ``grid`` (rows, columns), or is the mean token of every place. ``black`` is the tokens
    (patches, features) of a black image. Both may be left out where no variant is fitted on them.
    """

    tokens: npt.NDArray[Any] | Moments
    places: npt.NDArray[np.integer[Any]] | PlaceMeans | None = None
    grid: tuple[int, int] = (0, 0)
    black: npt.NDArray[Any] | None = None

    @property
    def features(self) -> int:
        """The number of features of a token."""
        return len(self.tokens.mean) if isinstance(self.tokens, Moments) else int(self.tokens.shape[1])

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the tokens."""
        return self.tokens if isinstance(self.tokens, Moments) else moments_of(self.tokens)

    @cached_property
    def place_means(self) -> PlaceMeans | None:
        """The mean token of every place, where it is known."""
        if self.places is None or isinstance(self.places, PlaceMeans) or isinstance(self.tokens, Moments):
            return self.places if isinstance(self.places, PlaceMeans) else None
        return place_means(self.tokens, self.places, self.grid)


def sample_of(training: LabelledTokens, black: npt.NDArray[Any] | None = None) -> Sample:
    """Return the sample of labelled tokens, with those of a black image where they are needed."""
    return Sample(training.tokens, training.places, training.grid, black)


@dataclass(frozen=True)
class View:
    """What a variant makes of tokens: first ``transform``, then one of the others, where it is given.

    ``place_means`` float32 (places, features) are subtracted at their places; ``directions`` are taken out, or if ``alone``
    are all that is left, as so many features; ``unit`` divides by the length.
    """

    transform: FeatureTransform
    place_means: npt.NDArray[np.float32] | None = None
    directions: Directions | None = None
    alone: bool = False
    unit: bool = False

    @property
    def diagonal(self) -> bool:
        """Whether it changes each feature by itself, so that ``transform`` says all that it does."""
        others = self.place_means is not None or self.directions is not None or self.unit
        return self.transform.axes is None and not others

    @property
    def after_pooling(self) -> bool:
        """Whether it may as well be applied to means of tokens, since it is affine and the same at every place."""
        return self.place_means is None and not self.unit

    def __call__(
        self, tokens: npt.NDArray[Any], places: npt.NDArray[np.integer[Any]] | None = None
    ) -> npt.NDArray[Any]:
        """Return tokens (..., kept) of tokens (..., features).

        ``places`` (...) says where they lie; without it they are whole tiles (..., patches, features). Raises ModelError
        for another number of features, or of patches where places matter.
        """
        tokens = self.transform(tokens)
        if self.place_means is not None:
            return np.asarray(tokens.astype(np.float32) - self._means_at(tokens, places))
        if self.directions is not None:
            return self.directions.along(tokens) if self.alone else self.directions.without(tokens)
        return unit_length(tokens).astype(np.float32) if self.unit else tokens

    def pooled(self) -> "View":
        """Return the view for features that were pooled from all patches of an image: each place had one share in them."""
        if self.place_means is None:
            return self
        mean = self.place_means.mean(axis=0, dtype=np.float64).astype(np.float32)
        everything = np.arange(len(mean))
        return View(FeatureTransform(len(mean), everything, everything[:0], mean))

    def _means_at(
        self, tokens: npt.NDArray[Any], places: npt.NDArray[np.integer[Any]] | None
    ) -> npt.NDArray[np.float32]:
        means = self.place_means
        assert means is not None
        if places is not None:
            return means[places]
        if tokens.ndim < 2 or tokens.shape[-2] != len(means):
            raise ModelError(
                f"tokens of {tokens.shape[-2] if tokens.ndim > 1 else 1} places came to a variant that was fitted on {len(means)}: extract "
                "both again at one input size"
            )
        return means


class ViewedTokens:
    """Lazy tokens seen through a view: they are read and changed when they become an array.

    Tokens of chosen patches have an attribute ``places`` that says which they are.
    """

    def __init__(self, tokens: Any, view: View) -> None:
        self._tokens = tokens
        self._view = view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the tokens as the view has them; ``copy`` has no meaning, since they are always made anew."""
        tokens = self._view(np.asarray(self._tokens), getattr(self._tokens, "places", None))
        return tokens if dtype is None else tokens.astype(dtype)


def fit_variant(variant: Mapping[str, Any] | None, sample: Sample, *, key: str) -> View:
    """Fit a variant on a sample of training tokens.

    ``variant`` is an entry of ``models.<name>.variants``: ``transform`` with the options it has; None is the model as it is. ``key`` names the entry in
    messages. Raises ModelError if tokens are not finite, or where more features or directions are asked for than there are.
    """
    kind = variant["transform"] if variant else ""
    verb, _, of = kind.partition("-")
    if variant is not None and of in DIRECTIONS:
        count = variant["features"]
        if count >= sample.features:
            raise ModelError(f"{key}.features is {count}, but the model has {sample.features} features: take fewer")
        found = directions_of(of, sample, count, key=key, penalty=variant.get("penalty"))
        if len(found) < count:
            raise too_few(key, count, len(found), _SOURCES[of])
        return View(_unchanged(sample), directions=found.first(count), alone=verb == "keep")
    if kind == "drop-position-mean":
        return View(_unchanged(sample), place_means=_places(sample, key).mean.astype(np.float32))
    if kind == "drop-norm":
        return View(_unchanged(sample), unit=True)
    return View(fit_transform(variant, sample.tokens, key=key))


_SOURCES = {
    "top-components": "the covariance of the training tokens",
    "position": "a black image",
    "position-planes": "what the training tokens tell of their position",
}


def directions_of(of: str, sample: Sample, count: int, *, key: str, penalty: float | None = None) -> Directions:
    """Return the first ``count`` directions of a kind, in the order of their removal; fewer where there are fewer.

    ``of`` is ``top-components``, ``position`` or ``position-planes``; the last takes the ``penalty`` of
    :func:`patchprobe.tokens.directions.position_planes`. ``key`` names what asks for them in messages.
    """
    if of == "top-components":
        return top_components(sample.moments).first(count)
    if of == "position":
        if sample.black is None:
            raise ModelError(f"{key}: the tokens of a black image are missing: delete results/*/black/ and run again")
        return black_directions(sample.black).first(count)
    assert penalty is not None
    return position_planes(sample.moments, _places(sample, key), count, penalty=penalty)


def _places(sample: Sample, key: str) -> PlaceMeans:
    if sample.place_means is None:
        raise ModelError(f"{key} needs to know where tokens lie, and they came without places: remove the variant")
    return sample.place_means


def _unchanged(sample: Sample) -> FeatureTransform:
    everything = np.arange(sample.features)
    return FeatureTransform(sample.features, everything, everything[:0])
