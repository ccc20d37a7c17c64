"""Exact 1-NN on tokens of a real pretrained ViT, against scikit-learn in float64."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from patchprobe.datasets import open_dataset
from patchprobe.models import load_model
from patchprobe.neighbors import nearest
from patchprobe.tiling import Tiling

TILES = 12


@pytest.fixture(scope="module")
def tokens(shared):
    """Bank and queries, float16 (3072, 384) each, from CamVid's training and test images."""
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
    for split in ("train", "test"):
        records = dataset.records(split)[:: max(1, len(dataset.records(split)) // (TILES // 2))][: TILES // 2]
        tiles = np.concatenate([Tiling(360, 224).cut_image(dataset.read_image(record)) for record in records])
        images = (torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.inference_mode():
            found = model.tokens(images, [model.blocks]).patch[0]
        parts.append(found.flatten(0, 1).numpy().astype(np.float16))
    return parts


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
    assert bank.shape == queries.shape == (TILES * 256, 384)
    found, _ = nearest(bank, queries, threads=2)
    np.testing.assert_array_equal(found, brute_force(bank, queries))


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
