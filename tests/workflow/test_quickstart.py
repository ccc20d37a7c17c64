"""config/quickstart.yaml against a local server: genuine pictures of CamVid, and the models' files, smaller and filled by a rule.

What is changed of the configuration is how large things are, and where they come from.
"""

import hashlib
import io
import os
import random
import signal
import subprocess

import pandas as pd
import pytest
import torch
import yaml
from archives import camvid
from breaking_server import Server
from projects import FORKSERVER, environment, make_project
from serving import serving

pytestmark = pytest.mark.workflow

REDUCED = {"embed_dim": 48, "depth": 3, "num_heads": 3}
FILES = {
    "supervised": ("vit_b_16-c867db91.pth", "torchvision_vit_b_16", "primary"),
    "dino": ("dino_vitbase16_pretrain.pth", "dino_vitb16", "primary"),
    "dinov2": ("dinov2_vitb14_pretrain.pth", "dinov2_vitb14", "primary"),
    "mae": ("mae_pretrain_vit_base.pth", "mae_vitb16", "encoder_only"),
}


def tensors(part):
    return {key: tensors(value) if isinstance(value, dict) else torch.from_numpy(value) for key, value in part.items()}


@pytest.fixture(scope="module")
def served(shared, fill):
    """All files that the configuration fetches, by name."""
    files = dict([camvid(shared)])
    for name, folder, variant in FILES.values():
        buffer = io.BytesIO()
        torch.save(tensors(fill.checkpoint(fill.load_spec(folder), variant, "reduced")), buffer)
        files[name] = buffer.getvalue()
    return files


@pytest.fixture
def server(served, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving(Server(served)) as server:
        yield server


def smaller(config, served, port):
    """The configuration with fewer pictures and steps, and networks of three blocks of 48 features."""
    splits = config["datasets"]["camvid"]["splits"]
    splits["train"]["images"], splits["evaluation"]["images"] = 4, 3
    for name in (*FILES, "random-vit"):
        config["models"][name]["arguments"] = REDUCED
    config["models"]["supervised"]["sha256"] = hashlib.sha256(served[FILES["supervised"][0]]).hexdigest()
    config["models"]["mae"]["md5"] = hashlib.md5(served[FILES["mae"][0]]).hexdigest()[:6]
    for variant in config["models"]["mae"]["variants"].values():
        variant["features"] = 12
    config["patch_classification"]["linear"]["steps"] = 20
    config["removal_sweep"] |= {"features": [0, 12], "steps": 10}
    config["training_size"] = {"shares": [0.5, 1.0], "steps": 10}
    config["global_context"]["features"] = 12
    return config | {"mirror": f"http://127.0.0.1:{port}/files"}


def test_ends_with_its_report_and_the_same_bytes_after_three_kills(repository, tmp_path, served, server):
    config = yaml.safe_load((repository / "config/quickstart.yaml").read_text())
    config = smaller(config, served, server.server_port)
    whole = make_project(repository, tmp_path / "whole", config)
    whole.snakemake("--cores", "2", "all")
    assert {path.rpartition("/")[2] for path, _ in server.asked} == set(served)
    whole.snakemake("--report", "results/report.zip")
    assert (whole.folder / "results/report.zip").stat().st_size > 100_000
    scores = pd.read_csv(whole.folder / "results/tables/patch_classification.csv", keep_default_na=False)
    assert set(scores["model"]) == {*FILES, "random-vit", "raw-pixels"}
    assert set(scores.loc[scores["model"] == "mae", "variant"]) == {"", "drop-200", "junk"}
    assert not whole.plan("all")

    # The tables alone, which all downloads and most jobs are needed for.
    tables = ["results/tables/patch_classification.csv", "results/tables/removal_sweep.csv"]
    killed = make_project(repository, tmp_path / "killed", config)
    moments = random.Random(0)
    for _ in range(3):
        run = subprocess.Popen(
            killed.command("--cores", "2", "--", *tables),
            cwd=killed.folder,
            env=environment() | FORKSERVER,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            run.wait(moments.uniform(4, 18))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    killed.snakemake("--cores", "2", "--", *tables)
    for table in tables:
        assert (killed.folder / table).read_bytes() == (whole.folder / table).read_bytes()
    for name, _, _ in FILES.values():
        assert (killed.folder / "checkpoints" / name).read_bytes() == served[name]
