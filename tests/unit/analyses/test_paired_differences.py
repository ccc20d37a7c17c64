"""Paired differences against a bootstrap by hand with the same seed."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import accuracy_score, jaccard_score

from patchprobe.analyses.paired_differences import measure as paired_differences
from patchprobe.errors import DataError

IMAGES, TILES, RESAMPLES, SEED, LEVEL = 9, 2, 200, 5, 0.9
VIEWS = {("a", ""): (2, 0.45), ("a", "v"): (2, 0.4), ("b", ""): (4, 0.15)}  # patches along a side, share of errors


def made(seed=0, images=IMAGES):
    """Return label and prediction stores as they are read; patches of different grids, hard images hard for all."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 3, 5, 6], p=[0.1, 0.5, 0.3, 0.1], size=(images * TILES, 4, 4)).astype(np.uint8)
    maps = coarse.repeat(2, 1).repeat(2, 2)
    names = [f"i{t // TILES}#{t % TILES}" for t in range(len(maps))]
    image = ("tile", [name.split("#")[0] for name in names])
    attributes = {"class_ids": [3, 5, 6], "class_names": ["x", "y", "z"], "void_id": 0}
    order = rng.permutation(len(maps))
    labels = xr.Dataset(
        {"label": (("tile", "y", "x"), maps[order])}, coords={"tile": np.array(names)[order]}, attrs=attributes
    )
    hard = rng.uniform(0, 0.5, images).repeat(TILES)[:, None, None]
    stores = {}
    for view, (side, errors) in VIEWS.items():
        ids = np.empty((2, 1, len(maps), side * side), np.uint8)
        for method in range(2):
            truth = coarse[:, :: 4 // side, :: 4 // side]
            wrong = rng.uniform(size=truth.shape) < errors + hard - 0.1 * method
            answer = np.where(wrong | (truth == 0), rng.choice([3, 5, 6], size=truth.shape), truth)
            ids[method, 0] = answer.reshape(len(maps), -1)
        row, column = np.divmod(np.arange(side * side), side)
        stores[view] = xr.Dataset(
            {"prediction": (("method", "level", "tile", "patch"), ids)},
            coords={"method": ["1-nn", "linear"], "level": [0.0], "tile": names, "image_id": image}
            | {"patch_row": ("patch", row), "patch_col": ("patch", column)},
        )
    return stores, labels


def rows_of(stores, labels):
    bootstrap = {"resamples": RESAMPLES, "level": LEVEL}
    return paired_differences.measure(
        list(stores.values()), labels, views=list(stores), dataset="d", bootstrap=bootstrap, seed=SEED, spec="s"
    )


def by_hand(stores, labels, view, method):
    """mIoU and accuracy on all images, and for every resample of images that numpy draws from the seed."""
    store, side = stores[view], VIEWS[view][0]
    truth = labels.label.sel(tile=store.tile).values
    ids = store.prediction.values[["1-nn", "linear"].index(method), 0]
    found = ids.reshape(-1, side, side).repeat(8 // side, 1).repeat(8 // side, 2)
    images = store.image_id.values

    def scores(drawn):
        pixels = np.concatenate([truth[images == f"i{i}"].ravel() for i in drawn])
        answers = np.concatenate([found[images == f"i{i}"].ravel() for i in drawn])
        pixels, answers = pixels[pixels > 0], answers[pixels > 0]
        return jaccard_score(pixels, answers, average="macro"), accuracy_score(pixels, answers)

    counts = np.random.default_rng(SEED).multinomial(IMAGES, [1 / IMAGES] * IMAGES, size=RESAMPLES)
    resampled = [scores(np.repeat(np.arange(IMAGES), row)) for row in counts]
    return np.array(scores(range(IMAGES))), np.array(resampled)


def test_differences_are_those_of_a_bootstrap_by_hand():
    stores, labels = made()
    rows = rows_of(stores, labels)
    assert list(rows.columns) == list(paired_differences.COLUMNS) and len(rows) == 3 * 2 * 2
    rows = rows.set_index(["model", "variant", "other_model", "other_variant", "method", "metric"])
    assert rows.index.is_unique
    found = {(view, method): by_hand(stores, labels, view, method) for view in VIEWS for method in ("1-nn", "linear")}
    seen = set()
    for first, other in ((("a", ""), ("a", "v")), (("a", ""), ("b", "")), (("a", "v"), ("b", ""))):
        for method in ("1-nn", "linear"):
            (value, draws), (less, fewer) = found[first, method], found[other, method]
            for place, metric in enumerate(("pixel_miou", "pixel_accuracy")):
                row = rows.loc[(*first, *other, method, metric)]
                low, high = np.quantile(draws[:, place] - fewer[:, place], [0.05, 0.95])
                assert row["value"] == pytest.approx(value[place] - less[place])
                assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
                assert row["excludes_zero"] == (low > 0 or high < 0)
                assert row["images"] == IMAGES and row["seed"] == SEED
                seen.add(bool(row["excludes_zero"]))
    assert seen == {True, False}


def test_pairs_are_narrower_than_their_parts():
    """Hard images are hard for both, so the spread of a difference is less than that of two independent scores."""
    stores, labels = made()
    row = rows_of(stores, labels).iloc[0]
    spreads = [np.ptp(np.quantile(by_hand(stores, labels, v, "1-nn")[1][:, 0], [0.05, 0.95])) for v in list(VIEWS)[:2]]
    assert row["ci_high"] - row["ci_low"] < 0.9 * np.hypot(*spreads)


def test_one_image_has_differences_and_no_interval():
    rows = rows_of(*made(images=1))
    assert rows["value"].notna().all() and rows["ci_low"].isna().all() and rows["ci_high"].isna().all()
    assert not rows["excludes_zero"].any()


def test_one_model_has_no_pair_and_void_alone_is_refused():
    stores, labels = made()
    assert rows_of({("a", ""): stores["a", ""]}, labels).empty
    with pytest.raises(DataError, match="no pixel of d on clean tiles has a class"):
        rows_of(stores, labels.copy(data={"label": np.zeros_like(labels.label.values)}))
