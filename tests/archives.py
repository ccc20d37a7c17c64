"""Archives of the tests, and what they become."""

import io
import tarfile
import zipfile

import pytest

from patchprobe.datasets.obtaining import obtain
from patchprobe.datasets.released import MARKER, is_absent, release
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


def camvid(shared):
    """The name and the bytes of CamVid's archive as GitHub packs it: a folder of the repository, with more in it than the data set."""
    (known,) = release("camvid").archives
    top, source = known.inside.partition("/")[0], shared / "samples/camvid/CamVid"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{top}/Models/segnet_train.prototxt", "name: segnet")
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            packed.write(file, f"{known.inside}/{file.relative_to(source)}")
    return known.name, buffer.getvalue()


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
