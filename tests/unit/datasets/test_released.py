"""The releases: their files, and that the page has them all."""

import re

import pytest
import yaml

from patchprobe.datasets.annotations import adapter_names
from patchprobe.datasets.released import FOLDER, is_absent, missing, release, release_names, wanted_release
from patchprobe.downloads.addresses import check_address
from patchprobe.errors import ConfigError
from patchprobe.reference.releases import with_reference

LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64}
# Of each release with files, the folder of the samples that has its layout.
SAMPLES = {
    "ade20k": "ade20k/ADEChallengeData2016",
    "camvid": "camvid/CamVid",
    "davis2017": "davis/DAVIS",
    "voc2012": "voc/VOCdevkit/VOC2012",
    "oxford-iiit-pet": "oxford_pet/oxford-iiit-pet",
    "ucmerced": "ucmerced/UCMerced_LandUse",
}


@pytest.mark.parametrize("name", release_names())
def test_a_release_says_all_that_is_needed(name):
    known = release(name)
    assert known.adapter in (None, *adapter_names())
    assert known.expects and all(known.licence[key] for key in ("name", "address", "terms"))
    assert known.archives or known.login
    check_address(name, known.licence["address"])
    for archive in known.archives:
        assert archive.addresses or known.login
        for address in archive.addresses:
            check_address(name, address)
        for kind, digest in archive.digests.items():
            assert re.fullmatch(f"[0-9a-f]{{{LENGTHS[kind]}}}", digest), (name, archive.name, kind)
        assert archive.confirmed and "{" not in "".join(archive.addresses)
    assert len({archive.name for archive in known.archives}) == len(known.archives)


def test_names_of_archives_differ_over_all_releases():
    """They lie in one folder, but for those that two releases share."""
    names = [archive.name for name in release_names() for archive in release(name).archives]
    assert len(set(names)) == len(names)


def test_no_digest_is_given_twice():
    """A copied line would make one of the two files impossible to fetch."""
    digests = re.findall(r"\b[0-9a-f]{32,64}\b", "".join(file.read_text() for file in FOLDER.glob("*.yaml")))
    files = [d for name in release_names() for a in release(name).archives for d in a.digests.values()]
    assert len(set(files)) == len(files) and set(files) <= set(digests)


@pytest.mark.parametrize("name", SAMPLES)
def test_genuine_samples_have_what_a_release_expects(shared, name):
    assert not set(missing(release(name), shared / "samples" / SAMPLES[name])) - {
        # not among the samples
        "images/training",
        "annotations/training",
    }


def test_which_release_is_meant():
    def asked(download, adapter="camvid"):
        found = wanted_release("datasets.x", {"download": download, "adapter": adapter})
        return found and found.name

    assert asked(False) is None
    assert asked(True) == asked("camvid") == "camvid" and asked("voc2012", "class_folders") == "voc2012"
    assert asked("hf://datasets/a/b@c") == "hf://datasets/a/b"
    with pytest.raises(
        ConfigError, match=r"datasets\.x\.download: true needs a release of its own for adapter class_fold"
    ):
        asked(True, "class_folders")
    with pytest.raises(ConfigError, match=r"no release 'voc2011'; did you mean voc201?"):
        asked("voc2011")
    with pytest.raises(ConfigError, match="write hf://datasets/"):
        asked("hf://a/b")


def test_a_broken_release_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"release": {"title": "x"}, "files": []}))
    with pytest.raises(ConfigError, match=r"mine\.yaml is no release"):
        release("mine", tmp_path)


def test_what_is_absent(tmp_path):
    assert is_absent(tmp_path / "no") and is_absent(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert not is_absent(tmp_path) and not is_absent(tmp_path / "file") and not is_absent(tmp_path / "link")


def test_page_of_releases_is_made_from_them(repository):
    page = (repository / "docs/downloads.md").read_text()
    assert page == with_reference(page), "run: python -m patchprobe.reference.releases docs/downloads.md"
    for name in release_names():
        assert f"### {name}\n" in page
