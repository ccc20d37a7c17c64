"""Folders with links, left-behind files, locked doors and thousands of neighbours."""

import logging
import os
import time

import numpy as np
import pytest
from PIL import Image

from patchprobe.datasets import listing
from patchprobe.datasets.adapters.ade20k import ADE20K
from patchprobe.datasets.adapters.cityscapes import Cityscapes
from patchprobe.datasets.listing import files_below, state_of_folders
from patchprobe.errors import DataError
from patchprobe.pretraining.images import open_source

LEFT_BEHIND = ["._0.jpg", ".hidden.png", ".ipynb_checkpoints/0-checkpoint.jpg", "@eaDir/0.jpg", "__MACOSX/cat/._0.jpg"]
LEFT_BEHIND += ["cat/._1.jpg", "cat/.thumbnails/1.jpg", "$RECYCLE.BIN/2.png", "lost+found/3.png", ".git/4.jpg"]


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(str(path))).integers(0, 255, (40, 40, 3), np.uint8)).save(path, "PNG")


@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_what_systems_leave_behind_is_neither_class_nor_image(tmp_path, left):
    for name in ("cat/0.jpg", "cat/1.JPG", "dog/0.png", left):
        picture(tmp_path / "pets" / name)
    source = open_source({"folder": "pets", "count": 99, "size": [32, 32]}, data_root=tmp_path, seed=0)
    assert (source.count, source.class_names) == (3, ("cat", "dog"))
    for number in range(source.count):
        source.read(number)


def test_links_are_followed_once(tmp_path):
    picture(tmp_path / "elsewhere/0.png")
    picture(tmp_path / "pets/dog/0.png")
    (tmp_path / "pets/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pets/dog/round").symlink_to(tmp_path / "pets")
    (tmp_path / "pets/gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "pets/self.png").symlink_to(tmp_path / "pets/self.png")
    found = files_below(tmp_path / "pets", [".png"])
    assert found == [tmp_path / "pets/cat/0.png", tmp_path / "pets/dog/0.png"]


@pytest.mark.parametrize("name", ["a b.png", "ü{x}[1]*?.png", "new\nline.png", "'\"$HOME`.png", "#1,2;3.png"])
def test_names_may_hold_any_character(tmp_path, name):
    picture(tmp_path / "pets" / name)
    assert files_below(tmp_path / "pets", [".png"]) == [tmp_path / "pets" / name]


def test_names_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / os.fsdecode(b"caf\xe9.png")).touch()
    with pytest.raises(DataError, match=r"the name of .*caf.*\.png is not text in UTF-8: rename the file"):
        files_below(tmp_path / "pets", [".png"])


def test_folders_that_cannot_be_listed_are_named_and_passed_over(tmp_path, monkeypatch, caplog):
    picture(tmp_path / "pets/dog/0.png")
    picture(tmp_path / "pets/locked/0.png")
    opened = os.scandir

    def scandir(path):
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(listing.os, "scandir", scandir)
    before = state_of_folders(tmp_path / "pets", 3)
    with caplog.at_level(logging.WARNING):
        assert files_below(tmp_path / "pets", [".png"]) == [tmp_path / "pets/dog/0.png"]
    assert [str(tmp_path / "pets/locked") in message for message in caplog.messages] == [True]
    assert before == state_of_folders(tmp_path / "pets", 3)


@pytest.mark.parametrize("place", ["", "a", "a/b", "a/b/c"])
def test_the_state_changes_when_a_file_comes_or_goes(tmp_path, place):
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    states = [state_of_folders(tmp_path, 3)]
    (tmp_path / place / "new").touch()
    states.append(state_of_folders(tmp_path, 3))
    (tmp_path / place / "new").unlink()
    states.append(state_of_folders(tmp_path, 3))
    assert len(set(states)) == 3 and {len(state) for state in states} == {64}
    deeper = tmp_path / "a/b/c/d/new"
    deeper.touch()
    assert state_of_folders(tmp_path, 3) == states[-1]
    assert state_of_folders(tmp_path, 4) != state_of_folders(tmp_path, 3)


def test_neighbours_that_an_adapter_does_not_read_cost_nothing(tmp_path):
    for number in range(2000):
        (tmp_path / f"other_{number}").mkdir()
    (tmp_path / "images").mkdir()
    began = time.process_time()
    state = state_of_folders(tmp_path, 3, ("images",))
    assert time.process_time() - began < 0.5
    (tmp_path / "other_7/new").touch()
    assert state_of_folders(tmp_path, 3, ("images",)) == state
    (tmp_path / "images/new").touch()
    assert state_of_folders(tmp_path, 3, ("images",)) != state


def test_adapters_pass_over_what_systems_leave_behind(tmp_path):
    picture(tmp_path / "city/leftImg8bit/val/ulm/ulm_000000_000001_leftImg8bit.png")
    picture(tmp_path / "city/gtFine/val/ulm/ulm_000000_000001_gtFine_labelIds.png")
    picture(tmp_path / "city/leftImg8bit/val/ulm/._ulm_000000_000001_leftImg8bit.png")
    picture(tmp_path / "city/leftImg8bit/val/@eaDir/ulm_000000_000001_leftImg8bit.png")
    picture(tmp_path / "city/leftImg8bit/val/__MACOSX/._ulm_000000_000001_leftImg8bit.png")
    assert [record.group for record in Cityscapes(tmp_path / "city", {}).records("val")] == ["ulm"]
    picture(tmp_path / "ade/images/validation/ADE_val_00000001.jpg")
    picture(tmp_path / "ade/images/validation/._ADE_val_00000001.jpg")
    picture(tmp_path / "ade/annotations/validation/ADE_val_00000001.png")
    (tmp_path / "ade/sceneCategories.txt").write_text("ADE_val_00000001 street\n")
    assert [record.group for record in ADE20K(tmp_path / "ade", {}).records("validation")] == ["street"]
