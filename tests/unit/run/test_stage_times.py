"""Where the time of a run went, from the benchmark files of its jobs."""

import os

import pytest

from patchprobe.run.stage_times import describe, stage_times

STAGES = {"tile": "tiles", "label": "tiles", "extract": "features", "probe": "probes"}


def write(path, *seconds, time=2000.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(["s\th:m:s\tcpu_time\n", *(f"{value}\t0:00:00\t0.1\n" for value in seconds)]))
    os.utime(path, (time, time))


def test_seconds_of_the_jobs_of_this_run_are_added_up_by_stage(tmp_path):
    write(tmp_path / "tile/a.benchmark.tsv", 1.5)
    write(tmp_path / "tile/b.benchmark.tsv", 2.0)
    write(tmp_path / "label/a.benchmark.tsv", 0.25)
    write(tmp_path / "extract.benchmark.tsv", 4.0)
    write(tmp_path / "extract/old.benchmark.tsv", 99.0, time=500.0)
    write(tmp_path / "unknown/a.benchmark.tsv", 7.0)
    (tmp_path / "tile/a.log").write_text("not a benchmark")
    found = stage_times(tmp_path, STAGES, since=1000.0)
    assert found == {"tiles": (3, 3.75), "features": (1, 4.0)}


@pytest.mark.parametrize(
    "content",
    [b"", b"s", b"s\th:m:s\n", b"s\th:m:s\nNA\t-\n", b"s\th:m:s\n\t\n", b"h:m:s\n0:00:01\n", bytes(64), b"\xff\xfe"],
)
def test_damaged_benchmark_files_are_left_out(tmp_path, content):
    write(tmp_path / "tile/a.benchmark.tsv", 1.5)
    write(tmp_path / "tile/b.benchmark.tsv", 99.0)
    (tmp_path / "tile/b.benchmark.tsv").write_bytes(content)
    assert stage_times(tmp_path, STAGES, since=1000.0)["tiles"][1] == 1.5


def test_a_table_of_stages_is_printed(tmp_path):
    text = describe({"tiles": (3, 3.75), "features": (12, 104.0)}, 61.4)
    assert text.splitlines() == [
        "stage      jobs   seconds",
        "tiles         3       3.8",
        "features     12     104.0",
        "The run took 61 s; jobs ran side by side.",
    ]


def test_nothing_ran(tmp_path):
    assert stage_times(tmp_path / "logs", STAGES, since=0.0) == {}
