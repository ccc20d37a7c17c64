"""Training-set size: both classifiers on fewer and fewer of the drawn training images (protocol section 5 b).

Everything is clean tokens of the last stored layer, and nothing is extracted again: the subsets are nested parts of
the images that the run has drawn.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from tqdm import tqdm

from patchprobe.analyses.clean_predictions import classify_clean
from patchprobe.probes.fitting import ProbeOptions
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.seeds import generator
from patchprobe.tokens.labelled import LabelledTokens, labelled_tokens

PROTOCOL = "training-size-v1"
# Images of each city in arXiv 2401.00463; the values themselves are lost from the text at hand.
PER_GROUP = (1, 2, 4, 8, 16)

_log = logging.getLogger(__name__)


def nested_subsets(
    images: Sequence[str],
    drawn_for: Sequence[str],
    *,
    seed: int,
    per_group: Sequence[int] | None = None,
    shares: Sequence[float] = (1.0,),
) -> list[list[str]]:
    """Return rising subsets of the training images, each a part of the next; equal ones once.

    ``drawn_for`` is the group or class that each image was drawn for. Where it is set, subsets have so many images of
    each as ``per_group`` says (all of one that has fewer); None takes those of ``PER_GROUP`` below the number drawn,
    and all. Where it is empty, subsets are ``shares`` of all images, rounded, at least one. Which images come first is
    a seeded draw over sorted names in every group.
    """
    groups: dict[str, list[str]] = {}
    for image, group in sorted(zip(images, drawn_for, strict=True)):
        groups.setdefault(group, []).append(image)
    orders = {group: generator(seed, "training-size", group).permutation(len(own)) for group, own in groups.items()}
    largest = max(len(own) for own in groups.values())
    if set(groups) == {""}:
        counts = {max(1, round(share * len(images))) for share in shares}
    elif per_group is None:
        counts = {count for count in PER_GROUP if count < largest} | {largest}
    else:
        counts = set(per_group)
    subsets: list[list[str]] = []
    for count in sorted(counts):
        subset = sorted(own[i] for group, own in groups.items() for i in orders[group][:count])
        if not subsets or len(subset) > len(subsets[-1]):
            subsets.append(subset)
    return subsets


def classify_sizes(
    training: LabelledTokens,
    features: xr.Dataset,
    subsets: Sequence[Sequence[str]],
    options: ProbeOptions,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
) -> Iterator[tuple[int, str, npt.NDArray[np.uint8]]]:
    """Yield the number of images, the method and class ids uint8 (tile, patch) of the evaluation patches for every subset.

    ``features`` is the token store of clean tiles that ``training`` comes from; ``device`` is where neighbours are
    searched. A subset without a labelled patch is
    left out and logged.
    """
    for subset in tqdm(subsets, desc="training sizes", unit="size", mininterval=5):
        own = np.isin(training.images, subset)
        if not own.any():
            _log.warning("no patch of %s has a class: left out", ", ".join(subset))
            continue
        part = training.part(own)
        for method, ids in classify_clean(part, features, options, seed=seed, threads=threads, device=device):
            yield len(subset), method, ids


def size_rows(
    training: LabelledTokens,
    features: xr.Dataset,
    labels: xr.Dataset,
    subsets: Sequence[Sequence[str]],
    options: ProbeOptions,
    *,
    model: str,
    seed: int,
    threads: int,
    device: str = "cpu",
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every subset, method, metric and class.

    Arguments as for :func:`classify_sizes`; ``labels`` is the label store, ``columns`` are those of
    :func:`patchprobe.scoring.clean_scores.clean_rows`.
    """
    rows = []
    found = classify_sizes(training, features, subsets, options, seed=seed, threads=threads, device=device)
    for images, method, ids in found:
        own: dict[str, Any] = {"model": model, "method": method, "axis": "training_images", "at": images}
        own |= {"protocol": PROTOCOL}
        rows += clean_rows(ids, features, labels, seed=seed, **own, **columns)
    return rows


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    images: pd.DataFrame,
    *,
    sizes: Mapping[str, Any],
    linear: Mapping[str, Any],
    probe: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    **more: Any,
) -> list[dict[str, Any]]:
    """Return the rows of :func:`size_rows` from stores, the table of images, and the options of the config.

    ``sizes`` are those of :func:`nested_subsets`, ``linear`` and ``probe`` those of
    :class:`patchprobe.probes.fitting.ProbeOptions`.
    """
    drawn = images[images["split"] == "train"]
    subsets = nested_subsets(list(drawn["image_id"]), list(drawn["drawn_for"]), **sizes, seed=seed)
    training = labelled_tokens(tokens, labels, "train")
    own: dict[str, Any] = {"seed": seed, "threads": threads, "device": device}
    return size_rows(training, tokens, labels, subsets, ProbeOptions(**linear, **probe), **own, **more)
