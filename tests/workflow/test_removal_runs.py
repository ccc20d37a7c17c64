"""Variants of positions, removal curves and their stability in real runs: what is made, what is asked for, and what an edit makes again."""

import copy

import pandas as pd
import pytest
from projects import make_project

from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

VARIANTS = {
    "position": {"transform": "drop-position", "features": 4},
    "planes": {"transform": "drop-position-planes", "features": 4},
    "means": {"transform": "drop-position-mean"},
    "norm": {"transform": "drop-norm"},
}
CONFIG = {
    "datasets": {
        "streets": {
            "adapter": "synthetic",
            "options": {"images": 4, "height": 64, "width": 128},
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val", "images": 3}},
            "tiling": {"size": 64, "resize": 64},
        }
    },
    "models": {"demo-mae": {"variants": VARIANTS}, "demo-dino": {}, "pixels": {"source": "pixels", "patch_size": 8}},
    "corruptions": {"noise": {"levels": [10]}},
    "patch_classification": {"linear": {"steps": 10}, "bootstrap": {"resamples": 100}},
    "removal_curves": {"counts": [2], "models": ["demo-mae"], "steps": 10},
    "removal_stability": {"features": 50, "directions": 4},
}
FIGURE = "results/figures/removal_curves.streets.demo-mae.svg"
TARGETS = (
    "results/tables/removal_curves.csv",
    FIGURE,
    "results/tables/removal_stability.csv",
    "results/figures/removal_blocks.streets.svg",
    *(f"results/streets/patch_classification/demo-mae@{name}.noise.parquet" for name in VARIANTS),
)
WORDS = ("--cores", "2", "--config", "fork_jobs=True", "threads=1", "--")


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory):
    made = make_project(repository, tmp_path_factory.mktemp("removal") / "project", CONFIG)
    made.snakemake(*WORDS, *TARGETS)
    return made


def test_curves_have_the_named_models_and_the_controls(project):
    rows = pd.read_csv(project.folder / TARGETS[0])
    assert set(rows["model"]) == {"demo-mae", "pixels"}
    points = {(row.variant, row.at) for row in rows[rows["model"] == "demo-mae"].fillna({"variant": ""}).itertuples()}
    counted = ("drop-top-variance", "drop-random", "drop-top-components", "drop-position", "drop-position-planes")
    assert points == {("", 0), ("drop-norm", 0), ("drop-position-mean", 0), *((name, 2) for name in counted)}
    # Raw pixels of a black image are the same everywhere.
    assert "drop-position" not in set(rows.loc[rows["model"] == "pixels", "variant"].fillna(""))


def test_a_black_image_is_seen_once_in_all_blocks(project):
    black = open_store(project.folder / "results/streets/black/demo-mae.zarr")
    clean = open_store(project.folder / "results/streets/features/demo-mae/clean.zarr")
    assert black.sizes["tile"] == 1 and black.layer.values.tolist() == clean.layer.values.tolist()
    assert black.sizes["patch"] == clean.sizes["patch"]


def test_a_variant_of_another_kind_makes_nothing_of_tokens_again(project):
    config = copy.deepcopy(CONFIG)
    config["models"]["demo-mae"]["variants"]["position"]["features"] = 5
    project.write_config(config)
    own = "results/streets/patch_classification/demo-mae@position.noise.parquet"
    jobs = set(project.plan(own))
    assert {job.split()[0] for job in jobs} == {"fit_probe", "patch_classification"}
    config["models"]["demo-mae"]["variants"] = {"less": {"transform": "drop-top-variance", "features": 5}}
    config["removal_curves"] = config["removal_stability"] = {"removals": []}
    project.write_config(config)
    # Nobody asks for a black image where no variant and no analysis is fitted on it.
    own = ("extract_black", "removal_curves", "removal_stability")
    assert not [job for job in project.plan() if job.startswith(own)]
    project.write_config(CONFIG)


def test_one_more_model_leaves_the_figures_of_others(project):
    config = copy.deepcopy(CONFIG)
    config["removal_curves"]["models"] = ["demo-mae", "demo-dino"]
    project.write_config(config)
    jobs = {job for job in project.plan(*TARGETS[:2]) if job.startswith("removal_curves")}
    assert jobs == {"removal_curves streets,demo-dino", "removal_curves_table"}
    project.write_config(CONFIG)
