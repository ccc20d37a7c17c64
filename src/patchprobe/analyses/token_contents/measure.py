"""What tokens hold, and in which features or directions: R2 of ridge regressions from parts of tokens.

Each target of a patch is regressed from its own token, and the shares of classes in a tile from the token at its centre, as in
:mod:`patchprobe.analyses.global_context`, whose numbers these are. Features and directions are chosen on all labelled training
patches, as variants choose them; regressions learn from patches of some training tiles, and choose their penalty on left-out
images of them.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.analyses.global_context.measure import central_patch, chosen_classes, class_shares, feature_parts
from patchprobe.analyses.token_contents.targets import TARGETS, patch_targets
from patchprobe.probes.ridge import fit_ridge
from patchprobe.progress import Progress
from patchprobe.scoring.clean_scores import clean_columns
from patchprobe.scoring.r2 import r2_scores
from patchprobe.spreading.tasks import in_order
from patchprobe.tokens.black import read_black
from patchprobe.tokens.drawn_tiles import draw_tiles
from patchprobe.tokens.labelled import grid, labelled_tokens
from patchprobe.tokens.transforms import FeatureTransform, feature_count
from patchprobe.tokens.variants import Sample, View, directions_of, sample_of

PROTOCOL = "token-contents-v1"
SHARES = "class shares"
"""The target of a tile: the mean R2 over classes of the shares of its pixels."""

_log = logging.getLogger(__name__)


def parts_of(
    sample: Sample, removals: Sequence[str], features: float, *, penalty: float, seed: int, key: str
) -> Iterator[tuple[str, View]]:
    """Yield the parts of tokens that are regressed from by name: all (no name), and of each removal what is left and what it takes.

    ``removals`` are ``top-variance`` and directions of :func:`patchprobe.tokens.variants.directions_of`; ``features`` is the number
    that is taken out, or below 1 the share of all features. With ``top-variance`` stands a random draw of as many features.
    Of directions there may be fewer, and the name says how many; a removal of none, or of all features, is left out and logged.
    ``key`` names what asks for them in messages.
    """
    total = sample.features
    everything, none = np.arange(total), np.empty(0, np.int64)
    whole = FeatureTransform(total, everything, none)
    yield "", View(whole)
    count = feature_count(features, total)
    for removal in removals:
        if removal == "top-variance":
            for name, kept in feature_parts(sample.moments.variance, features, seed=seed).items():
                if name:
                    yield name, View(FeatureTransform(total, kept, none))
            continue
        if count >= total:  # as of features: what the last direction holds is rounding
            _log.warning(
                "%s: the model has %d features, so drop-%s of %d is left out: set global_context.features to less",
                *(key, total, removal, count),
            )
            continue
        found = directions_of(removal, sample, count, key=f"{key}: drop-{removal}", penalty=penalty)
        if not len(found):
            _log.warning("%s: there are no directions for drop-%s, so it is left out", key, removal)
            continue
        yield f"drop-{removal}-{len(found)}", View(whole, directions=found)
        yield f"keep-{removal}-{len(found)}", View(whole, directions=found, alone=True)


class Patches:
    """The tokens of all patches of drawn tiles, with what they are to tell.

    ``tokens`` (n, features), ``targets`` float64 (n, targets), ``images`` str (n,).
    """

    def __init__(self, features: xr.Dataset, tiles: xr.Dataset, chosen: npt.NDArray[np.intp]) -> None:
        part = features.isel(level=0, layer=-1, tile=chosen)
        shape = grid(features)
        pixels = tiles.image.isel(level=0).sel(tile=part.tile.values).values
        self.tokens = part.tokens.values.reshape(-1, features.sizes["feature"])
        self.targets = patch_targets(pixels, shape).reshape(len(self.tokens), -1)
        self.images = np.repeat(part.image_id.values, features.sizes["patch"])


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    tiles: xr.Dataset,
    black: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    removals: Sequence[str],
    part: float,
    number: int,
    classes: Sequence[str] | None,
    penalties: Sequence[float],
    plane_penalty: float,
    bootstrap: Mapping[str, Any],
    seed: int,
    spec: str,
) -> list[dict[str, Any]]:
    """Return the rows of every part of the tokens and target: R2 on evaluation patches, and on evaluation tiles for ``class shares``.

    ``tiles`` is the store of clean tiles, of which ``number`` are drawn of each split; ``black`` the store of the tokens of a black image, where
    directions are fitted on them. ``removals``, ``part`` and ``plane_penalty`` are those of :func:`parts_of`, ``penalties`` those that are tried;
    ``classes`` are those of :func:`patchprobe.analyses.global_context.measure.chosen_classes`; an empty list has no such target.
    """
    sample = sample_of(labelled_tokens(tokens, labels, "train"), read_black(black))
    train = (tokens.split == "train").values
    draws = {
        name: draw_tiles(tokens, name, number, seed=seed, purpose="token-contents") for name in ("train", "evaluation")
    }
    learnt, asked = (Patches(tokens, tiles, draws[name]) for name in ("train", "evaluation"))
    named = classes is None or len(classes) > 0
    found = chosen_classes(labels, classes, tokens.tile.values[train]) if named else {}
    centres = tokens.tokens.isel(level=0, layer=-1, patch=central_patch(grid(tokens))).values if found else None
    shares = class_shares(labels.label.sel(tile=tokens.tile.values).values, list(found.values())) if found else None
    images = tokens.image_id.values
    common = clean_columns(tokens, dataset=dataset, seed=seed)
    common |= {"model": model, "method": "ridge", "protocol": PROTOCOL, "spec": spec}
    of_patches, of_tiles = {"n": len(asked.tokens)}, {"n": int((~train).sum())}
    parts = list(parts_of(sample, removals, part, penalty=plane_penalty, seed=seed, key=f"token_contents of {model}"))
    del sample
    whole = _Tiles(centres, shares, images, train, list(found)) if centres is not None and shares is not None else None
    regressed = _Regressed(learnt, asked, whole, penalties, {"bootstrap": bootstrap, "seed": seed})
    with Progress(file=sys.stderr, total=len(parts), desc=f"{model} contents", unit="part") as progress:
        scored = in_order(_scores, [(view,) for _, view in parts], shared=regressed, done=progress.update)
    rows = []
    for (name, _), (scores_of_patches, scores_of_tiles) in zip(parts, scored, strict=True):
        rows += [common | of_patches | {"variant": name} | score for score in scores_of_patches]
        rows += [common | of_tiles | {"variant": name} | score | {"class": SHARES} for score in scores_of_tiles]
    return rows


@dataclass(frozen=True)
class _Tiles:
    """Tokens at the centres of tiles (n, features), the shares of ``classes`` in them (n, classes), and which of them are learnt from."""

    centres: npt.NDArray[Any]
    shares: npt.NDArray[np.float64]
    images: npt.NDArray[Any]
    train: npt.NDArray[np.bool_]
    classes: Sequence[str]


@dataclass(frozen=True)
class _Regressed:
    """What the regressions of all parts share."""

    learnt: Patches
    asked: Patches
    tiles: _Tiles | None
    penalties: Sequence[float]
    scoring: Mapping[str, Any]


def _scores(of: _Regressed, view: View) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the scores of one part of the tokens, those of patches and those of tiles."""
    ridge = fit_ridge(view(of.learnt.tokens), of.learnt.targets, of.learnt.images, of.penalties)
    predicted = ridge.predict(view(of.asked.tokens))
    patches = list(r2_scores(of.asked.targets, predicted, of.asked.images, TARGETS, each="content_r2", **of.scoring))
    if of.tiles is None:
        return patches, []
    centres, shares, images, train = of.tiles.centres, of.tiles.shares, of.tiles.images, of.tiles.train
    ridge = fit_ridge(view(centres[train]), shares[train], images[train], of.penalties)
    predicted = ridge.predict(view(centres[~train]))
    names: dict[str, Any] = {"each": "share_r2", "mean": "content_r2"}
    tiles = r2_scores(shares[~train], predicted, images[~train], of.tiles.classes, **names, **of.scoring)
    return patches, [score for score in tiles if score["metric"] == "content_r2"]
