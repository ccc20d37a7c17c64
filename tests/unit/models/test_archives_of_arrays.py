"""Archives of NumPy arrays are read as NumPy reads them, and those that lie or hold objects are refused."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from patchprobe.errors import ModelError
from patchprobe.models.checkpoints.arrays import is_archive_of_arrays
from patchprobe.models.checkpoints.reading import read_checkpoint
from tests.unit.models.test_reading_limits import measure

KEY = "models.m.checkpoint"


def save(path, packed=False, **arrays):
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


def written(path, parts, compression=zipfile.ZIP_STORED):
    """Write an archive of parts given as bytes, or as blocks of them."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts:
            with archive.open(name, "w", force_zip64=True) as file:
                for block in [content] if isinstance(content, bytes) else content:
                    file.write(block)
    return path


def header(shape, kind="<f4"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_those_that_numpy_reads(tmp_path, packed):
    draws = np.random.default_rng(0)
    arrays = {
        "blocks.0.attn.qkv.weight": draws.standard_normal((12, 4)).astype("float32"),
        "half": draws.standard_normal(5).astype("float16"),
        "other_bytes": draws.standard_normal((2, 3)).astype(">f8"),
        "by_columns": np.asfortranarray(draws.standard_normal((4, 3, 2))),
        "count": np.array(7),
        "none": np.zeros((0, 3), "float32"),
        "flags": np.array([True, False]),
    }
    path = save(tmp_path / "w.npz", packed, **arrays)
    assert is_archive_of_arrays(path)
    read = read_checkpoint(path, KEY)
    with np.load(path, allow_pickle=False) as expected:
        assert read.keys() == set(expected.files)
        for name in expected.files:
            assert read[name].shape == expected[name].shape and read[name].is_contiguous()
            np.testing.assert_array_equal(read[name].numpy(), expected[name])
    assert read["half"].dtype == torch.float16 and read["other_bytes"].dtype == torch.float64
    read["half"][0] = 1  # its own memory


def test_the_content_decides_and_not_the_suffix(tmp_path):
    save(tmp_path / "w.npz", kernel=np.ones(3)).rename(tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth", KEY)["kernel"].tolist() == [1, 1, 1]


def test_objects_are_refused_and_not_unpickled(tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    path = save(tmp_path / "w.npz", good=np.ones(2), bad=np.array([Attack()], dtype=object))
    with pytest.raises(ModelError, match=r"models\.m\.checkpoint: .*w\.npz holds in bad object, which is no number"):
        read_checkpoint(path, KEY)
    assert not (tmp_path / "ran").exists()
    np.load(path, allow_pickle=True)["bad"]
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.zeros(2, "V8"), np.zeros(2, [("a", "f4"), ("b", "f4")]), np.zeros(2, "c8")]
)
def test_what_is_no_number_is_named(tmp_path, array):
    with pytest.raises(ModelError, match=r"holds in bad .*, which is no number;.*Save arrays of numbers alone"):
        read_checkpoint(save(tmp_path / "w.npz", bad=array), KEY)


def test_an_array_of_another_format_is_named(tmp_path):
    path = written(tmp_path / "w.npz", [("a.npy", b"\x93NUMPY\x03\x00" + header((1,))[8:] + bytes(4))])
    with pytest.raises(ModelError, match=r"holds in a an array of format \(3, 0\)"):
        read_checkpoint(path, KEY)


@pytest.mark.parametrize(
    "parts",
    [
        [("a.npy", header((3,)) + bytes(8))],
        [("a.npy", header((1,)) + bytes(8))],
        [("a.npy", header((-1, -2)) + bytes(8))],
        [("a.npy", header((2,), "(3,)f4") + bytes(8))],
        [("a.npy", b"")],
        [("a.npy", b"\x93NUMPY\x01\x00\xff\xff")],
        [("a.npy", header((1,)).replace(b"}", b" ") + bytes(4))],
        [("a.npy", header((1,)) + bytes(4)), ("a.npy", header((1,)) + bytes(4))],
    ],
    ids=["short", "long", "negative", "arrays in arrays", "empty", "cut header", "no header", "one name twice"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_headers_that_lie_are_refused(tmp_path, parts):
    with pytest.raises(ModelError, match=r"is truncated or damaged|which is no number"):
        read_checkpoint(written(tmp_path / "w.npz", parts), KEY)


def test_a_header_that_claims_much_gets_no_memory(tmp_path):
    peak, text = measure(written(tmp_path / "w.npz", [("a.npy", header((1 << 28,)) + bytes(8))]))
    assert peak < 50 and "is truncated or damaged" in text


def test_a_changed_byte_is_noticed(tmp_path):
    path = save(tmp_path / "w.npz", a=np.arange(100.0))
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(50).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_checkpoint(path, KEY)


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_truncated_archive_is_called_damaged(tmp_path, share):
    path = save(tmp_path / "w.npz", a=np.arange(1000.0))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match="truncated or damaged"):
        read_checkpoint(path, KEY)


def test_packed_zeros_are_refused_unread(tmp_path):
    """A quarter of a MB becomes 256 MB."""
    zeros = (bytes(1 << 24) for _ in range(16))
    blocks = (block for source in ([header((1 << 26,))], zeros) for block in source)
    path = written(tmp_path / "w.npz", [("a.npy", blocks)], zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 500_000
    peak, text = measure(path)
    assert peak < 50
    assert f"{KEY}: {path} holds packed arrays of" in text and "that would become 268435584" in text


def test_reading_changes_no_byte_of_the_file(tmp_path):
    path = save(tmp_path / "w.npz", a=np.arange(5.0), bb=np.arange(3, dtype="float32"))
    before = path.read_bytes()
    read = read_checkpoint(path, KEY)
    for value in read.values():
        value.fill_(7)
    assert path.read_bytes() == before and read["bb"].tolist() == [7, 7, 7]


def test_loading_takes_little_more_memory_than_the_network(tmp_path):
    """Arrays are mapped, not copied, wherever they lie in the file."""
    arrays = {"a" * (1 + index % 4) + str(index): np.full(1 << 20, index, "float32") for index in range(40)}
    path = save(tmp_path / "w.npz", **arrays)

    def own_memory():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

    before = own_memory()
    read = read_checkpoint(path, KEY)
    assert own_memory() - before < 0.2 * path.stat().st_size
    assert {value.data_ptr() % 4 for value in read.values()} > {0}
    assert all(value.unique().tolist() == [int(name.lstrip("a"))] for name, value in read.items())


def test_reading_takes_the_memory_of_the_file(tmp_path):
    arrays = {
        str(index): np.random.default_rng(index).standard_normal(1 << 20).astype("float32") for index in range(50)
    }
    path = save(tmp_path / "w.npz", **arrays)
    peak, text = measure(path)
    assert text == "read"
    assert peak <= 1.3 * path.stat().st_size / (1 << 20)
