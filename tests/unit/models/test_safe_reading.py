"""Files with Python objects: what official files carry is read, what could run code is refused by name, unrun."""

import argparse
import builtins
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.models import load_model
from patchprobe.models.checkpoints import read_checkpoint

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Reduced:
    """Pickled as a call of ``function`` with ``arguments``, which unpickling makes."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(target):
    command = f"touch {target}"
    return {
        "system": (Reduced(os.system, command), f"{os.system.__module__}.system"),
        "eval": (Reduced(builtins.eval, f"open({str(target)!r}, 'w')"), "eval"),
        "argument of a tensor": (
            Reduced(torch._utils._rebuild_tensor_v2, Reduced(os.system, command), 0, (1,), (1,), False, {}),
            f"{os.system.__module__}.system",
        ),
        "pickle in a pickle": (
            Reduced(torch.storage._load_from_bytes, pickle.dumps(Reduced(os.system, command))),
            "torch.storage._load_from_bytes",
        ),
        "attribute": (Reduced(getattr, "text", "upper"), "getattr"),
        "module": (Reduced(torch.load, str(target)), "torch.serialization.load"),
    }


@FORMATS
@pytest.mark.parametrize("attack", attacks(""))
def test_nothing_in_a_malicious_file_runs_and_the_error_names_it(tmp_path, attack, zipped):
    target = tmp_path / "ran"
    bomb, name = attacks(target)[attack]
    torch.save(
        {"model": {"cls_token": torch.zeros(1)}, "args": bomb},
        tmp_path / "w.pth",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ModelError) as error:
        read_checkpoint(tmp_path / "w.pth", "models.m.checkpoint")
    assert "models.m.checkpoint: " in str(error.value) and "w.pth" in str(error.value)
    assert f"here {name}, which are refused" in str(error.value)
    assert not target.exists()


def test_the_attack_would_work_on_an_unguarded_reader(tmp_path):
    bomb, _ = attacks(tmp_path / "ran")["system"]
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "ran").exists()


def test_a_malicious_file_does_not_run_through_the_loader(tmp_path):
    bomb, name = attacks(tmp_path / "ran")["system"]
    torch.save(timm.create_model("test_vit").state_dict() | {"norm.weight": bomb}, tmp_path / "w.pth")
    entry = {"source": "timm", "architecture": "test_vit", "checkpoint": "w.pth"}
    with pytest.raises(ModelError, match=f"models.m.checkpoint.*{name}"):
        load_model("m", entry, checkpoint_root=tmp_path, input_size=160, device="cpu")
    assert not (tmp_path / "ran").exists()


@FORMATS
def test_arguments_and_numbers_of_a_training_run_are_read(tmp_path, zipped):
    content = {
        "model": {"cls_token": torch.arange(3.0)},
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": np.float64(1e-3)}]},
        "args": argparse.Namespace(lr=1e-3, data="imagenet", schedule=[1, 2]),
        "loss": [np.float32(0.25), np.int64(7), np.bool_(True), np.str_("a")],
        "epoch": 3,
    }
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / "w.pth", "k")
    assert torch.equal(read["model"]["cls_token"], torch.arange(3.0))
    assert read["args"] == content["args"] and read["loss"] == content["loss"] and read["epoch"] == 3
    assert read["optimizer"]["param_groups"][0]["lr"] == 1e-3


@FORMATS
@pytest.mark.parametrize("installed", [True, False])
def test_settings_of_yacs_are_read_as_plain_dictionaries_without_yacs(tmp_path, monkeypatch, zipped, installed):
    class CfgNode(dict):
        def __init__(self):
            self.__dict__["__immutable__"] = False

        def __setattr__(self, name, value):
            raise AssertionError("code of the class ran")

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    modules = {"yacs": types.ModuleType("yacs"), "yacs.config": types.ModuleType("yacs.config")}
    modules["yacs.config"].CfgNode = CfgNode
    config, inner = CfgNode(), CfgNode()
    inner["TYPE"] = "vit"
    config["MODEL"] = inner
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    torch.save(
        {"model": {"w": torch.ones(2)}, "config": config}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped
    )
    if not installed:
        for name in modules:
            monkeypatch.delitem(sys.modules, name)
    read = read_checkpoint(tmp_path / "w.pth", "k")
    assert read["config"] == {"MODEL": {"TYPE": "vit"}} and not isinstance(read["config"], CfgNode)
    assert torch.equal(read["model"]["w"], torch.ones(2))


def test_a_whole_module_is_refused_by_name(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"here torch\.nn\.modules\.linear\.Linear, which are refused"):
        read_checkpoint(tmp_path / "w.pth", "k")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_called_one(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    with pytest.raises(ModelError, match="is a TorchScript program, not weights"):
        read_checkpoint(tmp_path / "w.pt", "k")


@pytest.mark.parametrize("content", [torch.zeros(2), [torch.zeros(2)]], ids=["tensor", "list"])
def test_a_file_without_names_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=f"holds a {type(content).__name__}, not a dictionary of tensors"):
        read_checkpoint(tmp_path / "w.pth", "k")


def test_only_tensors_in_use_are_brought_into_memory(tmp_path):
    used, unused = torch.ones(1000), torch.ones(2_000_000)
    torch.save({"model": {"w": used}, "optimizer": {"state": unused}}, tmp_path / "w.pth")
    before = resident()
    read = read_checkpoint(tmp_path / "w.pth", "k")
    assert torch.equal(read["model"]["w"], used)
    assert resident() - before < unused.nbytes / 2


def resident():
    """Memory in use by this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
