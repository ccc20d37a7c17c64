"""Layer by layer: 1-NN on the tokens of every stored block, easy classes and the others apart (protocol section 5 c)."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from tqdm import tqdm

from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.scoring.clean_scores import clean_rows
from patchprobe.tokens.labelled import labelled_tokens, token_blocks

PROTOCOL = "layers-v1"

_log = logging.getLogger(__name__)


def class_groups(names: Sequence[str], easy: Sequence[str]) -> dict[str, list[str]]:
    """Part the classes of a data set into ``easy`` and ``rest``, without those that are empty.

    Names of easy classes count in lower and upper case alike; those that the data set does not have are left out and
    logged.
    """
    wanted = {name.lower() for name in easy}
    if absent := sorted(wanted - {name.lower() for name in names}):
        _log.info("easy classes that the data set does not have: %s", ", ".join(absent))
    parts = {
        "easy": [name for name in names if name.lower() in wanted],
        "rest": [name for name in names if name.lower() not in wanted],
    }
    return {group: members for group, members in parts.items() if members}


def classify_layers(
    features: xr.Dataset, labels: xr.Dataset, *, threads: int, every: int = 1, device: str = "cpu"
) -> Iterator[tuple[xr.Dataset, npt.NDArray[np.uint8]]]:
    """Yield for every ``every``-th stored block, so that the last is one, from the first, its part of the token store and class ids uint8 (tile, patch).

    ``features`` is the token store of clean tiles, ``labels`` the label store; the ids are those of the evaluation
    patches by 1-NN among the labelled training patches of the same block. One block is in memory at a time; ``device``
    is where neighbours are searched. Raises DataError if no training patch has a class.
    """
    tiles, patches = int((features.split == "evaluation").sum()), features.sizes["patch"]
    places = range(features.sizes["layer"])[::-every][::-1]
    with tqdm(total=len(places) * tiles * patches, desc="1-NN", unit="patch", file=sys.stderr, mininterval=5) as bar:
        for place in places:
            one = features.isel(layer=[place])
            training = labelled_tokens(one, labels, "train")
            bank = MemoryBank(training.tokens, device=device)
            nearest, _ = bank.search(token_blocks(one, level=0), threads=threads, progress=bar.update)
            yield one, training.ids[nearest].reshape(tiles, patches)


def measure(
    tokens: xr.Dataset,
    labels: xr.Dataset,
    *,
    model: str,
    easy_classes: Sequence[str],
    threads: int,
    every: int = 1,
    device: str = "cpu",
    **columns: Any,
) -> list[dict[str, Any]]:
    """Return the measurement rows of every ``every``-th stored block, metric and class, and of both groups of classes.

    Arguments as for :func:`classify_layers`; ``columns`` are those of :func:`patchprobe.scoring.clean_scores.clean_rows`.
    """
    groups: Mapping[str, Sequence[str]] = class_groups(labels.attrs["class_names"], easy_classes)
    rows = []
    for one, ids in classify_layers(tokens, labels, threads=threads, every=every, device=device):
        rows += clean_rows(ids, one, labels, groups=groups, model=model, method="1-nn", protocol=PROTOCOL, **columns)
    return rows
