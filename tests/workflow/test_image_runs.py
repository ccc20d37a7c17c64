"""Data sets of images with a class each in real runs: genuine images with real weights, alone in the configuration, and after edits."""

import json
import shutil

import pandas as pd
import pytest
from projects import make_project

from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

WHOLE = {"size": 256, "resize": 56, "image_size": [256, 256]}
SPLITS = {"evaluation": {"source": "all", "per_class": 3}, "train": {"source": "all"}}
CONFIG = {
    "datasets": {
        "land": {
            "adapter": "ucmerced",
            "root": "UCMerced_LandUse",
            "splits": SPLITS,
            "tiling": WHOLE,
            "ground_sample_distance": 0.3048,
        },
        "scenes": {
            "adapter": "resisc45",
            "root": "NWPU-RESISC45",
            "splits": {"evaluation": {"source": "all", "per_group": 15}, "train": {"source": "all"}},
            "tiling": WHOLE,
        },
    },
    "models": {
        "vit-s": {
            "source": "timm",
            "architecture": "vit_small_patch14_dinov2.lvd142m",
            "checkpoint": "vit_small_patch14_dinov2_saliency.safetensors",
            "position_embedding": "dino",
            "variants": {"less": {"transform": "drop-top-variance", "features": 20}},
        },
        "random-vit": {
            "source": "random",
            "architecture": "vit_tiny_patch16_224",
            "arguments": {"patch_size": 14, "depth": 2},
        },
        "raw-pixels": {"source": "pixels", "patch_size": 14},
        "left-out": {"source": "pixels", "patch_size": 7},
    },
    "image_knn": {
        "models": ["vit-s", "random-vit", "raw-pixels"],
        "relative_sizes": [0.25, 0.5, 1.0],
        "k": 3,
        "steps": 30,
    },
    "patch_classification": {
        "linear": {"learning_rates": [0.01], "weight_decays": [0.0]},
        "bootstrap": {"resamples": 100},
    },
}
QUICK = ("--config", "fork_jobs=True", "threads=1")
MODELS = ("random-vit", "raw-pixels", "vit-s")


