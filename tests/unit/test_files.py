"""What tells one large file from another."""

import os

import numpy as np
import pytest

from patchprobe import files
from patchprobe.files import fingerprint


@pytest.mark.parametrize("size", [1000, files._SAMPLES * files._SAMPLE + 1, 20_000_000])
def test_fingerprint_goes_by_content_and_not_by_time(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    file, copy = tmp_path / "w.pth", tmp_path / "copy.pth"
    file.write_bytes(content)
    copy.write_bytes(content)
    os.utime(copy, (1e9, 1e9))
    assert fingerprint(file) == fingerprint(copy)
    seen = {fingerprint(file)}
    for changed in (content[:-1] + bytes([content[-1] ^ 1]), bytes([content[0] ^ 1]) + content[1:], content + b"x"):
        file.write_bytes(changed)
        seen.add(fingerprint(file))
    file.write_bytes(np.random.default_rng(1).bytes(size))
    assert len(seen | {fingerprint(file)}) == 5
