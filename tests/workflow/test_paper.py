"""The configuration of the paper on a machine without data and weights, and models that come from the registry."""

import re
import shutil

import pytest
import yaml
from projects import TINY, make_project
from test_staleness import FINAL, chain, computed

from patchprobe.models.registered import registered_model
from patchprobe.tiles.tiling import Tiling

pytestmark = pytest.mark.workflow

PAPER = ["supervised", "dino", "dinov2", "ibot", "mae", "simmim", "scalemae"]
CONTROLS = ["random-vit", "raw-pixels"]
VERSIONS = ["clean", "blur", "noise", "band-noise", "shift", "rotate", "scale"]


@pytest.fixture
def empty(repository, tmp_path):
    """The project without data, weights and results."""
    return make_project(repository, tmp_path / "project", TINY)


def test_paper_resolves_without_data_and_weights(empty):
    jobs = empty.plan("--configfile", "config/paper.yaml")
    assert jobs.total() < 1500
    for dataset in ["cityscapes", "ade20k"]:
        for model in PAPER:
            assert jobs[f"inspect_model {dataset},{model}"] == jobs[f"model_table {model}"] == 1
            for version in VERSIONS:
                assert jobs[f"extract {dataset},{model},{version}"] == 1
        for model in ["mae", "simmim", "scalemae"]:
            for variant in ["drop-200", "junk", "random-200", "batch-norm", "centre", "pca-whiten"]:
                for version in VERSIONS:
                    assert jobs[f"patch_classification {dataset},{model}@{variant},{version}"] == 1
        seen = {job for job in jobs if job.startswith(f"extract_full_images {dataset},")}
        assert seen == {f"extract_full_images {dataset},{model}" for model in ("dino", "mae")}
        having = {job for job in jobs if job.startswith(f"reconstruct {dataset},")}
        assert having == {f"reconstruct {dataset},{model}" for model in ("mae-visualize", "simmim")}
    # The third has boxes alone: it is retrieved from, in the paper's transformations.
    for model in PAPER:
        assert jobs[f"patch_retrieval fair1m,{model}"] == 1
        versions = {job.rpartition(",")[2] for job in jobs if job.startswith(f"extract fair1m,{model},")}
        assert versions == {"clean", "blur", "noise", "shift", "rotate", "scale"}
    assert not [job for job in jobs if job.startswith(("fit_probe fair1m", "patch_classification fair1m"))]
    # Data sets share features of high variance, or not.
    assert all(jobs[f"variance_overlap {model}"] == 1 for model in PAPER) and jobs["variance_overlap_table"] == 1
    # Only a draw for each class reads all label maps of a split, or all its boxes; of whole images it reads their headers.
    reading = {job for job in jobs if job.startswith("present_classes ")}
    whole = {"present_classes ucmerced,all", "present_classes resisc45,all"}
    assert reading == {"present_classes ade20k,training", "present_classes fair1m,train"} | whole
    # Whole images are seen by all that can see other sizes, and nothing else is asked of them.
    for dataset in ["ucmerced", "resisc45"]:
        seen = {job for job in jobs if job.startswith(f"extract_image_features {dataset},")}
        assert seen == {f"extract_image_features {dataset},{model}" for model in {*PAPER, *CONTROLS} - {"simmim"}}
        assert not [job for job in jobs if job.startswith(f"extract {dataset},")]


def test_the_dry_run_of_the_paper_names_its_tables_and_figures(empty):
    said = empty.snakemake("--dry-run", "--quiet", "all", "--configfile", "config/paper.yaml", "all").stdout
    named = dict(re.findall(r"^of the paper, (.*?): (.*)$", said, re.M))
    numbers = {f"table {n}" for n in (2, 3, 4, 5, 6)} | {f"figure {n}" for n in (8, 12, 13)} | {"figures 5, 6 and 11"}
    assert numbers <= named.keys()
    assert "results/figures/tracking_full_frames.bdd100k.svg" in named["figure 12"]
    assert "results/figures/image_knn.resisc45.svg" in named["figure 8"]
    assert "results/tables/reconstruction.csv" in named["table 4"]


