"""Whole images classified by their pooled features (protocol section 8): by k-NN and by a linear probe, at every setting.

Figure 8 of arXiv 2401.00463 has the k-NN accuracy of Scale-MAE and MAE, with all features and without the 200 of highest
variance, against the relative ground sample distance.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from patchprobe.analyses.image_knn.voting import SCALE_MAE, Vote, class_scores, winners
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.probes.fitting import ProbeOptions, fit_probe, fit_probes
from patchprobe.scoring.bootstrap import ratio_intervals
from patchprobe.seeds import generator
from patchprobe.tokens.places import read_image_places
from patchprobe.tokens.pooled import read_moments
from patchprobe.tokens.variants import Sample, View, fit_variant

PROTOCOL = "image-knn-v1"
POOLINGS = ("cls", "mean")
AXES = {"sensor": "relative_size_sensor"}
"""What varies, by what the model is told: with the sensor's distance also what it is told; else ``relative_size`` alone."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Images:
    """The images of a store of features: ``classes`` their numbers from 0 on, ``training`` whether to learn from them."""

    classes: npt.NDArray[np.int64]
    training: npt.NDArray[np.bool_]
    names: npt.NDArray[np.str_]
    count: int

    @property
    def evaluated(self) -> npt.NDArray[np.bool_]:
        """Those that are classified."""
        return ~self.training


def measure(
    features: xr.Dataset,
    labels: xr.Dataset,
    places: Sequence[xr.Dataset] = (),
    *,
    dataset: str,
    model: str,
    variants: Mapping[str, Mapping[str, Any]],
    k: int,
    temperature: float,
    linear: Mapping[str, Any],
    probe: Mapping[str, Any],
    bootstrap: Mapping[str, Any],
    seed: int,
    threads: int,
    device: str = "cpu",
    spec: str,
) -> list[dict[str, Any]]:
    """Return the measurement rows of a model and its variants at every setting of a store of image features.

    ``labels`` is the store of label maps, which have one id everywhere. Variants are fitted on the patch tokens of the training
    images at the largest size, with the store ``places`` of what position makes of them where they ask for it, and applied to pooled features. ``k`` and ``temperature`` are those of k-NN, ``linear`` and
    ``probe`` the options of :class:`patchprobe.probes.fitting.ProbeOptions`.
    """
    images = labelled_images(features, labels)
    _notice(images, labels, k)
    options = ProbeOptions(**linear, **probe)
    common = {
        "dataset": dataset,
        "model": model,
        "layer": int(features.attrs["layer"]),
        "corruption": "clean",
        "level": 0.0,
        "protocol": PROTOCOL,
        "class": "",
        "metric": "image_accuracy",
        "seed": seed,
        "spec": spec,
    }
    fitted = {
        told: _fitted(_sample(features, places, told), variants, model) for told in features["fit_told"].values.tolist()
    }
    rows = []
    for place, told in enumerate(features["told"].values.tolist()):
        at = {"axis": AXES.get(told, "relative_size"), "at": float(features["relative_size"].values[place])}
        for pooling in (name for name in POOLINGS if name in features):
            pooled = features[pooling].isel(setting=place).values
            found = dict(
                neighbours_hits(
                    pooled, images, fitted[told], k=k, temperature=temperature, threads=threads, device=device
                )
            )
            found |= probe_hits(pooled, images, fitted[told], options, seed=seed)
            for (variant, method), hits in found.items():
                own = {"variant": variant, "method": f"{method}-{pooling}"}
                rows.append({**common, **at, **own, **accuracy(hits, bootstrap=bootstrap, seed=seed)})
    return rows


def _sample(features: xr.Dataset, places: Sequence[xr.Dataset], told: str) -> Sample:
    """Return what variants are fitted on, for a model that is ``told`` something."""
    found = [read_image_places(store, told) for store in places]
    means, black = found[0] if found else (None, None)
    return Sample(read_moments(features, told), means, black=black)


