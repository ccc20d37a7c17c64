"""Pretraining by the workflow: killed and gone on with, and what a change of the configuration trains again."""

import os
import re
import signal
import subprocess
import time

import pytest
from projects import FORKSERVER, TINY, environment, make_project
from test_kills import job_process

pytestmark = pytest.mark.workflow

PRETRAINING = {
    "images": {"count": 12},
    "architecture": {
        "arguments": {"patch_size": 8, "embed_dim": 48, "num_heads": 3, "depth": 2},
        "input_size": 32,
    },
    "save_every": 10,
    "objectives": {
        "mae": {"steps": 150, "batch_size": 16},
        "supervised": {"steps": 10, "batch_size": 8},
    },
}
LINE = ("--cores", "2", "--resources", "gpu=1", "pretraining")
WEIGHTS = ("mae/encoder.safetensors", "mae/decoder.safetensors", "mae/loss.csv", "supervised/encoder.safetensors")


@pytest.fixture(scope="module")
def undisturbed(repository, tmp_path_factory):
    config = TINY | {"device": "cpu", "pretraining": PRETRAINING}
    project = make_project(repository, tmp_path_factory.mktemp("undisturbed") / "project", config)
    project.snakemake(*LINE)
    return project


def test_training_killed_ends_with_the_weights_of_an_undisturbed_run(undisturbed, repository, tmp_path):
    project = make_project(repository, tmp_path / "project", undisturbed.config())
    project.snakemake("--cores", "2", "results/pretraining/images.zarr")
    run = subprocess.Popen(
        project.command("--cores", "2", "results/pretraining/mae/card.json"),
        cwd=project.folder,
        env=environment() | FORKSERVER,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not list(project.folder.glob("results/pretraining/.partial/mae-*.pt")):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.time() < deadline, "training did not start"
        time.sleep(0.01)
    os.kill(job_process(project), signal.SIGKILL)
    assert run.wait(120) != 0
    assert not (project.folder / "results/pretraining/mae/encoder.safetensors").exists()

    project.snakemake(*LINE)
    log = (project.folder / "logs/pretrain/mae.log").read_text()
    done = int(re.search(r"resuming: (\d+) of 150 steps are done", log)[1])
    assert 0 < done < 150
    for name in WEIGHTS:
        expected = (undisturbed.folder / "results/pretraining" / name).read_bytes()
        assert (project.folder / "results/pretraining" / name).read_bytes() == expected, name
    assert (project.folder / "results/figures/loss_curves.svg").stat().st_size > 1000


def test_only_what_changed_is_trained_again(undisturbed, tmp_path):
    project = undisturbed.copy(tmp_path / "project")
    assert not project.plan("pretraining")
    config = project.config()
    config["pretraining"]["objectives"]["mae"]["learning_rate"] = 0.002
    project.write_config(config)
    trained = {"pretrain_with_decoder mae": 1, "loss_curves_figure": 1, "pretraining": 1}
    assert project.plan("pretraining") == trained
    config["pretraining"]["images"]["count"] = 13
    project.write_config(config)
    assert project.plan("pretraining") == trained | {"pretraining_images": 1, "pretrain supervised": 1}


def test_a_missing_folder_of_images_is_named(undisturbed, tmp_path):
    project = undisturbed.copy(tmp_path / "project")
    config = project.config()
    config["pretraining"]["images"]["folder"] = "nowhere"
    project.write_config(config)
    done = project.snakemake(*LINE, check=False)
    assert done.returncode != 0
    assert "pretraining.images.folder: there is no folder data/nowhere" in done.stdout