@pytest.fixture(scope="module")
def run(repository, shared, tmp_path_factory):
    """A finished run on a copy of the genuine images, with nothing but whole images in its configuration."""
    folder = tmp_path_factory.mktemp("images")
    shutil.copytree(shared / "samples/ucmerced/UCMerced_LandUse", folder / "data/UCMerced_LandUse")
    shutil.copytree(shared / "samples/resisc45/NWPU-RESISC45", folder / "data/NWPU-RESISC45")
    roots = {"data_root": "../data", "checkpoint_root": str(shared / "weights")}
    project = make_project(repository, folder / "project", CONFIG | roots)
    project.snakemake(*QUICK, "--cores", "2", "all")
    return project


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the finished run with images of its own, which a test may change."""
    project = run.copy(tmp_path / "project")
    shutil.copytree(run.folder.parent / "data", tmp_path / "data")
    assert not project.plan(*QUICK, "all")
    return project


def test_a_run_of_whole_images_alone(run):
    results = run.folder / "results"
    rows = pd.read_csv(results / "tables/image_knn.csv", keep_default_na=False)
    assert (rows["metric"] == "image_accuracy").all() and set(rows["at"]) == {0.25, 0.5, 1.0}
    assert rows.groupby("dataset")["n"].unique().map(list).to_dict() == {"land": [63], "scenes": [30]}
    # Four ways on two pooled features, of pixels on one, at three sizes; a variant of one model.
    assert rows.groupby(["dataset", "model", "variant"]).size().to_dict() == {
        (dataset, model, variant): 3 * 4 * (1 if model == "raw-pixels" else 2)
        for dataset in ("land", "scenes")
        for model, variant in (("random-vit", ""), ("raw-pixels", ""), ("vit-s", ""), ("vit-s", "less"))
    }
    # Trained weights tell 21 classes apart from the whole image; chance is 0.048.
    best = rows[(rows["dataset"] == "land") & (rows["at"] == 1) & (rows["method"] == "linear-cls")]
    values = best.set_index(["model", "variant"])["value"]
    assert values["vit-s", ""] > 0.25 and values["vit-s", ""] > values["random-vit", ""]
    made = {path.name for path in (results / "tables").glob("[!.]*")}
    assert made == {f"{name}.{suffix}" for name in ("datasets", "image_knn") for suffix in ("csv", "md", "tex", "html")}
    figures = {path.name for path in (results / "figures").glob("[!.]*")}
    assert figures == {f"image_knn.{name}.{suffix}" for name in ("land", "scenes") for suffix in ("svg", "png")}
    assert [path.name for path in (results / "pages").glob("[!.]*")] == ["results.html"]
    assert {path.stem for path in (results / "models").glob("[!.]*")} == set(MODELS)


def test_tokens_are_not_stored_and_images_are_of_one_size(run):
    results = run.folder / "results/land"
    assert sorted(path.name for path in (results / "features").rglob("*") if path.is_file()) == ["card.json"] * 3
    assert [path.name for path in (results / "tiles").glob("*.zarr")] == ["clean.zarr"]
    index = pd.read_csv(results / "images.csv")
    assert ((index["height"] != 256) | (index["width"] != 256)).sum() == 3
    tiles = open_store(results / "tiles/clean.zarr")
    assert tiles["image"].shape == (1, 147, 56, 56, 3)
    features = open_store(results / "image_features/vit-s.zarr")
    assert features["cls"].shape == (3, 147, 384) and features["side"].values.tolist() == [14, 28, 56]
    card = json.loads((results / "image_features/vit-s.card.json").read_text())
    assert [one["side"] for one in card["settings"]] == [14, 28, 56]
    assert set(index.loc[index["split"] == "train", "image"]).isdisjoint(index.loc[index["split"] != "train", "image"])


def test_the_table_of_data_sets_counts_images_and_no_patches(run):
    table = pd.read_csv(run.folder / "results/tables/datasets.csv", keep_default_na=False)
    assert not [column for column in table.columns if column.startswith("patches")]
    land = table[(table["dataset"] == "land") & (table["name"] != "void")].pivot(index="name", columns="split")
    assert (land["images"]["evaluation"] == 3).all() and (land["images"]["train"] == 4).all() and len(land) == 21


def test_nothing_more_is_computed_than_an_edit_needs(copied):
    config = copied.config()

    def planned(**edits):
        copied.write_config(config | {"image_knn": config["image_knn"] | edits})
        return set(copied.plan(*QUICK, "all"))

    measured = {f"image_knn {dataset},{model}" for dataset in ("land", "scenes") for model in MODELS}
    shown = {"image_knn_table", *(f"image_knn_figure {name}" for name in ("land", "scenes"))}
    shown |= {"results_page", *(f"model_table {model}" for model in MODELS)}
    assert planned(k=4) == measured | shown == planned(steps=31)
    settings = {
        f"{rule} {dataset},{model}"
        for rule in ("inspect_image_features", "extract_image_features")
        for dataset in ("land", "scenes")
        for model in MODELS
    }
    assert planned(relative_sizes=[0.5, 1.0]) == settings | measured | shown
    # One model more: its own jobs, and what shows all.
    more = planned(models=[*MODELS, "left-out"])
    own = {job for job in more if job.endswith("left-out")}
    assert more - own == {
        "image_knn_table",
        "results_page",
        *(f"image_knn_figure {name}" for name in ("land", "scenes")),
    }
    assert own == {
        f"{rule} {dataset},left-out"
        for rule in ("inspect_model", "inspect_image_features", "extract_image_features", "image_knn")
        for dataset in ("land", "scenes")
    } | {"model_table left-out"}


def test_an_image_more_concerns_its_data_set_alone(copied):
    beach = copied.folder.parent / "data/UCMerced_LandUse/Images/beach"
    shutil.copy2(beach / "beach00.tif", beach / "beach99.tif")
    plan = copied.plan(*QUICK, "all")
    assert plan["index land"] == plan["present_classes land,all"] == 1 and not plan["index scenes"]
    copied.snakemake(*QUICK, "--cores", "2", "all")
    index = pd.read_csv(copied.folder / "results/land/images.csv")
    assert len(index) == 148 and (index["split"] == "evaluation").sum() == 63
    assert not copied.plan(*QUICK, "all")
    rows = pd.read_csv(copied.folder / "results/tables/image_knn.csv")
    assert len(rows) == 2 * (3 * 24 + 12)


def test_what_is_wrong_ends_the_run_before_anything_is_extracted(repository, shared, tmp_path):
    shutil.copytree(shared / "samples/ucmerced/UCMerced_LandUse", tmp_path / "data/UCMerced_LandUse")
    images = tmp_path / "data/UCMerced_LandUse/Images"
    (images / "palace").mkdir()
    models = {"raw-pixels": CONFIG["models"]["raw-pixels"]}
    config = CONFIG | {"datasets": {"land": CONFIG["datasets"]["land"]}, "models": models}
    config |= {"image_knn": {"models": ["raw-pixels"]}, "data_root": str(tmp_path / "data")}
    project = make_project(repository, tmp_path / "project", config)

    def said():
        done = project.snakemake(*QUICK, "--cores", "2", "all", check=False)
        assert done.returncode and "Traceback (most recent call last)" not in done.stdout
        return done.stdout + "".join(path.read_text() for path in sorted((project.folder / "logs").rglob("*.log")))

    assert "palace is none of the 21 classes" in said()
    (images / "palace").rmdir()
    file = images / "river/river00.tif"
    file.write_bytes(file.read_bytes()[:1000])
    assert "river00.tif cannot be decoded" in said()
    shutil.copy2(shared / "samples/ucmerced/UCMerced_LandUse/Images/river/river00.tif", file)
    architecture = {"source": "random", "architecture": "beit_base_patch16_224", "input_size": 32}
    fixed = architecture | {"arguments": {"embed_dim": 48, "depth": 1, "num_heads": 3}}
    project.write_config(config | {"models": models | {"fixed": fixed}, "image_knn": {"models": ["fixed"]}})
    assert "image_knn.models: fixed cannot see images of 16 x 16 px: name the other models there" in said()
    assert not (project.folder / "results/land/image_features/fixed.zarr").exists()
