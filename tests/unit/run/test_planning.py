"""Runs of a small graph, with jobs that fail, files that vanish and configurations that change, against arithmetic."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.io import flag

from patchprobe.errors import StoreError
from patchprobe.run import planning, publishing, records

# Two chains that meet, and two inputs that no job makes; of the weights the content counts.
GRAPH = {
    "tiles": ["raw"],
    "tokens": ["tiles", "weights"],
    "labels": ["raw"],
    "rows": ["tokens", "labels"],
    "table": ["rows"],
}
CONFIG = dict.fromkeys(GRAPH, 0)


def file(name: str) -> str:
    return f"results/{name}.txt" if name in GRAPH else f"{name}.txt"


def as_input(name: str) -> str:
    return flag(file(name), "ancient") if name == "weights" else file(name)


def truth(name: str, config) -> str:
    """What a file holds, by the definition of the job."""
    if name not in GRAPH:
        return Path(file(name)).read_text()
    parts = [name, str(config[name]), *(truth(source, config) for source in GRAPH[name])]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


class Job(SimpleNamespace):
    __hash__ = object.__hash__


def graph(config):
    """The graph as Snakemake has it."""
    jobs = {
        name: Job(
            name=name, output=[file(name)], input=[as_input(s) for s in sources], non_derived_params=[config[name]]
        )
        for name, sources in GRAPH.items()
    }
    makers = {job: {jobs[s]: {file(s)} for s in GRAPH[name] if s in jobs} for name, job in jobs.items()}
    levels = [[jobs["tiles"], jobs["labels"]], [jobs["tokens"]], [jobs["rows"]], [jobs["table"]]]
    return SimpleNamespace(toposorted=lambda: levels, dependencies=makers)


def to_run(forced, target="table"):
    """What Snakemake runs: what is forced, the target if it is absent, what follows, and what they need and is absent."""
    run = {name for name in GRAPH if file(name) in forced}
    run |= set() if Path(file(target)).exists() else {target}
    while True:
        more = {name for name, sources in GRAPH.items() if run & set(sources)}
        more |= {s for name in run for s in GRAPH[name] if s in GRAPH and not Path(file(s)).exists()}
        if more <= run:
            return run
        run |= more


def make_given():
    for name in ("raw", "weights"):
        Path(file(name)).write_text(name)


def execute(name, config):
    with publishing.publication([Path(file(name))], [config[name]]) as place:
        read = [Path(file(source)).read_text() for source in GRAPH[name]]
        text = hashlib.sha256("|".join([name, str(config[name]), *read]).encode()).hexdigest()
        hidden = place.staged(Path(file(name)))
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(text)


def run(config, failing=()):
    """A run in which jobs fail; returns the jobs that were planned."""
    plan = planning.Planning(graph(config))
    wanted = to_run(plan.forced())
    if not wanted:
        return wanted
    plan.begin(file(name) for name in wanted)
    failed = set()
    for name in GRAPH:
        if name in wanted and not failed & set(GRAPH[name]):
            # Snakemake deletes the outputs of a job before it starts, and after it failed.
            Path(file(name)).unlink(missing_ok=True)
            if name in failing:
                failed.add(name)
            else:
                execute(name, config)
        elif failed & set(GRAPH[name]):
            failed.add(name)
    if not failed:
        plan.succeed()
    return wanted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_given()
    Path("results").mkdir()


def assert_true(config, names=("table",)):
    for name in names:
        assert Path(file(name)).read_text() == truth(name, config)


@pytest.mark.parametrize("failing", list(GRAPH))
def test_what_lies_behind_a_failed_job_of_a_changed_configuration_is_made(folder, failing):
    run(CONFIG)
    assert run(CONFIG) == set()
    changed = CONFIG | {"tiles": 1, "labels": 1}
    run(changed, failing={failing})
    run(changed)
    assert_true(changed, GRAPH)
    assert run(changed) == set()


def test_only_what_changed_and_follows_is_made(folder):
    run(CONFIG)
    assert run(CONFIG | {"labels": 1}) == {"labels", "rows", "table"}
    assert run(CONFIG | {"labels": 1, "table": 1}) == {"table"}


def test_a_file_that_no_job_makes_counts_by_its_content(folder):
    run(CONFIG)
    weights = Path("weights.txt")
    os.utime(weights, (1e9, 1e9))
    assert run(CONFIG) == set()
    weights.unlink()
    assert run(CONFIG) == set()
    weights.write_text("other weights")
    os.utime(weights, (1e9, 1e9))
    assert run(CONFIG) == {"tokens", "rows", "table"}
    assert_true(CONFIG, GRAPH)
    assert run(CONFIG) == set()


def test_a_file_that_comes_while_the_run_goes_on_is_what_its_results_are_made_from(folder):
    weights = Path("weights.txt")
    weights.unlink()
    plan = planning.Planning(graph(CONFIG))
    plan.begin(file(name) for name in GRAPH)
    weights.write_text("fetched")
    for name in GRAPH:
        execute(name, CONFIG)
    plan.succeed()
    assert_true(CONFIG, GRAPH)
    assert run(CONFIG) == set()
    weights.write_text("another")
    assert run(CONFIG) == {"tokens", "rows", "table"}


def test_a_file_that_is_exchanged_while_the_run_goes_on_stops_the_jobs_that_read_it(folder):
    planning.Planning(graph(CONFIG)).begin(file(name) for name in GRAPH)
    execute("tiles", CONFIG)
    Path("weights.txt").write_text("another")
    with pytest.raises(StoreError, match=r"weights\.txt is not the file that was there when this run began; run again"):
        execute("tokens", CONFIG)
    assert not Path(file("tokens")).exists() and run(CONFIG) >= {"tokens"}
    assert_true(CONFIG, GRAPH)


def test_a_missing_intermediate_file_is_no_reason_to_run_until_something_needs_it(folder):
    run(CONFIG)
    Path(file("tokens")).unlink()
    assert run(CONFIG) == set()
    assert run(CONFIG | {"table": 1}) == {"table"}
    assert run(CONFIG | {"tokens": 1}) == {"tokens", "rows", "table"}


def test_what_was_planned_and_not_reached_is_made_though_it_was_up_to_date(folder):
    run(CONFIG)
    Path(file("tiles")).write_text("damaged")
    assert run(CONFIG, failing={"tokens"}) >= {"tiles", "tokens", "rows", "table"}
    # Tiles are whole again, tables are those of this very configuration, and tokens are absent.
    assert "tokens" in run(CONFIG)
    assert_true(CONFIG, GRAPH)


def test_a_changed_file_is_made_again(folder):
    run(CONFIG)
    Path(file("rows")).write_text("damaged")
    assert run(CONFIG) == {"rows", "table"}
    assert_true(CONFIG)


LISTS = '{"recipe": "r", "params": "p", "inputs": ["a"], "outputs": ["a"], "jobs": {"a": {}}, "pending": []}'


@pytest.mark.parametrize("damage", ["", "[]", "{}", "{", '{"jobs": []}', LISTS])
def test_damaged_records_and_plans_mean_more_work_and_no_error(folder, damage):
    run(CONFIG)
    for path in Path("results/.records").glob("*.json"):
        path.write_text(damage)
    run(CONFIG)
    assert_true(CONFIG, GRAPH)
    assert run(CONFIG) == set()


def test_without_stale_only_what_is_missing_is_forced(folder):
    run(CONFIG)
    plan = planning.Planning(graph(CONFIG | {"labels": 1}))
    assert plan.forced(with_stale=False) == set() and plan.forced() == {file("labels")}


def test_a_remade_input_of_equal_content_makes_nothing_stale(folder):
    run(CONFIG)
    plan = planning.Planning(graph(CONFIG))
    plan.begin([file("labels")])
    execute("labels", CONFIG)
    plan.succeed()
    assert run(CONFIG) == set()


runs = st.tuples(
    st.fixed_dictionaries({name: st.integers(0, 1) for name in GRAPH}),
    st.sets(st.sampled_from(list(GRAPH)), max_size=2),
    st.sets(st.sampled_from(list(GRAPH)), max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(history=st.lists(runs, max_size=5), last=st.fixed_dictionaries({name: st.integers(0, 1) for name in GRAPH}))
def test_whatever_happened_before_a_run_that_succeeds_leaves_the_truth(tmp_path_factory, history, last):
    folder = tmp_path_factory.mktemp("runs")
    before = Path.cwd()
    os.chdir(folder)
    try:
        make_given()
        Path("results").mkdir()
        for config, failing, deleted in history:
            with suppress(FileNotFoundError):
                run(config, failing)
            for name in deleted:
                Path(file(name)).unlink(missing_ok=True)
        run(last)
        assert_true(last)
        there = [name for name in GRAPH if Path(file(name)).exists()]
        assert_true(last, there)
        assert run(last) == set()
    finally:
        os.chdir(before)


def test_records_whose_values_are_of_other_types_are_none(folder):
    run(CONFIG)
    path = Path("results/.records/rows.txt.json")
    for key, value in (("inputs", ["a"]), ("outputs", {"results/rows.txt": 1}), ("inputs", {"raw.txt": "ab"})):
        path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        assert records.read_record(file("rows")) is None
        assert file("rows") in planning.Planning(graph(CONFIG)).forced()
        run(CONFIG)


def test_a_result_of_which_a_part_is_missing_is_stale(folder):
    outputs = ["results/x.zarr", "results/x.manifest.json"]
    Path(outputs[0]).mkdir()
    step = planning.Step(outputs, "p", {})
    assert planning.assess([step])[outputs[0]].stale == "a part of it is missing"
    Path(outputs[0]).rmdir()
    assert planning.assess([step])[outputs[0]].stale == ""


def test_spares_of_stores_go_when_a_run_has_ended_well(folder):
    spare, other = (Path(f"results/.partial/{name}.zarr-{'0' * 20}") for name in ("x", "y"))
    for path in (Path("results/x.zarr"), spare, other):
        path.mkdir(parents=True)
    plan = planning.Planning(graph(CONFIG))
    plan._steps = [planning.Step(["results/x.zarr", "results/x.manifest.json"], "p", {})]
    plan._to_run = {"results/x.zarr"}
    plan.succeed()
    assert not spare.exists() and other.exists() and Path("results/x.zarr").exists()


def test_a_job_that_no_run_has_planned_is_refused(folder):
    with pytest.raises(StoreError, match="no run has planned this job as it is"):
        execute("tiles", CONFIG)
    planning.Planning(graph(CONFIG)).begin([file("tiles")])
    with pytest.raises(StoreError, match="no run has planned this job as it is"):
        execute("tiles", CONFIG | {"tiles": 1})
    assert not list(Path("results").rglob("tiles.txt"))


def test_outputs_outside_the_results_are_the_jobs_own(folder):
    with publishing.publication([Path("elsewhere.txt")], []) as place:
        assert place.staged(Path("elsewhere.txt")) == Path("elsewhere.txt")
    assert records.read_plan().jobs == {}
