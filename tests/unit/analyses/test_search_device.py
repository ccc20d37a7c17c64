"""Searches run on the device that the job was given, with stand-ins for GPUs, and their rows do not depend on it."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from token_stores import BOOTSTRAP, stores

from patchprobe.analyses.capi import measure as capi
from patchprobe.analyses.declaring import analyses
from patchprobe.analyses.explorer import measure as explorer
from patchprobe.analyses.full_images import measure as full_images
from patchprobe.analyses.hummingbird import measure as hummingbird
from patchprobe.analyses.image_knn import measure as image_knn
from patchprobe.analyses.layers import measure as layers
from patchprobe.analyses.patch_classification import classification as patch_classification
from patchprobe.analyses.patch_retrieval import measure as patch_retrieval
from patchprobe.analyses.removal_curves import measure as removal_curves
from patchprobe.analyses.removal_sweep import measure as removal_sweep
from patchprobe.analyses.training_size import measure as training_size
from patchprobe.neighbors import memory_bank as neighbors
from patchprobe.neighbors import sweep_bank as neighbor_sweep
from patchprobe.neighbors.tensors import TorchArrays
from patchprobe.probes.fitting import ProbeOptions, fit_probe
from patchprobe.tokens.labelled import labelled_tokens
from patchprobe.tokens.variants import fit_variant, sample_of

OPTIONS = ProbeOptions(learning_rates=(0.1,), weight_decays=(0.0,), steps=20)
COLUMNS = {"dataset": "d", "model": "m", "bootstrap": BOOTSTRAP, "seed": 0, "spec": "s"}


def classified(features, labels, device):
    training = labelled_tokens(features, labels, "train")
    probe = fit_probe(training.tokens, training.ids, training.images, OPTIONS, seed=0)
    unchanged = fit_variant(None, sample_of(training), key="")
    classifier = patch_classification.PatchClassifier(training, probe, unchanged, threads=1, device=device)
    return classifier.classify(features, level=0).tolist()


def swept(features, labels, device):
    training = labelled_tokens(features, labels, "train")
    found = removal_sweep.sweep(training, features, [0, 2], OPTIONS, seed=0, threads=1, device=device)
    return {count: {method: ids.tolist() for method, ids in methods.items()} for count, methods in found.items()}


def by_removals(features, labels, device):
    linear = {"learning_rates": [0.1], "weight_decays": [0.0], "steps": 20, "batch_size": 8, "validation_fraction": 0.2}
    removals = ["drop-random", "drop-top-components", "drop-norm"]
    given = {"removals": removals, "counts": [2], "penalty": 1e-4, "draw": 0, "images": None, "threads": 1}
    probe = {"batch_norm": False}
    return removal_curves.measure(features, labels, device=device, linear=linear, probe=probe, **given, **COLUMNS)


def by_size(features, labels, device):
    training = labelled_tokens(features, labels, "train")
    subsets = [sorted(set(training.images))[:2], sorted(set(training.images))]
    return training_size.size_rows(training, features, labels, subsets, OPTIONS, threads=1, device=device, **COLUMNS)


def by_layer(features, labels, device):
    return layers.measure(features, labels, easy_classes=["road"], threads=1, device=device, **COLUMNS)


def on_full_images(features, labels, device):
    return full_images.full_image_rows(features, labels, OPTIONS, threads=1, device=device, **COLUMNS)


def by_capi(features, labels, device):
    given = {"k": [1, 3], "distances": ["euclidean", "cosine"], "validation_fraction": 0.2, "threads": 1}
    return capi.measure(features, labels, device=device, **given, **COLUMNS)


def by_hummingbird(features, labels, device):
    given = {"k": 3, "temperature": 0.02, "quirks": {}, "threads": 1}
    return hummingbird.measure(features, labels, device=device, **given, **COLUMNS)


def by_retrieval(features, labels, device):
    labels = labels.assign_attrs(supercategories=["ground", "air", "ground", "ground"], background_id=0)
    clean = features[["split", "tile", "level"]].assign_attrs(corruption="clean")
    given = {"variants": {}, "recall_at": [3], "near": 2.0, "examples": 1, "threads": 1}
    return patch_retrieval.measure(features, [], clean, [], labels, device=device, **given, **COLUMNS)


def by_image_knn(features, labels, device):
    """Tiles as images, whose classes take turns."""
    pooled = features.tokens.isel(level=0, layer=-1, drop=True).astype(np.float32).mean("patch").expand_dims("setting")
    width = pooled.sizes["feature"]
    moments = {
        "moment_count": (("fit", "part"), [[100]]),
        "moment_mean": (("fit", "part", "feature"), np.zeros((1, 1, width))),
        "moment_covariance": (("fit", "part", "feature", "other_feature"), np.eye(width)[None, None]),
    }
    told = {"told": ("setting", [""]), "relative_size": ("setting", [1.0]), "fit_told": ("fit", [""])}
    images = pooled.to_dataset(name="mean").assign(moments).assign_coords(told).assign_attrs(layer=2)
    turns = np.resize(labels.attrs["class_ids"][:2], labels.sizes["tile"]).astype(np.uint8)
    classes = labels.assign(label=xr.zeros_like(labels.label) + xr.DataArray(turns, dims="tile"))
    linear = {"learning_rates": [0.1], "weight_decays": [0.0], "steps": 20, "batch_size": 8, "validation_fraction": 0.2}
    given = {"variants": {}, "k": 3, "temperature": 0.1, "linear": linear, "probe": {"batch_norm": False}, "threads": 1}
    return image_knn.measure(images, classes, device=device, **given, **COLUMNS)


def by_explorer(features, labels, device):
    """Tiles of an image stand in a row."""
    owners = pd.Series(features.image_id.values)
    places = owners.groupby(owners).cumcount()
    names = [f"{owner}#r0c{place}" for owner, place in zip(owners, places, strict=True)]
    coordinates = {
        "tile": names,
        "image_id": ("tile", owners.to_numpy(object)),
        "split": ("tile", features.split.values),
    }
    given = {"images": 2, "tiles": 4, "neighbors": 2, "removed": [0, 2], "variants": {}, "threads": 1}
    given |= {key: COLUMNS[key] for key in ("dataset", "model", "spec")}
    placed = [store.assign_coords(coordinates) for store in (features, labels)]
    rows, texts = explorer.measure(*placed, device=device, **given)
    return rows.to_dict("list"), texts["neighbors"]


ANALYSES = {
    "patch_classification": classified,
    "removal_sweep": swept,
    "removal_curves": by_removals,
    "training_size": by_size,
    "layers": by_layer,
    "full_images": on_full_images,
    "capi": by_capi,
    "hummingbird": by_hummingbird,
    "patch_retrieval": by_retrieval,
    "image_knn": by_image_knn,
    "explorer": by_explorer,
}


@pytest.mark.parametrize("analysis", ANALYSES)
def test_the_bank_is_on_the_device_and_the_rows_are_the_same(monkeypatch, analysis):
    devices = []

    def arrays_on(device):
        devices.append(device)
        return TorchArrays("cpu")

    expected = ANALYSES[analysis](*stores([2.0]), "cpu")
    for module in (neighbors, neighbor_sweep):
        monkeypatch.setattr(module, "arrays_on", arrays_on)
    np.testing.assert_equal(ANALYSES[analysis](*stores([2.0]), "cuda"), expected)
    assert devices and set(devices) == {"cuda"}


def test_jobs_that_search_claim_the_gpu_that_their_rule_asks_for(repository):
    """Rules of their own, and the one of all analyses whose declaration says that they search."""
    rules = "\n".join(path.read_text() for path in (repository / "rules").glob("*.smk"))
    asking = {
        rule.partition(":")[0]: re.search(r"scripts/(\w+\.py)", rule)[1]
        for rule in re.split(r"(?m)^rule ", rules)[1:]
        if "gpu=search_gpus" in rule
    }
    searching = {analysis.name for analysis in analyses() if analysis.searches}
    assert asking.keys() | searching == set(ANALYSES)
    for script in {*asking.values(), "measure.py"}:
        assert "claim_device(job.device)" in (repository / "workflow/scripts" / script).read_text()