def _fitted(sample: Sample, variants: Mapping[str, Mapping[str, Any]], model: str) -> dict[str, View]:
    """Return the views of pooled features of a model as it is and of its variants."""
    entries = {"": None, **variants}
    return {
        name: fit_variant(entry, sample, key=f"models.{model}.variants.{name}").pooled()
        for name, entry in entries.items()
    }


def labelled_images(features: xr.Dataset, labels: xr.Dataset) -> Images:
    """Return the images of a store of features with their classes, numbered as in ``labels``."""
    ids = labels["label"].sel(tile=features["tile"].values).isel(y=0, x=0).values
    numbers = np.full(256, -1, np.int64)
    numbers[labels.attrs["class_ids"]] = np.arange(len(labels.attrs["class_ids"]))
    training = features["split"].values == "train"
    return Images(numbers[ids], training, features["image_id"].values, len(labels.attrs["class_ids"]))


def neighbours_hits(
    pooled: npt.NDArray[np.floating[Any]],
    images: Images,
    views: Mapping[str, View],
    *,
    k: int,
    temperature: float,
    threads: int,
    device: str = "cpu",
) -> Iterator[tuple[tuple[str, str], npt.NDArray[np.bool_]]]:
    """Yield variant and method, and which of the evaluated images are classified right by the nearest training images.

    ``pooled`` (images, features) are searched by cosine, as each view gives them.
    """
    votes = {"knn": Vote(k), "weighted-knn": Vote(k, temperature), "scale-mae-knn": SCALE_MAE}
    known, truth = images.classes[images.training], images.classes[images.evaluated]
    most = min(max(k, SCALE_MAE.k), len(known))
    for variant, view in views.items():
        values = view(pooled)
        bank = MemoryBank(values[images.training], metric="cosine", device=device)
        nearest, squared = bank.search([values[images.evaluated]], threads=threads, k=most)
        nearest, squared = nearest.reshape(len(truth), most), squared.reshape(len(truth), most)
        for method, vote in votes.items():
            scores = class_scores(known[nearest], 1 - squared / 2, vote, count=images.count)
            yield (variant, method), winners(scores) == truth


def probe_hits(
    pooled: npt.NDArray[np.floating[Any]],
    images: Images,
    views: Mapping[str, View],
    options: ProbeOptions,
    *,
    seed: int,
) -> Iterator[tuple[tuple[str, str], npt.NDArray[np.bool_]]]:
    """Yield variant and method, and which of the evaluated images a linear probe on the training images classifies right."""
    truth = images.classes[images.evaluated]
    learnt = images.classes[images.training], images.names[images.training]
    together = {variant: view.transform for variant, view in views.items() if view.diagonal}
    probes = dict(
        zip(
            together,
            fit_probes(pooled[images.training], *learnt, list(together.values()), options, seed=seed),
            strict=True,
        )
    )
    for variant, view in views.items():
        values = view(pooled)
        if variant not in probes:
            probes[variant] = fit_probe(values[images.training], *learnt, options, seed=seed)
        yield (variant, "linear"), probes[variant].predict(values[images.evaluated]) == truth


def accuracy(hits: npt.NDArray[np.bool_], *, bootstrap: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return value, interval of a bootstrap over images, and number of a share of right images."""
    sums = np.stack([np.ones_like(hits), hits], axis=1).astype(np.int64)
    (value,), ends = ratio_intervals(sums, [1], [0], **bootstrap, rng=generator(seed, PROTOCOL, "bootstrap"))
    return {"value": float(value), "ci_low": float(ends[0, 0]), "ci_high": float(ends[1, 0]), "n": len(hits)}


def _notice(images: Images, labels: xr.Dataset, k: int) -> None:
    """Say where there are fewer training images than vote, and which classes cannot be found."""
    known: Sequence[str] = labels.attrs["class_names"]
    number = int(images.training.sum())
    for votes in sorted({k, SCALE_MAE.k}):
        if votes > number:
            _log.warning("there are %d training images, so all of them vote in place of %d", number, votes)
    unknown = set(images.classes[images.evaluated].tolist()) - set(images.classes[images.training].tolist())
    if unknown:
        _log.warning(
            "no training image is of class %s, so its images cannot be classified right",
            ", ".join(known[number] for number in sorted(unknown)),
        )
