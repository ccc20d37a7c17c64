"""Files with Python objects: what official files carry is read, what could run code is refused by name, unrun."""

import argparse
import builtins
import os
import pickle
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from patchprobe.errors import ModelError
from patchprobe.models.backbone import load_model
from patchprobe.models.checkpoints.reading import read_checkpoint

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
        "loss": [np.float32(0.25), np.int64(7), np.bool_(True), np.float16(0.5), np.uint8(200)],
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


def test_numbers_in_the_other_byte_order_are_read_right(tmp_path):
    state = (3, ">", None, None, None, -1, -1, 0)
    write_pickle(tmp_path / "w.pth", number("f8", state, np.array(2.5, ">f8").tobytes()))
    assert read_checkpoint(tmp_path / "w.pth", "k") == {"a": 2.5}
    assert np.dtype("f8").isnative


def test_types_that_numpy_would_trust_are_refused(tmp_path):
    """In a process of its own, since a file of this kind can end one."""
    double = (3, "<", None, None, None, -1, -1, 0)
    attacks = [
        ("S4", (3, "|", None, None, None, -1, 1, 0), "x"),
        ("S4", (3, "|", None, None, None, -1, 1, 0), b"x"),
        ("S4", (3, "|", None, None, None, 10**12, 1, 0), b"x"),
        ("U4", (3, "<", None, None, None, 3, 4, 0), b"abc"),
        ("V8", (3, "|", None, ("a",), {"a": ("O", 0)}, 8, 1, 63), b"12345678"),
        ("O", None, b"12345678"),
        ("f8", double, b"1234567"),
        ("f8", double, "12345678"),
        ("f8", (3, 7), b"12345678"),
        ("f8", 3, b"12345678"),
    ]
    files = [tmp_path / f"{i}.pth" for i in range(len(attacks))]
    for file, attack in zip(files, attacks, strict=True):
        write_pickle(file, number(*attack))
    script = (
        "import sys; from pathlib import Path; from patchprobe.errors import ModelError\n"
        "from patchprobe.models.checkpoints.reading import read_checkpoint\n"
        "for file in sys.argv[1:]:\n"
        "    try: read_checkpoint(Path(file), 'k')\n"
        "    except ModelError as error: print(error, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(files)
    assert all("holds Python objects beside tensors, here numpy." in line for line in lines)


def test_a_type_in_a_file_does_not_change_the_one_of_the_process(tmp_path):
    for state in [(3, ">", None, None, None, -1, -1, 0), (3, "<", None, None, None, 4, 4, 63)]:
        kind = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R" + pickle.dumps(state, 2)[2:-1] + b"b"
        write_pickle(tmp_path / "w.pth", kind)
        read_checkpoint(tmp_path / "w.pth", "k")
    assert np.dtype("f8").itemsize == 8 and np.dtype("f8").isnative and np.array([1.0, 2.0]).sum() == 3


def number(code, state, data):
    """The opcodes that NumPy pickles a number by."""
    words = b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + pickle.dumps(code, 2)[2:-1] + b"\x85R"
    if state is not None:
        words += pickle.dumps(state, 2)[2:-1] + b"b"
    return words + pickle.dumps(data, 2)[2:-1] + b"\x86R"


def write_pickle(path, value):
    """Write what torch.save would, of {"a": value}, from the opcodes of the value."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + value + b"s.")
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


@FORMATS
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_another_protocol_is_named(tmp_path, protocol, zipped):
    content = {"a": torch.ones(2), "b": Reduced(os.system, "false")}
    torch.save(content, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError) as error:
        read_checkpoint(tmp_path / "w.pth", "k")
    named = f"here {os.system.__module__}.system" if protocol == 3 else f"is pickled with protocol {protocol}"
    assert named in str(error.value) and "nothing of the file was run. Save only its state dict" in str(error.value)


def test_opcodes_that_torch_does_not_write_are_named(tmp_path):
    write_pickle(tmp_path / "w.pth", b"(X\x05\x00\x00\x00falseios\nsystem\n")
    with pytest.raises(
        ModelError, match=r"a pickle that torch\.save did not write \(opcode INST\).* nothing of the file"
    ):
        read_checkpoint(tmp_path / "w.pth", "k")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
def test_a_bare_pickle_is_refused_unread(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(pickle.dumps(Reduced(os.system, f"touch {tmp_path / 'ran'}")))
    with pytest.raises(ModelError, match=r"is a pickle of Python objects .* nothing of it was run"):
        read_checkpoint(path, "k")
    assert not (tmp_path / "ran").exists()


def test_another_zip_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("kernel.npy", b"")
        archive.writestr("kernel.csv", b"")
    with pytest.raises(ModelError, match=r"is a zip archive of kernel\.npy, kernel\.csv, not of torch\.save"):
        read_checkpoint(tmp_path / "w.pth", "k")


@pytest.mark.filterwarnings("ignore")
@FORMATS
def test_wrong_bytes_anywhere_are_one_error_or_none(tmp_path, zipped):
    torch.save(
        {"a": torch.ones(50), "b": {"c": torch.zeros(3, 4)}},
        tmp_path / "good.pth",
        _use_new_zipfile_serialization=zipped,
    )
    good = (tmp_path / "good.pth").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        for place in rng.integers(len(bad), size=3):
            bad[place] = rng.integers(256)
        (tmp_path / "w.pth").write_bytes(bad)
        try:
            read_checkpoint(tmp_path / "w.pth", "k")
        except ModelError:
            refused += 1
    assert refused > 20


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
