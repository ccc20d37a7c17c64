"""Classes of the evaluation patches of clean tiles by both classifiers, made anew from given training patches."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.tokens.labelled import LabelledTokens, token_blocks


def classify_clean(
    training: LabelledTokens,
    features: xr.Dataset,
    options: ProbeOptions,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield the method and class ids uint8 (tile, patch) of the evaluation patches, by 1-NN and by a linear probe.

    ``features`` is a token store of clean tiles, of which the last stored layer counts; ``training`` are tokens of it;
    ``device`` is where neighbours are searched.
    """
    tiles, patches = int((features.split == "evaluation").sum()), features.sizes["patch"]
    nearest, _ = MemoryBank(training.tokens, device=device).search(token_blocks(features, level=0), threads=threads)
    yield "1-nn", training.ids[nearest].reshape(tiles, patches)
    probe = fit_probe(training.tokens, training.ids, training.images, options, seed=seed)
    found = [probe.predict(np.asarray(block)) for block in token_blocks(features, level=0)]
    yield "linear", np.concatenate(found).astype(np.uint8).reshape(tiles, patches)
