"""Small files that ask for much memory are refused before they get it; each is read in a process that is measured."""

import collections
import io
import os
import struct
import subprocess
import sys
import zipfile
from functools import cache

import pytest
import torch

from patchprobe.errors import ModelError
from patchprobe.models.checkpoints.reading import read_checkpoint

KEY = "models.m.checkpoint"
# For each line of input reads the file that it names, in a process of its own, and prints the exit status of that process, the
# peak of its memory above what the imports took, in MB, and the message.
READ = """
import os, resource, sys
from pathlib import Path
from patchprobe.errors import ModelError
from patchprobe.models.checkpoints.reading import read_checkpoint
import torch

def read(path):
    torch.save({"a": torch.zeros(1)}, path + ".small.pth")
    read_checkpoint(Path(path + ".small.pth"), "k")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        read_checkpoint(Path(path), "models.m.checkpoint")
        text = "read"
    except ModelError as error:
        text = str(error)
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit
    return f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024} {text}"

for line in sys.stdin:
    receiving, sending = os.pipe()
    if not (process := os.fork()):
        os.write(sending, read(line.removesuffix("\\n")).encode())
        os._exit(0)
    os.close(sending)
    with open(receiving) as pipe:
        said = pipe.read()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said, flush=True)
"""
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."


@cache
def reader():
    """The process in which torch is imported once."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", READ]
    return subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(path):
    """Return the MB of memory that reading took at its peak, and the message of the error or ``read``."""
    process = reader()
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    status, peak, text = process.stdout.readline().split(" ", 2)
    assert status == "0"
    return int(peak), text.strip()


def rewritten(path, change, compression=zipfile.ZIP_STORED, size=0):
    """Write a file of torch.save anew, its parts as ``change`` returns them for name and content."""
    torch.save({"a": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts:
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(change(name, content))
                if name.endswith("data.pkl" if size else " "):
                    for _ in range(size >> 24):
                        file.write(b"N0" * (1 << 23))  # a value, and its removal
    return path


def zipped_pickle(path, content):
    return rewritten(path, lambda name, old: content if name.endswith("data.pkl") else old)


@pytest.mark.parametrize("part", ["/data.pkl", "/data/0", "/version"])
def test_a_packed_part_is_refused_unread(tmp_path, part):
    """A quarter of a MB becomes 256 MB, of which reading takes twice as much."""
    path = tmp_path / "w.pth"
    rewritten(path, lambda name, content: content)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
                for _ in range(16 if name.endswith(part) else 0):
                    file.write(b"N0" * (1 << 23))
    assert path.stat().st_size < 500_000
    peak, text = measure(path)
    assert peak < 50
    assert f"{KEY}: {path} holds packed parts, which torch.save does not write" in text and part in text


def test_whatever_is_packed_is_refused(tmp_path):
    path = rewritten(tmp_path / "w.pth", lambda name, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="holds packed parts"):
        read_checkpoint(path, KEY)


def test_a_rewritten_archive_without_packing_is_read(tmp_path):
    """So the refusals here are of what was changed, not of the writing anew."""
    path = rewritten(tmp_path / "w.pth", lambda name, content: content)
    assert read_checkpoint(path, KEY)["a"].tolist() == [0, 0, 0]


def test_parts_over_each_other_are_refused(tmp_path):
    """Ten thousand names of one part: each would be read anew."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(250_000)}, path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        one = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
        infos = archive.infolist() + 5000 * [one]
        start = archive.start_dir
    with path.open("wb") as file:
        file.write(content[:start])
        archive = zipfile.ZipFile(io.BytesIO(), "w")
        archive.fp, archive.start_dir, archive.filelist = file, start, infos
        archive._write_end_record()
    with pytest.raises(ModelError, match="lists parts that together are larger than the file"):
        read_checkpoint(path, KEY)


def test_an_archive_with_two_lists_of_parts_is_refused(tmp_path):
    """Readers disagree about which one counts."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
        infos = archive.infolist()
    content = path.read_bytes()
    buffer = io.BytesIO()
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    archive.fp, archive.filelist = buffer, infos
    archive.start_dir = 0
    archive._write_end_record()
    listed = buffer.getvalue()
    # The last record points at the first list and stands behind the second.
    end = bytearray(listed[-22:])
    end[16:20] = struct.pack("<L", start)
    path.write_bytes(content[:start] + listed[:-22] + listed[:-22] + bytes(end))
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_checkpoint(path, KEY)


def test_a_pickle_of_unlikely_size_is_refused(tmp_path):
    path = rewritten(tmp_path / "w.pth", lambda name, content: content, size=1 << 25)
    peak, text = measure(path)
    assert peak < 50 and "holds a pickle of 33" in text


def copies():
    """A pickle that makes a list of 100,000 numbers and then 20,000 sets of it, by five bytes each."""
    numbers = b"".join(b"J" + struct.pack("<i", number) for number in range(100_000))
    return b"\x80\x02](" + numbers + b"e\x85q\x00c__builtin__\nset\nq\x01](" + b"h\x01h\x00R" * 20_000 + b"e."


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_copies_of_copies_end_at_the_limit(tmp_path, zipped):
    """A pickle of 1 MB asks for 20,000 sets of 100,000 numbers, 80 GB."""
    path = tmp_path / "w.pth"
    if zipped:
        zipped_pickle(path, copies())
    else:
        path.write_bytes(MAGIC + b"\x80\x02}." + copies())
    assert path.stat().st_size < 2_000_000
    peak, text = measure(path)
    assert f"{KEY}: {path} takes far more memory than its size explains" in text
    assert peak < 1600


def test_a_storage_that_claims_more_than_the_file_has(tmp_path):
    """Of the old format, whose storages are made before their values are read."""
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    at = content.index(b"cpu")
    # After the place comes the number of values, as a number of one byte.
    number = content.index(b"K\x03", at)
    large = content[:number] + b"\x8a\x05" + (1 << 34).to_bytes(5, "little") + content[number + 2 :]
    path.write_bytes(large)
    peak, text = measure(path)
    assert text != "read" and KEY in text and peak < 100


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_value_that_stands_for_many_is_refused(tmp_path, zipped):
    """Its check for NaN alone would take a byte for each."""
    path = tmp_path / "w.pth"
    torch.save({"model": [{"a": torch.zeros(1).expand(1 << 20, 1 << 20)}]}, path, _use_new_zipfile_serialization=zipped)
    peak, text = measure(path)
    assert f"holds tensors of {1 << 42} bytes in a file of {path.stat().st_size}" in text and peak < 100


def test_a_tensor_under_several_names_is_read(tmp_path):
    tied = torch.zeros(100_000)
    torch.save(dict.fromkeys("abcd", tied), tmp_path / "w.pth")
    assert len(read_checkpoint(tmp_path / "w.pth", KEY)) == 4


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_of_some_size_is_read_within_the_limit(tmp_path, zipped):
    state = collections.OrderedDict((f"blocks.{i}.weight", torch.rand(1 << 22)) for i in range(20))
    torch.save({"model": state, "epoch": 3}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    peak, text = measure(tmp_path / "w.pth")
    assert text == "read" and peak < 500
