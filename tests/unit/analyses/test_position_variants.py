"""Variants of positions, directions and lengths in the analyses that have variants: what they find is what they find on tokens changed by hand."""

import numpy as np
import pandas as pd
import test_image_knn as whole_images
import test_patch_retrieval as retrieval
import test_tracking as tracking
import xarray as xr

from patchprobe.analyses.image_knn.measure import measure as image_knn
from patchprobe.analyses.patch_retrieval.measure import measure as patch_retrieval
from patchprobe.analyses.tracking.measure import measure as track


def norm(tokens):
    return tokens / np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-12)


def changed(stored, change):
    return stored.assign(
        tokens=(stored.tokens.dims, change(stored.tokens.values.astype(np.float64)).astype(np.float32))
    )


def black_store(black):
    return xr.Dataset({"tokens": (("level", "layer", "tile", "patch", "feature"), black[None, None, None])})


def numbers(rows, variant):
    """The values of a variant, by all that tells them apart."""
    table = pd.DataFrame(rows)
    table = table[table["variant"] == variant]
    keys = [key for key in ("method", "metric", "class", "axis", "at", "corruption", "level") if key in table]
    return table.set_index(keys)["value"].sort_index()


def projected(black, count):
    """The projection of INSID3 by NumPy alone."""
    unit = norm(black.astype(np.float64))
    axes = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)[2][:count]
    return lambda tokens: tokens - (tokens @ axes.T) @ axes


def test_patch_retrieval_under_a_move():
    clean, tokens = retrieval.stores()
    moved, moved_tokens = retrieval.stores("shift", [retrieval.PATCH // 2])
    black = np.random.default_rng(0).standard_normal((16, tokens.sizes["feature"])).astype(np.float32)
    mean = tokens.tokens.values[0, 0].astype(np.float64).mean(axis=0)
    changes = {
        "norm": ({"transform": "drop-norm"}, norm),
        "mean": ({"transform": "drop-position-mean"}, lambda given: given - mean),
        "dark": ({"transform": "drop-position", "features": 5}, projected(black, 5)),
    }
    variants = {name: entry for name, (entry, _) in changes.items()}
    options = retrieval.OPTIONS | {"variants": variants}
    labels = retrieval.label_store()
    rows, _ = patch_retrieval(tokens, [moved_tokens], clean, [moved], labels, [black_store(black)], **options)
    for name, (_, change) in changes.items():
        own = changed(tokens, change), [changed(moved_tokens, change)]
        expected, _ = patch_retrieval(own[0], own[1], clean, [moved], labels, **retrieval.OPTIONS)
        pd.testing.assert_series_equal(numbers(rows, name), numbers(expected, ""), atol=1e-9)
    assert not numbers(rows, "norm").equals(numbers(rows, ""))


def test_tracking_pools_lengths_and_places_after_they_are_gone():
    tokens, images, objects = tracking.planted()
    tokens = changed(tokens, lambda given: given + np.random.default_rng(0).random(given.shape) + 0.2)
    black = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32)
    # All frames are judged, so the means are those of all tiles.
    mean = tokens.tokens.values[0, 0].astype(np.float64).mean(axis=0)
    changes = {
        "norm": ({"transform": "drop-norm"}, norm),
        "mean": ({"transform": "drop-position-mean"}, lambda given: given - mean),
        "dark": ({"transform": "drop-position", "features": 1}, projected(black, 1)),
    }
    options = tracking.OPTIONS | {
        "variance_frames": 99,
        "variants": {name: entry for name, (entry, _) in changes.items()},
    }
    rows, _ = track(tokens, [], images, objects, [black_store(black)], **options)
    for name, (_, change) in changes.items():
        expected, _ = track(changed(tokens, change), [], images, objects, **tracking.OPTIONS)
        pd.testing.assert_series_equal(numbers(rows, name), numbers(expected, ""), atol=1e-9)


def test_whole_images_by_pooled_features():
    features, labels = whole_images.stores()
    rng = np.random.default_rng(0)
    black, means = rng.standard_normal((9, 12)), 3 + rng.standard_normal((9, 12))
    row, column = np.indices((3, 3))
    places = xr.Dataset(
        {
            "place_count": (("fit", "patch"), np.full((1, 9), 5)),
            "place_mean": (("fit", "patch", "feature"), means[None]),
            "black": (("fit", "patch", "feature"), black[None].astype(np.float32)),
        },
        coords={
            "fit_told": ("fit", [""]),
            "patch_row": ("patch", row.ravel()),
            "patch_col": ("patch", column.ravel()),
        },
    )
    changes = {
        "mean": ({"transform": "drop-position-mean"}, lambda given: given - means.mean(axis=0)),
        "norm": ({"transform": "drop-norm"}, norm),
        "dark": ({"transform": "drop-position", "features": 4}, projected(black, 4)),
    }
    variants = {name: entry for name, (entry, _) in changes.items()}
    variants["planes"] = {"transform": "drop-position-planes", "features": 2, "penalty": 1e-4}
    rows = image_knn(features, labels, [places], variants=variants, **whole_images.OPTIONS)
    for name, (_, change) in changes.items():
        own = features.assign(
            {
                key: (features[key].dims, change(features[key].values.astype(np.float64)).astype(np.float32))
                for key in ("cls", "mean")
            }
        )
        expected = numbers(image_knn(own, labels, variants={}, **whole_images.OPTIONS), "")
        found = numbers(rows, name)
        searched = ~found.index.get_level_values("method").str.startswith("linear")
        pd.testing.assert_series_equal(found[searched], expected[searched], atol=1e-9)
        # Probes start from tokens that were rounded otherwise.
        np.testing.assert_allclose(found[~searched], expected[~searched], atol=0.05)
    # Cosine does not see lengths.
    plain, unit = (numbers(rows, name).filter(like="knn") for name in ("", "norm"))
    assert len(numbers(rows, "planes")) == len(numbers(rows, ""))
    assert plain.equals(unit)
