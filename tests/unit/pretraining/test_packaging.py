import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from patchprobe.errors import StoreError
from patchprobe.pretraining.packaging import POINTS, WEIGHTS, main, package_runs

ROOT = Path(__file__).parents[3]

# Bytes of all weights that come with the package.
MOST = 20_000_000


@pytest.fixture
def runs(tmp_path):
    """A finished run of two files, 1000 steps whose loss is the number of the step."""
    run = tmp_path / "runs/mae"
    run.mkdir(parents=True)
    files = {}
    for name, content in {"encoder.safetensors": b"encoder", "decoder.safetensors": b"decoder"}.items():
        (run / name).write_bytes(content)
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": 7}
    (run / "card.json").write_text(json.dumps({"objective": "mae", "files": files}))
    steps = range(1, 1001)
    rows = {"step": steps, "images": [4 * s for s in steps], "learning_rate": 0.5, "loss": [float(s) for s in steps]}
    pd.DataFrame(rows).to_csv(run / "loss.csv", index=False)
    return run.parent


def test_a_run_becomes_files_of_one_name(runs, tmp_path):
    weights = tmp_path / "weights"
    assert package_runs(runs, "small", weights) == [weights / "small-mae.safetensors"]
    assert (weights / "small-mae.safetensors").read_bytes() == b"encoder"
    assert (weights / "small-mae-decoder.safetensors").read_bytes() == b"decoder"
    card = json.loads((weights / "small-mae.json").read_text())
    assert card["files"].keys() == {"small-mae.safetensors", "small-mae-decoder.safetensors"}
    curve = pd.read_csv(weights / "small-mae.csv")
    # 1000 steps in 200 parts: the first has the losses 1 to 5
    assert len(curve) == POINTS and curve["loss"].iloc[0] == 3 and curve["images"].iloc[-1] == 4000


def test_a_file_that_is_not_the_cards_is_refused(runs, tmp_path):
    (runs / "mae/encoder.safetensors").write_bytes(b"another")
    with pytest.raises(StoreError, match=r"encoder\.safetensors is not the file that .*card\.json was written for"):
        package_runs(runs, "small", tmp_path / "weights")


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(StoreError, match="has no finished run"):
        package_runs(tmp_path, "small", tmp_path / "weights")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["packaging", str(tmp_path), "small"])
    with pytest.raises(SystemExit, match=r"error: .* has no finished run .*: run the target pretraining first"):
        main()


def test_weights_of_the_package_are_those_of_their_cards():
    cards = sorted(WEIGHTS.glob("*.json"))
    assert {card.stem for card in cards} == {f"demo-{o}" for o in ("supervised", "dino", "ibot", "mae", "simmim")}
    for card in cards:
        facts = json.loads(card.read_text())
        assert {"images", "training", "hardware", "seconds", "git_commit", "loss"} <= facts.keys()
        assert not (facts["git_commit"] or "").endswith("-modified")
        for name, known in facts["files"].items():
            assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == known["sha256"]
        curve = pd.read_csv(card.with_suffix(".csv"))
        assert len(curve) == POINTS and curve["images"].iloc[-1] == facts["training"]["images_seen"]
        assert curve["loss"].notna().all()
    files = sorted(WEIGHTS.glob("*.safetensors"))
    assert {file.name for file in files} == {n for card in cards for n in json.loads(card.read_text())["files"]}
    assert sum(file.stat().st_size for file in files) <= MOST


def test_weights_of_the_package_have_the_settings_of_their_configuration():
    config = yaml.safe_load((ROOT / "config/demo_weights.yaml").read_text())
    objectives = config["pretraining"]["objectives"]
    assert {card.stem for card in WEIGHTS.glob("*.json")} == {f"demo-{name}" for name in objectives}
    for name, settings in objectives.items():
        facts = json.loads((WEIGHTS / f"demo-{name}.json").read_text())
        training = facts["training"]
        assert {key: training[key] for key in settings} == settings
        assert training["images_seen"] == settings["steps"] * settings["batch_size"]
        assert (
            training["seed"] == config["seed"] and facts["images"]["count"] == config["pretraining"]["images"]["count"]
        )
