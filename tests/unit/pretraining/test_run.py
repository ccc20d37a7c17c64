"""A whole training run: its files, and what other parts of the project make of them."""

import hashlib
import json
import socket
from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch
from pretraining_data import OPTIONS, SIDE, SMALL

from patchprobe.models.backbone import load_model
from patchprobe.pretraining.network import Network
from patchprobe.pretraining.run import Outputs, pretrain

STEPS = 25


def files(folder: Path, decoder: bool) -> Outputs:
    name = folder / "decoder.safetensors" if decoder else None
    return Outputs(folder / "encoder.safetensors", name, folder / "loss.csv", folder / "card.json")


def spec(objective):
    return {
        "objective": objective,
        "seed": 0,
        "architecture": {**SMALL, "input_size": SIDE},
        "training": {
            "steps": STEPS,
            "batch_size": 4,
            "learning_rate": 0.001,
            "weight_decay": 0.05,
            "options": OPTIONS.get(objective, {}),
        },
        "crop": [0.5, 0.9],
        "region": 0.8,
        "precision": "fp32",
        "threads": 1,
        "warmup": 0.1,
        "save_every": 10,
        "images": {"folder": "pictures"},
    }


@pytest.fixture(scope="module", params=["mae", "dino"])
def outputs(request, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    made = files(folder, decoder=request.param == "mae")
    arguments = {"identity": "", "snapshots": folder / ".partial", "device": "cpu"}
    pretrain(spec(request.param), images, made, **arguments)
    return made


def test_the_encoder_is_a_model_of_the_project(outputs, images):
    entry = {
        "source": "timm",
        "architecture": SMALL["name"],
        "arguments": SMALL["arguments"],
        "checkpoint": outputs.encoder.name,
    }
    model = load_model(
        "mine", {**entry, "input_size": SIDE}, checkpoint_root=outputs.encoder.parent, input_size=SIDE, device="cpu"
    )
    weights = safetensors.torch.load_file(outputs.encoder)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    network = Network(SMALL["name"], SMALL["arguments"], SIDE).eval()
    network.vit.load_state_dict({name: weight.float() for name, weight in weights.items()})
    pixels = torch.from_numpy(images.images[:4, :SIDE, :SIDE]).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.mean, model.std))
    assert (model.mean, model.std) == (network.mean, network.std)
    with torch.inference_mode():
        tokens = model.tokens((pixels - mean) / std, [2])
        own = network((pixels - mean) / std)
    torch.testing.assert_close(tokens.patch[0], own[:, 1:])
    torch.testing.assert_close(tokens.cls[0], own[:, 0])


def test_the_encoder_is_what_was_trained(outputs):
    """The teacher of DINO, the only network of MAE, as the last snapshot has it."""
    (snapshot,) = (outputs.card.parent / ".partial").glob("*.pt")
    state = torch.load(snapshot, weights_only=True)["objective"]
    prefix = "network.vit." if outputs.decoder else "distillation.teacher.vit."
    trained = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    exported = safetensors.torch.load_file(outputs.encoder)
    assert trained.keys() == exported.keys()
    assert all(torch.equal(trained[name].half(), exported[name]) for name in trained)


def test_losses_have_one_row_for_each_step(outputs):
    rows = pd.read_csv(outputs.losses)
    assert rows.columns.tolist() == ["step", "images", "learning_rate", "loss"]
    assert rows["step"].tolist() == list(range(1, STEPS + 1)) and rows["images"].iloc[-1] == 4 * STEPS
    assert rows["loss"].notna().all()


def test_the_card_says_how_and_not_where(outputs):
    text = outputs.card.read_text()
    card = json.loads(text)
    assert card["training"]["seed"] == 0 and card["training"]["images_seen"] == 100
    assert card["training"]["epochs"] == pytest.approx(100 / 24, abs=0.05)
    assert card["hardware"]["device"] == "cpu" and card["hardware"]["threads"] == 1
    assert card["seconds"] > 0
    rows = pd.read_csv(outputs.losses)
    assert [point["step"] for point in card["loss"]][-1] == STEPS and len(card["loss"]) == 20
    assert card["loss"][0]["loss"] == pytest.approx(rows["loss"][0], abs=1e-4)
    for name, facts in card["files"].items():
        content = (outputs.encoder.parent / name).read_bytes()
        assert facts["sha256"] == hashlib.sha256(content).hexdigest() and facts["bytes"] == len(content)
    assert len(card["files"]) == (2 if outputs.decoder else 1)
    assert str(outputs.card.parent) not in text and socket.gethostname() not in text
    assert card["git_commit"] is None or len(card["git_commit"].removesuffix("-modified")) == 40
