import os
import pickle

import pytest
import torch
from pretraining_data import OBJECTIVES, build, run

from patchprobe.errors import ModelError, StoreError
from patchprobe.pretraining.snapshots import open_snapshots
from patchprobe.pretraining.training import choose_precision


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_resumed_run_ends_with_the_same_bits(name, images, tmp_path):
    undisturbed, course = run(name, images, tmp_path / "a", steps=9)

    interrupted = build(name)
    after_step = interrupted.after_step

    def stop(step, steps):
        after_step(step, steps)
        if step == 6:
            raise KeyboardInterrupt

    interrupted.after_step = stop
    with pytest.raises(KeyboardInterrupt):
        run(name, images, tmp_path / "b", steps=9, save_every=4, objective=interrupted)
    torch.rand(5)  # what else was drawn does not matter
    resumed, again = run(name, images, tmp_path / "b", steps=9, save_every=4)
    assert equal(resumed.state_dict(), undisturbed.state_dict())
    assert again.losses == course.losses and again.learning_rates == course.learning_rates


def test_a_finished_run_is_not_trained_again(images, tmp_path, capsys):
    first, _ = run("mae", images, tmp_path, steps=3)
    second, _ = run("mae", images, tmp_path, steps=3)
    assert "resuming: 3 of 3 steps are done" in capsys.readouterr().err
    assert equal(first.state_dict(), second.state_dict())


def test_all_objectives_start_from_the_same_encoder():
    encoders = [build(name).encoder().vit.state_dict() for name in OBJECTIVES]
    assert all(equal(encoders[0], other) for other in encoders[1:])


def test_the_learning_rate_rises_and_falls(images, tmp_path):
    _, course = run("simmim", images, tmp_path, steps=20, batch_size=2)
    rates = course.learning_rates
    assert rates[:3] == pytest.approx([0.0005, 0.001, 0.001])  # 10 % of 20 steps
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[10] == pytest.approx(1e-6 + (1e-3 - 1e-6) * (1 + torch.tensor(torch.pi * 8 / 17).cos().item()) / 2)


def test_a_loss_that_is_not_finite_ends_the_run(images, tmp_path):
    objective = build("mae")
    objective.pixels.decoder_pred.bias.data.fill_(float("inf"))
    with pytest.raises(ModelError, match=r"pretraining\.objectives\.mae: the loss is \w+ at step 1; set a smaller"):
        run("mae", images, tmp_path, steps=2, objective=objective)
    assert not list(tmp_path.glob("*.pt"))


def test_snapshots_of_other_settings_are_removed_and_those_of_other_runs_kept(tmp_path):
    with open_snapshots(tmp_path, "mae", "one") as snapshots:
        snapshots.save({"step": 1})
        old = snapshots.path
    for kept in ("my-mae", "simmim"):
        with open_snapshots(tmp_path, kept, "one") as snapshots:
            snapshots.save({"step": 2})
    half_written = tmp_path / f".123.{old.name}"
    half_written.touch()
    with open_snapshots(tmp_path, "mae", "two") as snapshots:
        assert snapshots.load("cpu") is None
    assert not old.exists() and not half_written.exists()
    assert len(list(tmp_path.glob("*.pt"))) == 2


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("content", [b"", b"PK cut short", "pickle"])
def test_a_broken_or_harmful_snapshot_is_an_error(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_snapshots(tmp_path, "mae", "one") as snapshots:
        if content == "pickle":
            torch.save({"losses": Harmful()}, snapshots.path)
            assert b"system" in pickle.dumps(Harmful())
        else:
            snapshots.path.write_bytes(content)
        with pytest.raises(StoreError, match=r"mae-\w+\.pt cannot be read \(\w+\); delete it and run again"):
            snapshots.load("cpu")
    assert not (tmp_path / "harmed").exists()


def test_precision_can_be_chosen():
    assert choose_precision("fp32", "cpu") == "fp32" and choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("auto", "cpu") in ("fp32", "bf16")
