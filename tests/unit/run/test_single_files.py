"""Results that are single files or generated folders are checked by ``make verify`` as stores are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_planning import CONFIG, file, folder, run  # noqa: F401

from patchprobe.datasets.demo.generators import write_generated

pytestmark = pytest.mark.usefixtures("folder")


class OneFile:
    def write(self, root, *, threads=1):
        (root / "a.txt").write_text("drawn")


def check():
    program = [sys.executable, "-m", "patchprobe.run.verification", "results"]
    done = subprocess.run(program, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def finished(folder):  # noqa: F811
    run(CONFIG)
    Path("results/streets").mkdir()
    write_generated(OneFile(), Path("results/streets/raw"), spec="{}", code="c")


def test_whole_results_are_found_whole(finished):
    code, lines = check()
    assert code == 0 and lines[-1].endswith("none damaged or unfinished") and "5 files" in lines[-1]


def test_a_changed_file_is_named_and_a_deleted_one_is_no_damage(finished):
    text = Path(file("rows")).read_text()
    Path(file("rows")).write_text(text[::-1])
    Path(file("tokens")).unlink()
    code, lines = check()
    assert code == 1
    assert lines[0] == "results/rows.txt has changed since it was written: delete results/rows.txt and run again"


@pytest.mark.parametrize("what", ["changed", "added", "manifest"])
def test_a_changed_generated_folder_is_named(finished, what):
    raw = Path("results/streets/raw")
    if what == "changed":
        (raw / "a.txt").write_text("drown")
    elif what == "added":
        (raw / "b.txt").write_text("more")
    else:
        manifest = raw.with_suffix(".manifest.json")
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": "0" * 64}))
    code, lines = check()
    assert code == 1 and lines[0].startswith(
        "results/streets/raw has changed since it was written: delete raw and raw.m"
    )


def test_a_folder_in_which_nothing_can_be_checked_is_no_success(folder):  # noqa: F811
    Path("results/tables").mkdir()
    code, lines = check()
    assert code == 1 and "nothing there can be checked" in lines[-1]
