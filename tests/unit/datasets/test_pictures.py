"""Files that only look like pictures: no program is started for them, whatever opens them."""

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from cityscapes_validation import _check_instances
from PIL import Image

import patchprobe
from patchprobe.datasets.label_maps import read_ids
from patchprobe.datasets.pictures import read_rgb
from patchprobe.errors import DataError

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A program in place of Ghostscript that notes that it was started; returns the note's path."""
    started = tmp_path / "started"
    for name in ("gs", "gswin64c"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho $@ >> {started}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    return started


def test_pillow_alone_would_start_it(ghostscript, tmp_path):
    (tmp_path / "a.png").write_bytes(POSTSCRIPT)
    with pytest.raises(OSError), Image.open(tmp_path / "a.png") as image:
        image.load()
    assert ghostscript.exists()


@pytest.mark.parametrize(
    "read",
    [read_rgb, read_ids, lambda path: _check_instances(path, np.zeros((8, 8), np.uint8))],
    ids=["image", "label map", "instances"],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".eps"])
def test_postscript_is_refused_unread(ghostscript, tmp_path, read, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(POSTSCRIPT)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} cannot be decoded \(cannot identify"):
        read(path)
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_are_read_by_their_content(tmp_path, kind):
    pixels = np.full((8, 12, 3), 120, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", format=kind)
    assert np.abs(read_rgb(tmp_path / "a.png").astype(int) - 120).max() <= 2


def test_pictures_are_opened_in_one_place():
    root = Path(patchprobe.__file__).parents[2]
    sources = [path for folder in ("src", "workflow", "rules", "benchmarks") for path in (root / folder).rglob("*.py")]
    assert len(sources) > 150
    opening = re.compile(r"Image\.open\(|cv2\.(imread|imdecode|VideoCapture)|matplotlib\.image\.imread|imageio")
    found = [path.name for path in sources if opening.search(path.read_text())]
    assert found == ["pictures.py"]


def test_a_picture_that_claims_more_pixels_than_pillow_takes_is_refused_undecoded(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"a\.png has more than the 178,956,970 pixels .* cut it into parts"):
        read_rgb(tmp_path / "a.png")
