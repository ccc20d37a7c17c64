"""What can be known before anything expensive is said then."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from patchprobe.config.validation import load_schema, validate
from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.index import build_index
from patchprobe.errors import ConfigError, DataError, ModelError
from patchprobe.run.preflight import check, check_variants
from patchprobe.spreading import cluster

SPLITS = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
STREETS = {"adapter": "synthetic", "splits": SPLITS, "tiling": {"size": 32}}
CONFIG = {"device": "cpu", "datasets": {"streets": STREETS}, "models": {"a": {"source": "pixels", "patch_size": 8}}}
NUMBER = {"images": None, "per_group": None, "per_class": None}


@pytest.fixture(scope="module")
def schema(repository):
    return load_schema(repository / "config/schema/config.schema.yaml")


def variants(count, transform="drop-top-variance"):
    return {"variants": {"plain": {"transform": "centre"}, "less": {"transform": transform, "features": count}}}


@pytest.mark.parametrize(
    ("entry", "features"),
    [
        ({"source": "pixels", "patch_size": 4}, 48),
        ({"source": "random", "architecture": "vit_tiny_patch16_224", "arguments": {"depth": 1}}, 192),
        ({"source": "timm", "architecture": "vit_tiny_patch16_224", "arguments": {"embed_dim": 96}}, 96),
    ],
)
def test_variants_that_take_every_feature(entry, features):
    for transform in ("drop-top-variance", "keep-top-variance", "drop-random"):
        check_variants("a", entry | variants(features - 1, transform))
        with pytest.raises(
            ModelError, match=rf"models\.a\.variants\.less\.features is {features}, but the model has {features}"
        ):
            check_variants("a", entry | variants(features, transform))


def test_an_unknown_architecture_is_left_to_the_job_that_names_it():
    check_variants("a", {"source": "timm", "architecture": "no_such_vit"} | variants(10))


def test_variants_are_looked_at_where_models_are(schema):
    config = copy.deepcopy(CONFIG)
    config["models"]["a"] |= variants(192)
    filled = validate(config, schema)
    check(filled, device="cpu", rules={"model_table"})
    with pytest.raises(ModelError, match=r"less\.features is 192"):
        check(filled, device="cpu", rules={"inspect_model"})


@pytest.mark.parametrize("rule", ["patch_classification", "capi", "global_context"])
def test_a_scheduler_that_does_not_answer(schema, monkeypatch, rule):
    monkeypatch.setenv(cluster.ANNOUNCED, "")
    monkeypatch.setattr(cluster, "_CONNECT", "1s")
    filled = validate(CONFIG | {"dask": {"scheduler": "tcp://127.0.0.1:9"}}, schema)
    cluster.announce(filled["dask"])
    check(filled, device="cpu", rules={"tile"})
    with pytest.raises(ConfigError, match=r"dask.scheduler: no scheduler answers at tcp://127\.0\.0\.1:9"):
        check(filled, device="cpu", rules={rule})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corruptions": {"shift": {"levels": [1, 32]}}}, "a shift of 32 px leaves nothing of the tiles of 32 px"),
        (
            {"corruptions": {"shift": {"levels": [500]}}},
            r"that datasets\.streets\.tiling\.resize makes: take less than 32",
        ),
        ({"checkpoint_root": "my {weights}"}, "Snakemake takes braces in it for wildcards: name one without"),
        (
            {"models": {"a": {"source": "timm", "architecture": "vit_tiny_patch16_224", "checkpoint": "w{x}.pth"}}},
            r"key models\.a\.checkpoint is 'w{x}\.pth', and Snakemake takes braces",
        ),
        ({"models": {"a": {"source": "pixels", "patch_size": 12}}}, "patches of 12 px do not divide the 32 x 32 px"),
        (
            {"models": {"a": {"source": "pixels", "patch_size": 8, "input_size": [32, 20]}}},
            r"patches of 8 px do not divide the 32 x 20 px of models\.a\.input_size",
        ),
        (
            {"datasets": {"s": STREETS | {"adapter": "synthetik"}}},
            "no data set adapter 'synthetik'; did you mean synthetic",
        ),
        (
            {
                "datasets": {
                    "s": {
                        "adapter": "citiscapes",
                        "generate": {"generator": "street"},
                        "splits": SPLITS,
                        "tiling": {"size": 32},
                    }
                }
            },
            "did you mean cityscapes",
        ),
    ],
)
def test_keys_that_cannot_go_together(schema, change, message):
    config = copy.deepcopy(CONFIG) | change
    for entry in config["datasets"].values():
        entry["tiling"] = {"size": 32, "resize": 32}
    with pytest.raises(ConfigError, match=message):
        validate(config, schema)


class Blank:
    """A data set whose label maps are void, but for those of some images."""

    needs_root = False
    classes = Classes(ids=(0, 1), names=("a", "b"), void=255, colors=((0, 0, 0), (1, 1, 1)))
    counts = {"train": 2, "val": 2}  # noqa: RUF012

    def __init__(self, labelled):
        self.labelled = labelled

    def records(self, split):
        return [Record(f"{split}/{i}", "", Path(f"{split}{i}.png"), Path(f"{split}{i}.png")) for i in range(2)]

    def read_image(self, record):
        return np.zeros((32, 32, 3), np.uint8)

    def read_label(self, record):
        return np.full((32, 32), 1 if record.image_id in self.labelled else 255, np.uint8)

    def digests(self, record):
        return (record.image_id, record.image_id)


@pytest.mark.parametrize(
    ("labelled", "split"),
    [(["val/0"], "train"), (["train/1"], "evaluation"), ([], "train"), (["train/0", "val/1"], "")],
)
def test_a_split_without_any_class(labelled, split):
    entry = {
        "splits": {"train": {"source": "train", **NUMBER}, "evaluation": {"source": "val", **NUMBER}},
        "tiling": {"size": 32, "image_size": None},
    }
    if split:
        with pytest.raises(DataError, match=rf"datasets\.blank: no pixel of the 2 {split} images has a class"):
            build_index(Blank(labelled), "blank", entry, seed=0)
    else:
        images, _ = build_index(Blank(labelled), "blank", entry, seed=0)
        assert isinstance(images, pd.DataFrame)
