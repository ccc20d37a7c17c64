"""Patch retrieval in real runs: on scenes that are generated, after edits, and on genuine images of FAIR1M and DOTA."""

import copy

import numpy as np
import pandas as pd
import pytest
from projects import TINY, make_project

from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

MODELS = {
    "random-vit": {
        "source": "random",
        "architecture": "vit_tiny_patch16_224",
        "input_size": 64,
        "arguments": {"patch_size": 8, "depth": 2},
        "variants": {"drop-20": {"transform": "drop-top-variance", "features": 20}},
    },
    "raw-pixels": {"source": "pixels", "patch_size": 8},
}
BOXES = {
    "adapter": "fair1m",
    "generate": {
        "generator": "aerial",
        "options": {"train": {"images": 2}, "validation": {"images": 1}, "size": 256},
    },
    "splits": {"evaluation": {"source": "train", "tiles_per_class": 2}},
    "tiling": {"size": 64, "resize": 64},
    "corruptions": ["shift", "noise"],
}
CORRUPTIONS = {"shift": {"levels": [1, 8]}, "rotate": {"levels": [10]}, "noise": {"levels": [20]}}
TABLE = "results/tables/patch_retrieval.csv"
OUTCOMES = ["same_patch", "same_class", "same_supercategory", "other_supercategory", "background"]


@pytest.fixture(scope="module")
def aerial(repository, tmp_path_factory):
    """A finished run on generated scenes from above alone."""
    config = {
        "datasets": {"aerial": BOXES},
        "models": MODELS,
        "corruptions": CORRUPTIONS,
        "patch_classification": {"bootstrap": {"resamples": 100}},
    }
    project = make_project(repository, tmp_path_factory.mktemp("aerial") / "project", config)
    project.snakemake("--cores", "2", "--config", "fork_jobs=True", "threads=1")
    return project


@pytest.fixture
def edited(aerial, tmp_path):
    """A copy of the finished run, and how to change its configuration."""
    project = aerial.copy(tmp_path / "project")
    project.snakemake("--cores", "2", "--config", "fork_jobs=True", "threads=1")

    def change(edit):
        config = copy.deepcopy(project.config())
        edit(config)
        project.write_config(config)
        return project.plan("--config", "fork_jobs=True", "threads=1")

    return change


def check_shares(rows):
    """What holds of any run: clean patches find themselves, outcomes add up, nobody is above the ceiling."""
    clean = rows[(rows["corruption"] == "clean") & (rows["method"] == "retrieval")]
    assert (clean.loc[clean["metric"] == "retrieved_same_patch", "value"] == 1).all()
    by = ["dataset", "model", "variant", "method", "corruption", "level"]
    shares = rows[rows["metric"].isin([f"retrieved_{name}" for name in OUTCOMES])].groupby(by)["value"].sum()
    assert np.allclose(shares, 1)
    wide = rows[rows["at"] == 0].pivot(index=by, columns="metric", values="value").reset_index()
    among_all = wide[wide["method"] == "retrieval"]
    assert (among_all["retrieved_same_patch"] <= among_all["ceiling"] + 1e-12).all()
    among_others = wide[wide["method"] == "retrieval-other-tiles"]
    assert (among_others["retrieved_same_class"] <= among_others["ceiling"] + 1e-12).all()
    recalls = rows[rows["metric"] == "recall"].pivot(index=by, columns="at", values="value")
    assert (recalls[5] <= recalls[10]).all()


def test_a_run_on_generated_scenes(aerial):
    rows = pd.read_csv(aerial.folder / TABLE, keep_default_na=False, na_values={"ci_low": [""], "ci_high": [""]})
    check_shares(rows)
    assert set(rows["corruption"]) == {"clean", "shift", "noise"}
    assert set(zip(rows["model"], rows["variant"], strict=True)) == {
        ("random-vit", ""),
        ("random-vit", "drop-20"),
        ("raw-pixels", ""),
    }
    # Pixels that are moved by a whole patch are the patch before, and a patch of pixels has no surroundings.
    moved = rows[(rows["corruption"] == "shift") & (rows["level"] == 8) & (rows["method"] == "retrieval")]
    pixels = moved[moved["model"] == "raw-pixels"].set_index("metric")["value"]
    assert pixels["retrieved_same_patch"] == pixels["ceiling"] > 0.9 and pixels["error_px"] == 0
    for name in ("retrieval_outcomes.aerial", "retrieval_levels.aerial", "retrieval_gallery.aerial"):
        assert (aerial.folder / f"results/figures/{name}.png").stat().st_size > 20_000
    # Analyses of label maps have no say here.
    assert not (aerial.folder / "results/tables/patch_classification.csv").exists()


def test_the_table_of_data_sets_counts_what_was_drawn(aerial):
    table = pd.read_csv(aerial.folder / "results/tables/datasets.csv", keep_default_na=False)
    index = pd.read_csv(aerial.folder / "results/aerial/images.csv", keep_default_na=False)
    assert set(index["split"]) == {"evaluation"} and index["image_id"].is_unique
    assert table["pixels"].sum() == len(index) * 64 * 64 and table["patches_8x8"].sum() == len(index) * 64
    assert table["drawn"].sum() == len(index) and table["drawn"].max() == 2
    # Every tile shows the category that it was drawn for, by its label map.
    labels = open_store(aerial.folder / "results/aerial/labels.zarr")
    ids = dict(zip(labels.attrs["class_names"], labels.attrs["class_ids"], strict=True))
    for name, tile in zip(index["drawn_for"], labels["label"].to_numpy(), strict=True):
        assert (tile == ids[name]).any()


