"""What adapters say of themselves, without being imported."""

import subprocess
import sys

import pytest

from patchprobe.datasets import annotations as module
from patchprobe.datasets.annotations import (
    adapter_names,
    annotations,
    says_ground_sample_distance,
    whole_images_alone,
)
from patchprobe.errors import ConfigError, PatchprobeError


def test_every_adapter_of_the_project_says_it():
    assert adapter_names() == (
        *(
            "ade20k",
            "bdd100k",
            "camvid",
            "cityscapes",
            "class_folders",
            "dota",
            "fair1m",
            "folders",
            "mot17",
            "parquet",
            "resisc45",
            "synthetic",
        ),
        "ucmerced",
    )
    with_boxes = {name for name in adapter_names() if annotations(name) == {"boxes"}}
    assert with_boxes == {"dota", "fair1m"}
    videos = {name for name in adapter_names() if annotations(name) == {"identities"}}
    assert videos == {"bdd100k", "mot17"}
    whole = {name for name in adapter_names() if annotations(name) == {"image_classes"}}
    assert whole == {"class_folders", "resisc45", "ucmerced"}
    assert {name for name in (*adapter_names(), "no_adapter") if whole_images_alone(name)} == whole
    others = set(adapter_names()) - with_boxes - videos - whole
    assert {annotations(name) for name in others} == {frozenset({"label_maps"})}
    assert [name for name in adapter_names() if says_ground_sample_distance(name)] == ["dota"]


def test_asking_imports_no_adapter():
    code = (
        "import sys; from patchprobe.datasets.annotations import annotations; annotations('cityscapes');"
        "print('patchprobe.datasets.adapters.cityscapes' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_unknown_adapters_are_named_with_the_nearest():
    for name in ("camvids", "../dataset", "__init__"):
        with pytest.raises(ConfigError, match=r"datasets\.towns\.adapter: there is no data set adapter"):
            annotations(name, "towns")
    with pytest.raises(ConfigError, match="did you mean camvid"):
        annotations("camvids")


@pytest.mark.parametrize(
    "line",
    ["", "ANNOTATIONS = ()", "ANNOTATIONS = ('masks',)", "ANNOTATIONS = 'label_maps'", "ANNOTATIONS: tuple = ()"],
)
def test_an_adapter_that_does_not_say_it_is_refused(tmp_path, monkeypatch, line):
    (tmp_path / "ships.py").write_text(f"ADAPTER = None\n{line}\n")
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    adapter_names.cache_clear()
    try:
        with pytest.raises(
            PatchprobeError, match=r"ships\.py (does not say|says .* in place of) what its images are annotated with"
        ):
            annotations("ships")
    finally:
        adapter_names.cache_clear()
