"""A whole run on genuine images of Cityscapes and ADE20K, without pretrained weights."""

import numpy as np
import pandas as pd
import pytest
from cityscapes_evaluator import official_scores
from projects import make_project

from patchprobe.stores.reading import open_store
from patchprobe.tiles.patches import paint

pytestmark = pytest.mark.workflow

CONFIG = {
    "datasets": {
        "cityscapes": {
            "adapter": "cityscapes",
            "root": "cityscapes",
            "splits": {"train": {"source": "train", "images": 3}, "evaluation": {"source": "train", "images": 2}},
            "tiling": {"size": 256, "resize": 64},
        },
        "ade20k": {
            "adapter": "ade20k",
            "root": "ade20k/ADEChallengeData2016",
            "splits": {
                "train": {"source": "validation", "images": 2},
                "evaluation": {"source": "validation", "images": 1},
            },
            "tiling": {"size": 224, "resize": 64, "image_size": [448, 672]},
        },
    },
    "models": {
        "random-vit": {"source": "random", "architecture": "vit_tiny_patch16_224", "input_size": 64},
        "raw-pixels": {"source": "pixels", "patch_size": 16},
    },
    "corruptions": {},
    "extraction": {"layers": {"clean": "last"}},
    "patch_classification": {"linear": {"learning_rates": [0.01], "steps": 100}, "bootstrap": {"resamples": 100}},
    "removal_sweep": {"features": []},
}
TARGETS = [
    "results/tables/patch_classification.csv",
    "results/tables/datasets.csv",
    "results/figures/segmentations.ade20k.png",
]


@pytest.fixture(scope="module")
def run(repository, shared, tmp_path_factory):
    config = CONFIG | {"data_root": str(shared / "samples")}
    project = make_project(repository, tmp_path_factory.mktemp("samples") / "project", config)
    project.snakemake("--config", "fork_jobs=True", "threads=1", "--cores", "2", *TARGETS)
    return project


def test_images_and_tiles(run):
    for dataset, images, tiles in (("cityscapes", 5, 32), ("ade20k", 3, 6)):
        index = pd.read_csv(run.folder / f"results/{dataset}/images.csv", keep_default_na=False)
        assert index["image_id"].is_unique and len(index) == images
        store = open_store(run.folder / f"results/{dataset}/tiles/clean.zarr")
        assert store["image"].shape == (1, images * tiles, 64, 64, 3)
        split = dict(zip(index["image_id"], index["split"], strict=True))
        assert [split[i] for i in store["image_id"].values.tolist()] == store["split"].values.tolist()
    sizes = set(zip(index["width"], index["height"], strict=True))
    assert sizes == {(683, 512), (500, 364), (400, 300)}
    log = (run.folder / "logs/index/ade20k.log").read_text()
    assert "ade20k validation: subset, 3 of 2000 images" in log


def test_every_score_is_there(run):
    rows = pd.read_csv(run.folder / TARGETS[0], keep_default_na=False, na_values={"value": [""]})
    miou = rows[rows["metric"] == "pixel_miou"]
    assert sorted(zip(miou["dataset"], miou["model"], miou["method"], strict=True)) == [
        (dataset, model, method)
        for dataset in ("ade20k", "cityscapes")
        for model in ("random-vit", "raw-pixels")
        for method in ("1-nn", "linear")
    ]
    assert miou["value"].between(0, 1, inclusive="neither").all()


@pytest.mark.parametrize("method", ["1-nn", "linear"])
@pytest.mark.parametrize("model", ["random-vit", "raw-pixels"])
def test_scores_are_those_of_cityscapesscripts(run, tmp_path, model, method):
    rows = pd.read_csv(run.folder / TARGETS[0], keep_default_na=False, na_values={"value": [""]})
    rows = rows[(rows["dataset"] == "cityscapes") & (rows["model"] == model) & (rows["method"] == method)]
    predictions = open_store(run.folder / f"results/cityscapes/predictions/{model}/clean.zarr").isel(level=0)
    truth = open_store(run.folder / "results/cityscapes/labels.zarr")
    maps = truth["label"].sel(tile=predictions["tile"].values).values
    ids = predictions["prediction"].sel({"method": method}).values
    mean, by_class = official_scores(paint(ids.reshape(-1, 4, 4), maps.shape[1:]), maps, tmp_path)
    assert rows.loc[rows["metric"] == "pixel_miou", "value"].tolist() == pytest.approx([mean], rel=1e-9)
    ours = rows[rows["metric"] == "pixel_iou"].set_index("class")["value"]
    assert sorted(ours.index) == sorted(by_class)
    np.testing.assert_allclose(ours[list(by_class)], list(by_class.values()), rtol=1e-9)
    assert np.isfinite(ours).sum() > 10


def test_images_are_listed_with_the_class_they_were_drawn_for(run, tmp_path):
    """On drawn scenes, since the samples are too few for a draw for each class."""
    run = run.copy(tmp_path / "project")
    config = run.config()
    splits = {"train": {"source": "train", "per_class": 2}, "evaluation": {"source": "val", "images": 2}}
    options = {"images": 24, "height": 64, "width": 128}
    tiling = {"size": 64, "resize": 32}
    config["datasets"] = {"streets": {"adapter": "synthetic", "options": options, "splits": splits, "tiling": tiling}}
    run.write_config(config)
    run.snakemake("--cores", "2", "results/streets/images.csv")
    index = pd.read_csv(run.folder / "results/streets/images.csv", keep_default_na=False)
    shown = pd.read_csv(run.folder / "results/streets/present_classes/train.csv").set_index("image_id")["classes"]
    classes = pd.read_csv(run.folder / "results/streets/classes.csv")
    ids = dict(zip(classes["name"], classes["id"], strict=True))
    train = index[index["split"] == "train"]
    occurring = {int(i) for text in shown for i in text.split()}
    assert {ids[name]: n for name, n in train["drawn_for"].value_counts().items()} == dict.fromkeys(occurring, 2)
    for image_id, name in zip(train["image_id"], train["drawn_for"], strict=True):
        assert str(ids[name]) in shown[image_id].split()
    assert set(index.loc[index["split"] == "evaluation", "drawn_for"]) == {""}
    assert not run.plan("results/streets/images.csv")
