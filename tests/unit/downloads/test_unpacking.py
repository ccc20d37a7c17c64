"""Archives as they come and as an enemy would make them; what the standard library writes is what is compared with."""

import io
import os
import shutil
import stat
import tarfile
import zipfile

import pytest

from patchprobe.downloads import unpacking
from patchprobe.downloads.unpacking import ArchiveError, merge, need_space, unpack, unpacked_size
from patchprobe.errors import DownloadError

FILES = {"top/a/one.txt": b"one" * 1000, "top/a/b/two.bin": bytes(range(256)) * 50, "top/three": b"", "README": b"no"}


def make_zip(path, files, **attributes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return path


def make_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_000_000_000
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": lambda path, files: make_tar(path, files, "w:gz"),
    "tar.xz": lambda path, files: make_tar(path, files, "w:xz"),
}


@pytest.fixture(params=MAKERS)
def make(request, tmp_path):
    """Makes an archive of each kind from files by name."""
    return lambda files: MAKERS[request.param](tmp_path / f"set.{request.param}", files)


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(archive, folder, match):
    with pytest.raises(DownloadError, match=match) as caught:
        unpack(archive, folder)
    assert str(archive) in str(caught.value)


def test_all_of_an_archive_or_one_folder_of_it(make, tmp_path):
    archive = make(FILES)
    unpack(archive, tmp_path / "all")
    assert content(tmp_path / "all") == FILES
    unpack(archive, tmp_path / "part", "top/a")
    assert content(tmp_path / "part") == {"one.txt": FILES["top/a/one.txt"], "b/two.bin": FILES["top/a/b/two.bin"]}
    with pytest.raises(DownloadError, match="has no files in top/c"):
        unpack(archive, tmp_path / "none", "top/c")


@pytest.mark.parametrize("name", ["../out", "top/../../out", "/tmp/out", "top\\..\\out", "C:/out"])
def test_no_path_leaves_the_folder(make, tmp_path, name):
    archive = make({"top/fine": b"x", name: b"evil"})
    refused(archive, tmp_path / "folder/inner", "a path that leads out of the archive")
    assert not (tmp_path / "folder/out").exists() and not list(tmp_path.rglob("out"))


def test_a_zip_with_an_escape_writes_nothing(tmp_path):
    refused(make_zip(tmp_path / "a.zip", {"fine": b"x", "../out": b"x"}), tmp_path / "folder", "leads out")
    assert not content(tmp_path / "folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(tmp_path / "a.tar", tmp_path / "folder", "a link or a device")
    assert not list((tmp_path / "folder").iterdir())


def test_links_of_a_zip_are_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"link": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    refused(archive, tmp_path / "folder", "a link or a device")


def test_a_file_listed_twice_is_refused(make, tmp_path):
    archive = make({"a": b"1", "./a": b"2"})
    refused(archive, tmp_path / "folder", "listed twice")


def test_truncated_archives(make, tmp_path):
    archive = make({f"top/{n}": os.urandom(5000) for n in range(20)})
    whole = archive.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) * 9 // 10):
        archive.write_bytes(whole[:size])
        refused(archive, tmp_path / f"folder{size}", "truncated, damaged or no archive|has no files")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_changed_bytes_are_found_by_the_archives_own_checks(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / f"a.{kind}", {"top/a": os.urandom(200_000)})
    whole = bytearray(archive.read_bytes())
    whole[len(whole) // 2] ^= 255
    archive.write_bytes(whole)
    refused(archive, tmp_path / "folder", "truncated, damaged or no archive")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_made_to_fill_disks_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpacking, "_UNPACKED_FREE", 1_000_000)
    archive = MAKERS[kind](tmp_path / f"a.{kind}", {f"z{n}": bytes(4_000_000) for n in range(3)})
    assert archive.stat().st_size < 100_000
    refused(archive, tmp_path / "folder", "far more than an archive of its size holds")
    assert sum(len(part) for part in content(tmp_path / "folder").values()) <= 4_000_000


def test_what_does_not_fit_is_not_begun(tmp_path):
    with pytest.raises(DownloadError, match=r"it needs 1000000000\.0 GB in .*, where .* are free: free some space"):
        need_space(tmp_path / "not/there", 10**18, "it")
    need_space(tmp_path / "not/there", 1, "it")


def test_size_is_that_of_the_table(tmp_path):
    assert unpacked_size(make_zip(tmp_path / "a.zip", FILES)) == sum(map(len, FILES.values()))
    tar = make_tar(tmp_path / "a.tar", FILES)
    assert unpacked_size(tar) == tar.stat().st_size


def test_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"secret"})
    raw = bytearray(archive.read_bytes())
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(header) + place] |= 1
    archive.write_bytes(raw)
    refused(archive, tmp_path / "folder", "encrypted")


def test_archives_are_merged_and_differing_files_refused(tmp_path):
    for part, files in (("p1", {"x/a": "1", "x/same": "s"}), ("p2", {"x/b": "2", "x/same": "s"}), ("p3", {"x/a": "9"})):
        for name, text in files.items():
            (tmp_path / part / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / part / name).write_text(text)
    for part in ("p1", "p2"):
        merge(tmp_path / part, tmp_path / "whole", tmp_path / f"{part}.zip")
    assert content(tmp_path / "whole") == {"x/a": b"1", "x/b": b"2", "x/same": b"s"}
    with pytest.raises(DownloadError, match=r"p3\.zip has another a than the archive before it"):
        merge(tmp_path / "p3", tmp_path / "whole", tmp_path / "p3.zip")


def test_a_truncated_zip_is_said_in_one_plain_sentence(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {f"{n}": os.urandom(500) for n in range(9)})
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(ArchiveError, match=r"its end, with the list of its files, is missing$") as caught:
        unpack(archive, tmp_path / "folder")
    assert "\\n" not in str(caught.value) and "method" not in str(caught.value)
    archive.write_bytes(b"quota exceeded")
    with pytest.raises(ArchiveError, match=r"it is text \('quota exceeded'\)$"):
        unpack(archive, tmp_path / "folder")


@pytest.mark.parametrize("files", [{"top/" + "n" * 300: b"x"}, {"top": b"x", "top/a": b"y"}])
def test_names_that_no_files_can_have(make, tmp_path, files):
    with pytest.raises(ArchiveError, match="a name that no file can have there"):
        unpack(make(files), tmp_path / "folder")


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"a": b"x" * 1000})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(DownloadError, match="are free: free some space") as caught:
        unpack(archive, tmp_path / "folder")
    assert not isinstance(caught.value, ArchiveError)
