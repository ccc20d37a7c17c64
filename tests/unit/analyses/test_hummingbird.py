"""Hummingbird against torch by hand, its scores against scikit-learn, its quirks against what they say."""

import numpy as np
import pytest
import torch
from protocol_data import CLASSES, GRID, majority, patch_pixels, split, stores
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torch.nn import functional

from patchprobe import measurements
from patchprobe.analyses.hummingbird import measure as hummingbird
from patchprobe.analyses.hummingbird.measure import Quirks
from patchprobe.errors import ConfigError, DataError
from patchprobe.seeds import generator

IDS = np.array(CLASSES["class_ids"])
K, TEMPERATURE = 7, 0.05
NONE = Quirks()


def predicted(features, labels, quirks=NONE, k=K):
    remembered = hummingbird.memory(features, labels, quirks, seed=3)
    shape = labels.label.shape[1:]
    blocks = hummingbird.predict(remembered, features, IDS, shape, k=k, temperature=TEMPERATURE, threads=2)
    return np.concatenate(list(blocks))


def by_torch(features, labels):
    """Scores (tile, class, y, x) in float64, with nothing of the project."""
    tokens, maps, _ = split(features, labels, "train")
    pixels = patch_pixels(maps)
    keep = majority(pixels) != 0
    shares = np.stack([(pixels == i).sum(axis=-1) for i in IDS], axis=-1)[keep].astype(float)
    shares = torch.from_numpy(shares / shares.sum(axis=1, keepdims=True))
    bank = functional.normalize(torch.from_numpy(tokens[keep]).double(), dim=1)
    queries = functional.normalize(torch.from_numpy(split(features, labels, "evaluation")[0]).double(), dim=2)
    cosine, nearest = (queries @ bank.T).topk(K, dim=-1)
    weights = (cosine / TEMPERATURE).softmax(dim=-1)
    scores = (weights[..., None] * shares[nearest]).sum(dim=2)
    maps = scores.reshape(len(queries), *GRID, len(IDS)).permute(0, 3, 1, 2)
    return functional.interpolate(maps, size=labels.label.shape[1:], mode="bilinear", align_corners=False).numpy()


@pytest.mark.parametrize("shape", [(12, 16), (24, 32)])
def test_predictions_are_those_of_torch(shape):
    features, labels = stores(shape=shape)
    found, expected = predicted(features, labels), by_torch(features, labels)
    assert len(np.unique(found)) == len(IDS)
    chosen = np.take_along_axis(expected, np.searchsorted(IDS, found)[:, None], axis=1)[:, 0]
    best = expected.max(axis=1)
    # Equal but where float32 scores of two classes are equal.
    np.testing.assert_allclose(chosen, best, atol=1e-6)
    assert (found == IDS[expected.argmax(axis=1)]).mean() > 0.995


def rows_of(features, labels, quirks=NONE):
    remembered = hummingbird.memory(features, labels, quirks, seed=3)
    ids, shape = labels.attrs["class_ids"], labels.label.shape[1:]
    blocks = hummingbird.predict(remembered, features, ids, shape, k=K, temperature=TEMPERATURE, threads=1)
    named = {"dataset": "d", "model": "m", "bootstrap": {"resamples": 100, "level": 0.9}, "seed": 0, "spec": "s"}
    return hummingbird.score(blocks, features, labels, quirks, **named)


def test_scores_are_those_of_scikit_learn(tmp_path):
    features, labels = stores()
    measurements.write(rows_of(features, labels), tmp_path / "rows.parquet")  # the schema takes them
    rows = measurements.read([tmp_path / "rows.parquet"]).set_index(["metric", "class"])
    truth = split(features, labels, "evaluation")[1]
    scored = truth != 0
    truth, found = truth[scored], predicted(features, labels)[scored]
    assert set(rows["method"]) == {"hummingbird"} and set(rows["protocol"]) == {"hummingbird-v1"}
    assert rows.loc[("pixel_accuracy", ""), "value"] == pytest.approx(accuracy_score(truth, found))
    iou = jaccard_score(truth, found, average=None, labels=IDS)
    assert rows.loc["pixel_iou", "value"].tolist() == pytest.approx(iou.tolist())
    miou = rows.loc[("pixel_miou", "")]
    assert miou["value"] == pytest.approx(iou.mean()) and miou["ci_low"] < miou["value"] < miou["ci_high"]
    assert set(rows["n"]) == {scored.sum()}


