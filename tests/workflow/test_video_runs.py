"""Data sets of videos in real runs: on genuine frames of BDD100K and MOT17, alone in the configuration, and after edits."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from projects import make_project

from patchprobe.datasets.index_tables import read_objects
from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

MODELS = {
    "random-vit": {
        "source": "random",
        "architecture": "vit_tiny_patch16_224",
        "input_size": 64,
        "arguments": {"patch_size": 16, "depth": 3},
    },
    "raw-pixels": {"source": "pixels", "patch_size": 16},
}
TILING = {"size": 224, "resize": 64, "image_size": [448, 896]}
DATASETS = {
    "bdd": {
        "adapter": "bdd100k",
        "root": "bdd100k",
        "splits": {"evaluation": {"source": "val", "videos": 1}},
        "tiling": TILING,
    },
    "mot": {
        "adapter": "mot17",
        "root": "MOT17",
        "options": {"frames": 3},
        "splits": {"evaluation": {"source": "train", "videos": 2}},
        "tiling": TILING,
    },
}
TABLES = ["results/bdd/objects.csv", "results/mot/objects.csv"]
QUICK = ("--config", "fork_jobs=True", "threads=1")


@pytest.fixture(scope="module")
def run(repository, shared, tmp_path_factory):
    """A finished run on a copy of the genuine frames, with nothing but videos in its configuration."""
    folder = tmp_path_factory.mktemp("videos")
    shutil.copytree(shared / "samples/bdd100k_mot/bdd100k", folder / "data/bdd100k")
    shutil.copytree(shared / "samples/mot17/MOT17", folder / "data/MOT17")
    config = {"data_root": str(folder / "data"), "datasets": DATASETS, "models": MODELS}
    project = make_project(repository, folder / "project", config)
    project.snakemake(*QUICK, "--cores", "2", "all", *TABLES)
    return project


def test_a_run_of_videos_alone(run):
    counts = pd.read_csv(run.folder / "results/tables/datasets.csv", keep_default_na=False)
    assert counts.loc[counts["dataset"] == "bdd", "pixels"].sum() == 6 * 720 * 1280
    assert counts["patches_4x4"].sum() == (6 + 6) * 8 * 16
    for name, group in (("bdd", 1), ("mot", 2)):
        index = pd.read_csv(run.folder / f"results/{name}/images.csv", keep_default_na=False)
        assert index["group"].nunique() == group and len(index) == 6
        # Nothing asks for corrupted tiles, and of clean ones the last block is stored.
        assert [path.name for path in (run.folder / f"results/{name}/tiles").glob("*.zarr")] == ["clean.zarr"]
        tokens = open_store(run.folder / f"results/{name}/features/random-vit/clean.zarr")
        assert tokens.layer.to_numpy().tolist() == [3] and set(tokens.image_id.to_numpy()) == set(index["image_id"])
    assert "mot train: subset, 5 of 7 videos, 15 of 5316 frames" in (run.folder / "logs/index/mot.log").read_text()


def test_objects_are_those_of_the_frames_drawn(run):
    table = read_objects(run.folder / "results/mot/objects.csv")
    index = pd.read_csv(run.folder / "results/mot/images.csv")
    assert set(table["image_id"]) == set(index["image_id"]) and set(table["frame"]) == {0, 1, 2}
    for video, own in table.groupby("video"):
        rows = np.loadtxt(run.folder.parent / f"data/MOT17/train/{video}/gt/gt.txt", delimiter=",")
        rows = rows[(rows[:, 0] <= 3) & (rows[:, 6] == 1) & (rows[:, 7] == 1)]
        assert sorted(zip(own["frame"] + 1, own["object_id"].astype(int), own["x1"] + 1, strict=True)) == sorted(
            map(tuple, rows[:, [0, 1, 2]])
        )
        rate = 14 if "-05-" in video else 30
        assert np.allclose(own["seconds"], own["frame"] / rate)
    table = read_objects(run.folder / "results/bdd/objects.csv")
    assert np.allclose(table["seconds"], table["frame"] / 5) and set(table["frame"]) == set(range(6))
    assert table.equals(table.sort_values(["video", "frame", "object_id"], ignore_index=True))


def test_what_changes_the_objects_makes_them_again(run, tmp_path):
    project = run.copy(tmp_path / "project")
    data = tmp_path / "data"
    shutil.copytree(run.folder.parent / "data", data)
    config = project.config() | {"data_root": str(data)}
    project.write_config(config)
    project.snakemake(*QUICK, "--cores", "2", *TABLES)
    before = {name: (project.folder / name).read_bytes() for name in TABLES}
    assert not project.plan(*QUICK, *TABLES)
    # In place, so that no folder has another time.
    path = next(iter(sorted((data / "bdd100k/labels/box_track_20/val").iterdir())))
    frames = json.loads(path.read_text())
    frames[0]["labels"][0]["box2d"]["x2"] += 1
    path.write_text(json.dumps(frames))
    assert set(project.plan(*QUICK, *TABLES)) == {"index bdd", "objects bdd"}
    info = data / "MOT17/train/MOT17-02-FRCNN/seqinfo.ini"
    info.write_text(info.read_text().replace("frameRate=30", "frameRate=25"))
    assert set(project.plan(*QUICK, *TABLES)) == {
        f"{rule} {name}" for rule in ("index", "objects") for name in ("bdd", "mot")
    }
    project.snakemake(*QUICK, "--cores", "2", *TABLES)
    assert (project.folder / TABLES[0]).read_bytes() != before[TABLES[0]]
    assert not project.plan(*QUICK, *TABLES)
    config["datasets"]["bdd"]["options"] = {"crowd": "keep"}
    project.write_config(config)
    assert set(project.plan(*QUICK, *TABLES)) == {"index bdd", "objects bdd"}


def test_a_corrupt_video_ends_the_run_with_one_message(repository, shared, tmp_path):
    shutil.copytree(shared / "samples/mot17/MOT17", tmp_path / "data/MOT17")
    (tmp_path / "data/MOT17/train/MOT17-04-FRCNN/img1/000004.jpg").unlink()
    config = {
        "data_root": str(tmp_path / "data"),
        "datasets": {"mot": DATASETS["mot"] | {"options": {}}},
        "models": MODELS,
    }
    project = make_project(repository, tmp_path / "project", config)
    done = project.snakemake(*QUICK, "--cores", "1", "results/mot/objects.csv", check=False)
    assert done.returncode and "names 1 frames of video MOT17-04-FRCNN that are not in" in done.stdout
    assert "options.frames to 3 at most" in done.stdout and "Traceback (most recent call last)" not in done.stdout


def test_only_videos_have_objects(repository, tmp_path):
    streets = {
        "adapter": "synthetic",
        "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
        "tiling": {"size": 64},
    }
    project = make_project(repository, tmp_path / "project", {"datasets": {"streets": streets}, "models": MODELS})
    done = project.snakemake("--cores", "1", "--dry-run", "results/streets/objects.csv", check=False)
    assert done.returncode and "MissingRuleException" in done.stdout
