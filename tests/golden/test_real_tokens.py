"""Exact 1-NN on tokens of a real pretrained ViT, against scikit-learn in float64."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from patchprobe.datasets.dataset import open_dataset
from patchprobe.models.backbone import load_model
from patchprobe.neighbors.memory_bank import MemoryBank, nearest
from patchprobe.neighbors.sweep_bank import SweepBank
from patchprobe.tiles.tiling import Tiling

ROWS = {"train": 20_000, "test": 5_000}


@pytest.fixture(scope="module")
def many_tokens(shared):
    """Bank (20000, 384) and queries (5000, 384), float16, from CamVid's training and test images."""
    dataset = open_dataset({"adapter": "camvid", "root": "CamVid", "options": {}}, shared / "samples/camvid")
    entry = {
        "source": "timm",
        "architecture": "vit_small_patch14_dinov2.lvd142m",
        "checkpoint": "vit_small_patch14_dinov2_saliency.safetensors",
        "position_embedding": "dino",
    }
    model = load_model("small", entry, checkpoint_root=shared / "weights", input_size=224, device="cpu")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.mean, model.std))
    parts = []
    for split, rows in ROWS.items():
        tiles = np.concatenate(
            [Tiling(360, 224).cut_image(dataset.read_image(record)) for record in dataset.records(split)]
        )
        tiles = tiles[np.linspace(0, len(tiles) - 1, -(-rows // 256)).astype(int)]
        images = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.inference_mode():
            found = torch.cat([model.tokens(batch, [model.blocks]).patch[0] for batch in images.split(8)])
        parts.append(found.flatten(0, 1).numpy().astype(np.float16)[:rows])
    return parts


@pytest.fixture(scope="module")
def tokens(many_tokens):
    """Fewer of them, for scikit-learn in float64."""
    bank, queries = many_tokens
    return [bank[::8], queries[::4]]


def brute_force(bank, queries):
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(bank.astype(np.float64))
    return search.kneighbors(queries.astype(np.float64), return_distance=False)[:, 0]


def distances(bank, queries, indices):
    return np.square(queries.astype(np.float64) - bank[indices].astype(np.float64)).sum(axis=1)


def assert_equal_neighbours(bank, queries):
    found, squared = nearest(bank, queries, threads=2)
    expected = brute_force(bank, queries)
    ours, theirs = distances(bank, queries, found), distances(bank, queries, expected)
    np.testing.assert_array_equal(squared, ours)
    # scikit-learn expands (x-y)^2, so where it differs ours must be at least as near.
    assert (ours <= theirs).all()
    tied = np.isclose(ours, theirs, rtol=1e-12, atol=0)
    assert ((found == expected) | tied | (ours < theirs)).all()
    assert (found == expected).mean() > 0.999


def test_real_tokens(tokens):
    bank, queries = tokens
    assert bank.shape == (2500, 384) and queries.shape == (1250, 384)
    found, _ = nearest(bank, queries, threads=2)
    np.testing.assert_array_equal(found, brute_force(bank, queries))


@pytest.mark.parametrize("kind", ["as they are", "mae-like"])
def test_many_tokens_and_every_number_of_removed_features(many_tokens, kind):
    bank, queries = (part.astype(np.float32) for part in many_tokens)
    if kind == "mae-like":
        # 50 features without meaning, with 1e4 times the variance of the others.
        noisy = np.random.default_rng(1).permutation(bank.shape[1])[:50]
        for seed, part in enumerate((bank, queries)):
            part[:, noisy] = 100 * part.std() * np.random.default_rng(seed).standard_normal((len(part), 50))
    memory_bank = MemoryBank(bank)
    found, squared = memory_bank.search([queries[:2500], queries[2500:]], threads=2)
    assert memory_bank._bounds is not None, "lower bounds are part of what is tested"
    assert_nearest(bank, queries, found, squared)
    order = np.argsort(-bank.var(axis=0, dtype=np.float64), kind="stable")
    for count, rows in SweepBank(bank, order, [0, 50, 200]).search([queries[::5]], threads=2).items():
        kept = np.sort(order[count:])
        assert_nearest(bank[:, kept], queries[::5, kept], rows)


def assert_nearest(bank, queries, found, squared=None):
    """By a float64 expansion that proposes all rows within its rounding, and exact distances of these."""
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    centre = bank.mean(axis=0)
    shifted, squares = bank - centre, np.square(bank - centre).sum(axis=1)
    for start in range(0, len(queries), 500):
        part = queries[start : start + 500]
        offset = np.square(part - centre).sum(axis=1)
        scores = squares - 2 * (part - centre) @ shifted.T
        near = scores <= scores.min(axis=1, keepdims=True) + 1e-9 * (offset[:, None] + squares.max())
        for row, candidates in enumerate(near):
            rows = np.flatnonzero(candidates)
            exact = np.square(part[row] - bank[rows]).sum(axis=1)
            assert found[start + row] == rows[exact.argmin()]
            assert squared is None or squared[start + row] == pytest.approx(exact.min(), rel=1e-12)


def test_one_feature_of_huge_variance(tokens):
    bank, queries = (part.astype(np.float32) for part in tokens)
    factor = 100 * np.sqrt(bank.var(axis=0).mean() / bank[:, 7].var())
    bank[:, 7] *= factor
    queries[:, 7] *= factor
    assert bank[:, 7].var() == pytest.approx(1e4 * np.delete(bank, 7, axis=1).var(axis=0).mean(), rel=0.1)
    assert_equal_neighbours(bank, queries)


def test_near_duplicates(tokens):
    rng = np.random.default_rng(0)
    few = tokens[0][:300].astype(np.float32)
    bank = np.concatenate([few + rng.normal(0, 1e-5, few.shape).astype(np.float32) for _ in range(10)])
    queries = few + rng.normal(0, 1e-5, few.shape).astype(np.float32)
    assert_equal_neighbours(bank, queries)