def test_a_small_memory_prefers_patches_of_rare_classes():
    features, labels = stores(images=40, evaluated=1)
    tiles = 39 * 2
    remembered = hummingbird.memory(features, labels, Quirks(memory_size=4 * tiles + 5), seed=3)
    assert len(remembered.tokens) == 4 * tiles
    everything = hummingbird.memory(features, labels, Quirks(), seed=3)
    where = {token.tobytes(): i for i, token in enumerate(everything.tokens)}
    own = [where[token.tobytes()] for token in remembered.tokens]
    assert len(set(own)) == len(own)
    np.testing.assert_array_equal(remembered.shares, everything.shares[own])
    # Rarity is counted by hand: the patches of the tile that share a class, once for each class.
    pixels = patch_pixels(split(features, labels, "train")[1])
    occurs = np.stack([(pixels == i).any(axis=-1) for i in IDS], axis=-1).astype(int)
    crowd, labelled = np.einsum("tpc,tqc->tp", occurs, occurs), majority(pixels) != 0
    expected = np.zeros_like(labelled)
    for tile, name in enumerate(features.tile.values[features.split.values == "train"]):
        score = crowd[tile] * generator(3, "hummingbird-v1", str(name)).random(len(crowd[tile]))
        score[~labelled[tile]] = np.inf
        expected[tile, np.argpartition(score, 4)[:4]] = True
    assert own == np.flatnonzero(expected[labelled]).tolist()
    assert crowd[expected].mean() < 0.95 * crowd[labelled].mean()
    again = hummingbird.memory(features, labels, Quirks(memory_size=4 * tiles + 5), seed=3)
    other = hummingbird.memory(features, labels, Quirks(memory_size=4 * tiles + 5), seed=4)
    np.testing.assert_array_equal(again.tokens, remembered.tokens)
    assert not np.array_equal(other.tokens, remembered.tokens)
    with pytest.raises(ConfigError, match=r"hummingbird\.quirks\.memory_size is 77, fewer than the 78 training tiles"):
        hummingbird.memory(features, labels, Quirks(memory_size=77), seed=3)


def test_void_can_count_as_the_first_class():
    features, labels = stores()
    tokens, maps, _ = split(features, labels, "train")
    remembered = hummingbird.memory(features, labels, Quirks(void_is_first_class=True), seed=3)
    pixels = patch_pixels(maps)
    shares = np.stack([(pixels == i).mean(axis=-1) for i in IDS], axis=-1)
    shares[..., 0] += (pixels == 0).mean(axis=-1)
    np.testing.assert_allclose(remembered.shares, shares.reshape(-1, len(IDS)), atol=1e-7)
    np.testing.assert_array_equal(remembered.tokens, tokens.reshape(-1, tokens.shape[-1]))


def test_classes_can_be_matched_and_absent_ones_count():
    features, labels = stores()
    # Labels of the training tiles under other names, so that a matching has something to repair.
    wrong = labels.label.values.copy()
    train = features.split.values == "train"
    wrong[train] = np.array([0, 2, 4, 0, 7, 0, 0, 1], np.uint8)[wrong[train]]
    renamed = labels.copy(data={"label": wrong})
    plain, matched = (
        {(row["metric"], row["class"]): row["value"] for row in rows_of(features, renamed, quirks)}
        for quirks in (Quirks(), Quirks(match_classes=True))
    )
    truth = split(features, renamed, "evaluation")[1]
    scored = truth != 0
    counted = confusion_matrix(truth[scored], predicted(features, renamed)[scored], labels=IDS)
    pairs = counted / (counted.sum(axis=1, keepdims=True) + counted.sum(axis=0) - counted)
    rows, columns = linear_sum_assignment(-pairs)
    assert matched["pixel_miou", ""] == pytest.approx(pairs[rows, columns].mean())
    assert matched["pixel_miou", ""] > 2 * plain["pixel_miou", ""]

    fifth = {"class_ids": [*CLASSES["class_ids"], 9], "class_names": [*CLASSES["class_names"], "e"], "void_id": 0}
    more = labels.assign_attrs(fifth)
    absent, zero = (
        {(row["metric"], row["class"]): row["value"] for row in rows_of(features, more, quirks)}
        for quirks in (Quirks(), Quirks(absent_is_zero=True))
    )
    assert np.isnan(absent["pixel_iou", "e"])
    assert zero["pixel_miou", ""] == pytest.approx(absent["pixel_miou", ""] * 4 / 5)


def test_nothing_but_void_and_too_many_neighbours_are_refused():
    features, labels = stores()
    with pytest.raises(DataError, match="k is 999"):
        predicted(features, labels, k=999)
    void = labels.copy(data={"label": np.zeros_like(labels.label.values)})
    with pytest.raises(DataError, match="every patch is void"):
        hummingbird.memory(features, void, Quirks(), seed=3)
    none = labels.label.values.copy()
    none[features.split.values == "evaluation"] = 0
    with pytest.raises(DataError, match="no pixel of d on clean tiles has a class"):
        rows_of(features, labels.copy(data={"label": none}))