def test_edits_compute_no_more_than_they_change(edited):
    assert edited(lambda config: config.update(seed=0)) == {}
    plan = edited(lambda config: config.update(patch_retrieval={"near": 4}))
    measured = {f"patch_retrieval aerial,{model}" for model in MODELS}
    shown = {"patch_retrieval_table", "retrieval_gallery_sheet aerial", "results_page"}
    shown |= {f"retrieval_{name}_figure aerial" for name in ("outcomes", "levels")}
    assert set(plan) == measured | shown | {f"model_table {model}" for model in MODELS}


def test_another_corruption_is_extracted_alone(edited):
    plan = edited(lambda config: config["datasets"]["aerial"].update(corruptions=["shift", "noise", "rotate"]))
    assert {job for job in plan if job.startswith(("corrupt ", "extract ", "tile ", "index "))} == {
        "corrupt aerial,rotate",
        *(f"extract aerial,{model},rotate" for model in MODELS),
    }


def test_another_number_of_tiles_draws_again_and_reads_no_boxes_anew(edited):
    plan = edited(lambda config: config["datasets"]["aerial"]["splits"]["evaluation"].update(tiles_per_class=1))
    assert "index aerial" in plan and "extract aerial,raw-pixels,clean" in plan
    assert not [job for job in plan if job.startswith(("present_classes", "generate"))]


@pytest.mark.parametrize(
    "edit, message",
    [
        ({"splits": {"evaluation": {"source": "train"}}, "corruptions": ["blurr"]}, "corruptions names 'blurr'"),
        ({"adapter": "synthetic", "generate": None}, r"splits.evaluation.tiles_per_class needs boxes"),
        ({"adapter": "synthetic", "generate": None}, r"datasets.aerial.splits.train is missing"),
        ({"tiling": {"size": 64, "image_size": [64, 64]}}, "tiling.image_size has no meaning with"),
        (
            {"splits": {"evaluation": {"source": "train", "tiles_per_class": 2, "images": 3}}},
            "splits.evaluation: images and tiles_per_class are both set; set one of them to null",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_any_job(repository, tmp_path, edit, message):
    config = {"datasets": {"aerial": BOXES | edit}, "models": MODELS, "corruptions": CORRUPTIONS}
    project = make_project(repository, tmp_path / "project", config)
    done = project.snakemake("--cores", "1", "--dry-run", check=False)
    assert done.returncode and message in done.stdout and "Traceback" not in done.stdout


def test_full_images_that_move_between_tiles_are_refused_before_any_job(repository, tmp_path):
    whole = BOXES | {"splits": {"evaluation": {"source": "train"}}}
    moving = {"shift": {"levels": [1], "apply": "image"}, "noise": {"levels": [20]}}
    config = {"datasets": {"aerial": whole}, "models": MODELS, "corruptions": moving}
    project = make_project(repository, tmp_path / "project", config)
    done = project.snakemake("--cores", "1", check=False)
    assert done.returncode and "corruptions.shift.apply moves patches of datasets.aerial" in done.stdout
    assert not (project.folder / "results/aerial").exists()


def test_genuine_images_of_fair1m_and_dota(repository, shared, tmp_path):
    size = {"tiling": {"size": 224, "resize": 64}}
    datasets = {
        "fair1m": size
        | {
            "adapter": "fair1m",
            "root": "fair1m/FAIR1M",
            "splits": {"evaluation": {"source": "train", "tiles_per_class": 1}},
        },
        "dota": size
        | {
            "adapter": "dota",
            "root": "dota/DOTA",
            "splits": {"evaluation": {"source": "all", "tiles_per_class": 4}},
            "corruptions": ["noise"],
        },
    }
    config = TINY | {"data_root": str(shared / "samples"), "datasets": datasets, "models": MODELS}
    project = make_project(repository, tmp_path / "project", config | {"corruptions": CORRUPTIONS})
    targets = [TABLE, "results/tables/datasets.csv", "results/tables/variance_overlap.csv"]
    project.snakemake("--config", "fork_jobs=True", "threads=1", "--cores", "2", *targets)
    rows = pd.read_csv(project.folder / TABLE, keep_default_na=False, na_values={"ci_low": [""], "ci_high": [""]})
    check_shares(rows)
    assert set(rows.loc[rows["dataset"] == "dota", "corruption"]) == {"clean", "noise"}
    index = pd.read_csv(project.folder / "results/fair1m/images.csv", keep_default_na=False)
    # One tile for each of the 31 categories that a tile of these images holds a third of a box of.
    assert index["drawn_for"].nunique() == len(index) == 31
    dota = pd.read_csv(project.folder / "results/dota/images.csv")
    assert np.allclose(dota["ground_sample_distance"], 0.255589285596)
    tiles = open_store(project.folder / "results/dota/tiles/clean.zarr")
    assert np.allclose(tiles["ground_sample_distance"], 0.255589285596 * 224 / 64)
    table = pd.read_csv(project.folder / "results/tables/datasets.csv", keep_default_na=False)
    assert table.loc[table["dataset"] == "fair1m", "pixels"].sum() == 31 * 224 * 224
    assert "fair1m train: subset, 14 of 16488 images" in (project.folder / "logs/index/fair1m.log").read_text()