@pytest.mark.parametrize("name", ["config", "camvid", "pretrain"])
def test_other_configurations_resolve_without_data_and_weights(repository, empty, name):
    shutil.copy2(repository / f"config/{name}.yaml", empty.folder / "config")
    models = yaml.safe_load((repository / f"config/{name}.yaml").read_text())["models"]
    jobs = empty.plan("--configfile", f"config/{name}.yaml")
    assert models and all(jobs[f"model_table {model}"] == 1 for model in models)


def test_paper_takes_its_images_and_tiles(repository):
    datasets = yaml.safe_load((repository / "config/paper.yaml").read_text())["datasets"]
    data = datasets["cityscapes"]
    assert data["splits"]["train"] == {"source": "train", "per_group": 4}
    assert data["splits"]["evaluation"] == {"source": "val", "per_group": 10}
    assert data["tiling"] == {"size": 256, "resize": 224}
    data = datasets["ade20k"]
    assert data["splits"]["train"] == {"source": "training", "per_class": 4}
    assert data["splits"]["evaluation"] == {"source": "validation", "images": 300}
    six = Tiling(**data["tiling"]).corners(512, 683)
    assert six == [(top, left) for top in (0, 224) for left in (0, 224, 448)]
    assert data["tiling"]["size"] == data["tiling"]["resize"] == 224
    for name, each in {"ucmerced": 20, "resisc45": 140}.items():
        data = datasets[name]
        assert data["splits"] == {"evaluation": {"source": "all", "per_class": each}, "train": {"source": "all"}}
        assert data["tiling"] == {"size": 256, "resize": 256, "image_size": [256, 256]}
    data = datasets["fair1m"]
    assert data["splits"] == {"evaluation": {"source": "train", "tiles_per_class": 8}}
    assert data["tiling"] == {"size": 224, "resize": 224}


def test_ground_sample_distance_that_is_missing_ends_the_run_before_any_job(empty):
    config = empty.config()
    config["models"]["scalemae"] = {"ground_sample_distance": "sensor"}
    empty.write_config(config)
    done = empty.snakemake("--cores", "1", "--dry-run", check=False)
    assert done.returncode != 0
    assert "give datasets.streets.ground_sample_distance" in done.stdout
    assert "models.scalemae.ground_sample_distance" in done.stdout


def test_unknown_model_of_the_registry_ends_the_run_before_any_job(empty):
    config = empty.config()
    config["models"]["mine"] = {"registry": "dinov22"}
    empty.write_config(config)
    done = empty.snakemake("--cores", "1", "--dry-run", check=False)
    assert done.returncode != 0
    assert "key models.mine.registry is 'dinov22'" in done.stdout and "did you mean dinov2?" in done.stdout


def test_values_count_and_not_where_they_come_from(project):
    facts = {field: getattr(registered_model("dino"), field) for field in registered_model("dino").__dataclass_fields__}
    entry = project.config()["models"]["pixels-a"]
    content = {"model": {**facts, "quirks": []}, "entry": entry}
    del content["model"]["entry"]
    file = project.folder / "src/patchprobe/models/registry/pixels-a.yaml"
    file.write_text(yaml.safe_dump(content))
    config = project.config()
    config["models"]["pixels-a"] = {}
    project.write_config(config)
    assert not project.plan()
    content["entry"]["patch_size"] = 4
    file.write_text(yaml.safe_dump(content))
    assert computed(project.plan()) == chain("pixels-a") | FINAL


def test_ground_sample_distance_concerns_only_models_that_use_it(project):
    config = project.config()
    config["datasets"]["streets"]["ground_sample_distance"] = 2.0
    project.write_config(config)
    assert not project.plan()
