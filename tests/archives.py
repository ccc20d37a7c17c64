"""Archives of the tests, and what they become."""

import io
import tarfile
import zipfile

import pytest

from patchprobe.datasets.obtaining import obtain
from patchprobe.datasets.released import MARKER, is_absent
from patchprobe.downloads.fetching import Patience
from patchprobe.errors import PatchprobeError

QUICK = Patience(timeout=5, attempts=3, pause=0.01)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def content(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != MARKER}


def names(folder):
    """What lies in a folder, sorted."""
    return sorted(p.name for p in folder.iterdir())


def refused(wanted, match):
    with pytest.raises(PatchprobeError, match=match) as caught:
        obtain(wanted, QUICK)
    assert is_absent(wanted.root) and not wanted.root.with_name(".Set.unpacking").exists()
    return str(caught.value)
