"""Addresses of files and folders of this machine, and what is taken for one by mistake."""

import pytest

from patchprobe.downloads.addresses import check_address, check_mirror
from patchprobe.errors import ConfigError


def test_a_machine_in_a_file_address_is_refused():
    with pytest.raises(
        ConfigError, match=r"^key mirror: file://tmp/x names a machine, tmp, .*three slashes, file:///tmp/x$"
    ):
        check_address("key mirror", "file://tmp/x")
    for good in ("file:///tmp/x", "file://localhost/tmp/x"):
        check_address("key mirror", good)


def test_a_mirror_of_this_machine_is_a_folder(tmp_path):
    file = tmp_path / "some.yaml"
    file.touch()
    for good in (None, tmp_path.as_uri(), "https://mirror.example.org/files"):
        check_mirror(good)
    with pytest.raises(
        ConfigError, match=r"^key mirror is file:///.*some\.yaml is a file, not a folder: name the folder"
    ):
        check_mirror(file.as_uri())
    with pytest.raises(ConfigError, match=r"^key mirror is file:///.*nope is not there: name the folder"):
        check_mirror((tmp_path / "nope").as_uri())
