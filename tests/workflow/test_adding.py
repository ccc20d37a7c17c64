"""The examples of the pages about adding something, copied into a finished project and run."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from sklearn.neighbors import NearestCentroid

from patchprobe import measurements
from patchprobe.stores.reading import open_store
from patchprobe.tokens.labelled import labelled_tokens

pytestmark = pytest.mark.workflow


def copy_files(repository, project, page):
    page = (repository / "docs" / page).read_text()
    files = re.findall(r"^`(src/\S+)`\n\n```\w+\n(.*?)^```", page, re.M | re.S)
    for name, content in files:
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return [name for name, _ in files]


def copy_analysis(repository, project):
    files = copy_files(repository, project, "adding-an-analysis.md")
    path = project.folder / "src/patchprobe/measurements.schema.json"
    schema = json.loads(path.read_text())
    schema["properties"]["method"]["enum"].append("class-means")
    schema["x-methods"]["class-means"] = {"title": "class means"}
    path.write_text(json.dumps(schema))
    return files


def test_the_example_is_found_runs_alone_and_is_right(repository, project):
    assert len(copy_analysis(repository, project)) == 5
    models = ("pixels-a", "pixels-b")
    expected = {f"class_means streets,{model}" for model in models} | {f"model_table {model}" for model in models}
    assert set(project.plan()) == expected | {"class_means_table", "results_page"}
    project.snakemake("--cores", "2", "--", "results/tables/class_means.csv")
    text = (project.folder / "results/tables/class_means.md").read_text()
    assert "streets: accuracy over patches by class means, class means" in text

    folder = project.folder / "results/streets"
    tokens, labels = open_store(folder / "features/pixels-b/clean.zarr"), open_store(folder / "labels.zarr")
    training, evaluation = (labelled_tokens(tokens, labels, split) for split in ("train", "evaluation"))
    known = NearestCentroid().fit(training.tokens.astype(np.float64), training.ids)
    accuracy = float((known.predict(evaluation.tokens.astype(np.float64)) == evaluation.ids).mean())
    # This process has the schema without the method, which reading does not look at.
    rows = measurements.read([folder / "class_means/pixels-b.parquet"]).set_index(["metric", "class"])
    assert rows.loc[("patch_accuracy", ""), "value"] == pytest.approx(accuracy)


def test_an_incomplete_folder_is_named_before_the_first_job(repository, project):
    copy_analysis(repository, project)
    (project.folder / "src/patchprobe/analyses/class_means/report.py").unlink()
    done = project.snakemake("--cores", "2", "--dry-run", "all", check=False)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert "class_means/report.py has no function table, which the declaration or a caption names" in done.stdout


def test_inputs_that_nothing_makes_are_named_in_a_finished_run_too(repository, project):
    """Snakemake would take the results for sources then, and call them up to date whatever was edited."""
    path = project.folder / "src/patchprobe/analyses/declaring.py"
    text = path.read_text()
    path.write_text(text.replace("/features/{model}/clean.zarr", "/features/{model}/clear.zarr"))
    for words in (["all"], ["results/tables/layers.csv"], ["results/models/pixels-a.csv"]):
        done = project.snakemake("--cores", "2", "--dry-run", "--", *words, check=False)
        assert done.returncode != 0 and "Nothing to be done" not in done.stdout
        assert "is there, and nothing can make it any more: results/streets/tiles/clear.zarr is missing" in done.stdout
    path.write_text(text)
    assert not project.plan()


def test_the_corruption_runs_alone_and_does_what_it_says(repository, project):
    assert len(copy_files(repository, project, "adding-a-corruption.md")) == 2
    assert not project.plan()
    config = project.config()
    config["corruptions"]["haze"] = {"levels": [0.5]}
    project.write_config(config)
    expected = {"corrupt streets,haze"} | {f"extract streets,pixels-{x},haze" for x in "ab"}
    expected |= {f"patch_classification streets,{view},haze" for view in ("pixels-a", "pixels-a@no-top-20", "pixels-b")}
    computed = {job for job in project.plan() if not job.split()[0].endswith(("_figure", "_table", "_sheet", "_page"))}
    assert computed == expected
    project.snakemake("--cores", "2", "--", "results/streets/tiles/haze.manifest.json")
    clean, haze = (
        open_store(project.folder / f"results/streets/tiles/{name}.zarr").image for name in ("clean", "haze")
    )
    evaluated = clean.sel(tile=haze.tile.values).values[0].astype(float)
    # Corrupted before tiles are cut and resized, so rounding and resizing come after.
    assert np.abs(haze.values[0] - (evaluated * 0.5 + 127.5)).max() <= 2


def test_the_objective_is_trained_alone(repository, project):
    assert len(copy_files(repository, project, "adding-an-objective.md")) == 1
    assert not project.plan()
    config = project.config()
    arguments = {"patch_size": 8, "embed_dim": 48, "num_heads": 3, "depth": 2}
    objectives = {"rotation": {"steps": 20, "batch_size": 8}, "mae": {"steps": 20, "batch_size": 8}}
    architecture = {"arguments": arguments, "input_size": 32}
    config["pretraining"] = {"images": {"count": 8}, "architecture": architecture, "objectives": objectives}
    project.write_config(config)
    target = "results/pretraining/rotation/card.json"
    assert set(project.plan(target)) == {"pretraining_images", "pretrain rotation"}
    project.snakemake("--cores", "2", "--resources", "gpu=1", "--", target)
    losses = pd.read_csv(project.folder / "results/pretraining/rotation/loss.csv")["loss"]
    # Four equal odds, before anything is learnt.
    assert losses.iloc[0] == pytest.approx(np.log(4), abs=0.4)
    weights = safetensors.numpy.load_file(project.folder / "results/pretraining/rotation/encoder.safetensors")
    assert weights["patch_embed.proj.weight"].shape == (48, 3, 8, 8)
