"""A new user's folder of photographs and label maps, from the first line to tables, with nothing but YAML."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
import yaml
from PIL import Image
from projects import make_project

from patchprobe.stores.reading import open_store

pytestmark = pytest.mark.workflow

# As on the page, but for what keeps a test short.
CONFIG = """
data_root: .
datasets:
  mine:
    adapter: folders
    root: my photographs
    options:
      images: images/*
      label_maps: masks/*_mask.png
      classes: {dark: 0, bright: 7, colourful: [40, 300]}
      void: 65535
      splits: {train: 0.7, val: 0.3}
    splits: {train: {source: train}, evaluation: {source: val}}
    tiling: {size: 64, resize: 64}
models:
  raw-pixels: {source: pixels, patch_size: 8}
corruptions: {}
patch_classification: {linear: {learning_rates: [0.01], steps: 20}, bootstrap: {resamples: 100}}
removal_sweep: {features: []}
"""
LINE = ("--cores", "2", "--", "results/tables/patch_classification.csv", "results/tables/datasets.csv")
RAW = {0: 0, 7: 1, 40: 2, 300: 2, 65535: 255}


def photographs() -> list[np.ndarray]:
    """Twenty parts of two genuine photographs, 64 x 96 px."""
    first, second = sklearn.datasets.load_sample_images().images
    corners = [(top, left) for top in (60, 180) for left in range(0, 500, 100)]
    return [image[top : top + 64, left : left + 96] for image in (first, second) for top, left in corners]


def drawn(pixels: np.ndarray) -> np.ndarray:
    """A label map of a photograph, uint16: its bright, dark and colourful parts, the border void."""
    low, high = pixels.min(axis=2).astype(int), pixels.max(axis=2).astype(int)
    raw = np.where(high - low > 90, np.where(high > 200, 40, 300), np.where(high > 120, 7, 0)).astype(np.uint16)
    raw[0] = 65535
    return raw


@pytest.fixture(scope="module")
def finished_run(repository: Path, tmp_path_factory: pytest.TempPathFactory):
    project = make_project(repository, tmp_path_factory.mktemp("own") / "project", yaml.safe_load(CONFIG))
    root = project.folder / "my photographs"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    kinds = ("jpg", "JPG", "jpeg", "png", "tif")
    for number, pixels in enumerate(photographs()):
        image = Image.fromarray(pixels if number != 3 else pixels[..., 1])  # one is grey
        image.save(root / f"images/IMG {number:02}.{kinds[number % 5]}")
        Image.fromarray(drawn(pixels)).save(root / f"masks/IMG {number:02}_mask.png")
    (root / "masks/._IMG 00_mask.png").write_bytes(b"\0")
    (root / "images/Thumbs.db").write_bytes(b"\0")
    project.snakemake("--config", "fork_jobs=True", "threads=1", *LINE)
    return project


def test_every_photograph_is_used_and_its_label_map_means_what_was_drawn(finished_run):
    folder = finished_run.folder / "results/mine"
    index = pd.read_csv(folder / "images.csv", keep_default_na=False)
    assert index["split"].value_counts().to_dict() == {"train": 14, "evaluation": 6}
    assert sorted(index["image_id"]) == [f"IMG {number:02}" for number in range(20)]
    maps = {f"IMG {number:02}": drawn(pixels) for number, pixels in enumerate(photographs())}
    expected = {name: np.vectorize(RAW.get)(raw) for name, raw in maps.items()}
    classes = pd.read_csv(folder / "classes.csv").set_index(["split", "name"])["pixels"]
    for split, part in index.groupby("split"):
        pixels = np.concatenate([expected[name].ravel() for name in part["image_id"]])
        for name, number in {"dark": 0, "bright": 1, "colourful": 2, "void": 255}.items():
            assert classes[split, name] == (pixels == number).sum()
    labels = open_store(folder / "labels.zarr")
    assert labels.attrs["class_names"] == ["dark", "bright", "colourful"]
    for tile, image_id, left in zip(
        labels["tile"].values, labels["image_id"].values, labels["left"].values, strict=True
    ):
        found = labels["label"].sel(tile=tile).values
        np.testing.assert_array_equal(found, expected[str(image_id)][:, left : left + 64])


def test_tables_are_there_and_the_log_says_what_was_passed_over(finished_run):
    rows = pd.read_csv(finished_run.folder / LINE[-2], keep_default_na=False)
    accuracy = rows[(rows["metric"] == "patch_accuracy") & (rows["class"] == "")]
    assert set(accuracy["method"]) == {"1-nn", "linear"}
    assert (accuracy["value"].astype(float) > 0.5).all()  # what is drawn by colour is found by colour
    log = (finished_run.folder / "logs/index/mine.log").read_text()
    assert "masks/._IMG 00_mask.png was left behind" in log and "is a grey image" in log
    assert not finished_run.plan(*LINE)


def test_other_classes_are_labelled_again(finished_run, tmp_path):
    project = finished_run.copy(tmp_path / "project")
    config = project.config()
    options = config["datasets"]["mine"]["options"]
    options["classes"] = {"grey": [0, 7], "colourful": [300, 40]}
    project.write_config(config)
    assert {"index mine", "label mine"} <= set(project.plan(*LINE))
    before = pd.read_csv(project.folder / "results/mine/classes.csv").set_index(["split", "name"])["pixels"]
    project.snakemake("--cores", "2", "--", "results/mine/labels.manifest.json")
    after = pd.read_csv(project.folder / "results/mine/classes.csv").set_index(["split", "name"])["pixels"]
    for split in ("train", "evaluation"):
        assert after[split, "grey"] == before[split, "dark"] + before[split, "bright"]
        assert after[split, "colourful"] == before[split, "colourful"]
    # The order of keys and of a list's raw ids means nothing.
    options["classes"] = {"colourful": [300, 40], "grey": [0, 7]}
    project.write_config(config, sort_keys=True)
    assert not project.plan("results/mine/labels.manifest.json")


def test_an_edited_list_makes_its_splits_again(finished_run, tmp_path):
    project = finished_run.copy(tmp_path / "project")
    config = project.config()
    config["datasets"]["mine"]["options"]["splits"] = {"train": "train.txt", "val": "val.txt"}
    project.write_config(config)
    root = project.folder / "my photographs"
    names = [f"IMG {number:02}" for number in range(20)]
    (root / "train.txt").write_text("\n".join(names[:12]))
    (root / "val.txt").write_text("\n".join(names[12:]))
    index = "results/mine/images.csv"
    project.snakemake("--cores", "2", "--", index)
    assert not project.plan(index)
    (root / "val.txt").write_text("\n".join(names[13:]))  # in place, so that no folder has another time
    assert project.plan(index) == {"index mine": 1}
    project.snakemake("--cores", "2", "--", index)
    assert (pd.read_csv(project.folder / index)["split"] == "evaluation").sum() == 7


def test_odd_files_and_options_end_the_run_by_name(finished_run, tmp_path):
    project = finished_run.copy(tmp_path / "project")
    masks = project.folder / "my photographs/masks"
    victim = masks / "IMG 07_mask.png"
    pixels = np.full((64, 96, 3), (220, 20, 60), np.uint8)
    Image.fromarray(pixels).save(victim)
    (masks / "IMG 08_mask.png").unlink()
    done = project.snakemake(*LINE, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "images/IMG 08.png has no label map" in done.stdout and "masks/IMG 08_mask.png: copy it there" in done.stdout
    Image.fromarray(np.full((64, 96), 9, np.uint8)).save(masks / "IMG 08_mask.png")
    done = project.snakemake(*LINE, check=False)
    assert "IMG 07_mask.png has pixel format 'RGB'" in done.stdout
    assert "IMG 08_mask.png holds ids that are neither classes nor void: 9 at 6144 pixels" in done.stdout
    config = project.config()
    for changes, message in (
        ({"image": "x"}, "unknown key datasets.mine.options.image: did you mean datasets.mine.options.images?"),
        ({"classes": {"dark": None, "bright": 1}}, "key datasets.mine.options.classes.dark: None is not of type"),
    ):
        other = {**config, "datasets": {"mine": {**config["datasets"]["mine"], "options": dict(changes)}}}
        project.write_config(other)
        done = project.snakemake("--cores", "2", "--dry-run", check=False)
        assert done.returncode != 0 and message in done.stdout
