"""Jobs that outlive their run, and inputs that are not what a run takes them for."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_planning import CONFIG, execute, file, folder, graph, run, truth  # noqa: F401

from patchprobe.errors import StoreError
from patchprobe.run import planning, publishing

pytestmark = pytest.mark.usefixtures("folder")


def begin(config, *jobs):
    planning.Planning(graph(config)).begin(map(file, jobs))


def hidden_files():
    return [path for path in Path("results").rglob("*") if ".partial" in path.parts and path.is_file()]


def test_a_job_that_a_later_run_wants_otherwise_publishes_nothing():
    begin(CONFIG, "tiles")
    with (
        pytest.raises(StoreError, match="a later run wants this made from other inputs, configuration or code"),
        publishing.publication([Path(file("tiles"))], [0]) as place,
    ):
        hidden = place.staged(Path(file("tiles")))
        hidden.parent.mkdir(parents=True)
        hidden.write_text("of the first run")
        begin(CONFIG | {"tiles": 1}, "tiles")
    assert not Path(file("tiles")).exists() and not hidden_files()


def test_neither_does_one_whose_own_spec_is_the_same_and_whose_inputs_are_not():
    run(CONFIG)
    begin(CONFIG, "rows")
    with (
        pytest.raises(StoreError, match="a later run"),
        publishing.publication([Path(file("rows"))], [0]),
    ):
        begin(CONFIG | {"tiles": 1}, "tiles", "tokens", "rows", "table")


def test_a_job_that_a_later_run_wants_the_same_publishes():
    begin(CONFIG, "tiles")
    with publishing.publication([Path(file("tiles"))], [0]) as place:
        hidden = place.staged(Path(file("tiles")))
        hidden.parent.mkdir(parents=True)
        hidden.write_text("made")
        begin(CONFIG | {"table": 1}, "tiles", "table")
    assert Path(file("tiles")).read_text() == "made"


def test_a_job_whose_results_were_deleted_publishes_nothing():
    begin(CONFIG, "tiles")
    with (
        pytest.raises(StoreError, match=r"the plan of the run .* is gone"),
        publishing.publication([Path(file("tiles"))], [0]),
    ):
        Path("results/.records/plan.json").unlink()


def test_rows_of_another_run_are_refused():
    run(CONFIG)
    begin(CONFIG, "table")
    # What a job of another run would have left, had it asked nobody.
    old = Path("results/.records/rows.txt.json").read_text()
    run(CONFIG | {"rows": 1})
    begin(CONFIG | {"rows": 1}, "table")
    Path("results/.records/rows.txt.json").write_text(old)
    with pytest.raises(StoreError, match=r"results/rows\.txt was made anew by a job of another run"):
        execute("table", CONFIG)


def test_a_changed_input_is_refused():
    run(CONFIG)
    begin(CONFIG, "table")
    Path(file("rows")).write_text("x" * len(truth("rows", CONFIG)))
    with pytest.raises(StoreError, match=r"results/rows\.txt was changed since it was made.*delete it"):
        execute("table", CONFIG)


def test_an_input_that_changed_while_it_was_read_is_refused():
    run(CONFIG)
    begin(CONFIG, "table")
    with (
        pytest.raises(StoreError, match=r"results/rows\.txt was changed since it was made"),
        publishing.publication([Path(file("table"))], [0]) as place,
    ):
        hidden = place.staged(Path(file("table")))
        hidden.parent.mkdir(parents=True)
        hidden.write_text("of other rows")
        Path(file("rows")).write_text("others")
    assert Path(file("table")).read_text() == truth("table", CONFIG)


def test_all_files_of_a_job_get_their_names_together():
    outputs = [Path("results/one.csv"), Path("results/sub/two.csv")]

    class Dag:
        dependencies = {}  # noqa: RUF012

        def toposorted(self):
            job = type("Job", (), {"output": list(map(str, outputs)), "input": [], "non_derived_params": ["x"]})()
            self.dependencies[job] = {}
            return [[job]]

    planning.Planning(Dag()).begin([str(outputs[0])])
    with publishing.publication(outputs, ["x"]) as place:
        for path in outputs:
            place.staged(path).parent.mkdir(parents=True)
            place.staged(path).write_text("whole")
            assert place.staged(path).name == path.name and not path.exists()
        Path("results/sub").mkdir(exist_ok=True)
    assert [path.read_text() for path in outputs] == ["whole", "whole"] and not hidden_files()


def test_a_store_is_published_by_itself():
    outputs = [Path("results/a.zarr"), Path("results/a.manifest.json"), Path("results/rows.parquet")]
    place = publishing.Publication(outputs, object())
    place._wanted = type("Wanted", (), {"recipe": "r"})()
    assert place.staged(outputs[0]) == outputs[0] and place.staged(outputs[2]) != outputs[2]


JOB = """
import sys, time
from pathlib import Path
from patchprobe.run import publishing
with publishing.publication([Path("results/tiles.txt")], [0]) as place:
    if place is None:
        print("taken over")
    else:
        hidden = place.staged(Path("results/tiles.txt"))
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text("made")
        print("working", flush=True)
        sys.stdin.read(1)
"""


def start():
    return subprocess.Popen(
        [sys.executable, "-c", JOB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_second_of_two_equal_jobs_waits_and_takes_over():
    begin(CONFIG, "tiles")
    first = start()
    assert first.stdout.readline() == "working\n"
    second = start()
    assert "a job of an earlier run still makes it; waiting" in second.stderr.readline()
    first.communicate("x")
    assert second.communicate("")[0] == "taken over\n"
    assert Path(file("tiles")).read_text() == "made"


def test_what_a_killed_job_left_is_removed_by_the_next():
    begin(CONFIG, "tiles")
    killed = start()
    assert killed.stdout.readline() == "working\n"
    killed.kill()
    killed.communicate()
    assert hidden_files()
    changed = CONFIG | {"tiles": 1}
    begin(changed, "tiles")
    execute("tiles", changed)
    assert not hidden_files() and Path(file("tiles")).read_text() == truth("tiles", changed)


def test_a_plan_is_not_written_while_something_is_published():
    begin(CONFIG, "tiles")
    with publishing.publication([Path(file("tiles"))], [0]) as place:
        with place.allowed():
            later = threading.Thread(target=begin, args=(CONFIG | {"tiles": 1}, "tiles"))
            later.start()
            later.join(0.3)
            assert later.is_alive()
        later.join(10)
        assert not later.is_alive()
        with pytest.raises(StoreError, match="a later run"):
            place.finish({"raw.txt": ["", ""]})
        begin(CONFIG, "tiles")
