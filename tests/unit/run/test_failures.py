"""What is said at the end of a run of the jobs that failed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from patchprobe.run import records
from patchprobe.run.failures import Failure, describe, failures, last_line

SINCE = 1000.0


@dataclass
class Job:
    """What is asked of Snakemake's jobs."""

    rule_name: str
    model: str
    wildcards: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.wildcards = {"model": self.model, "variant": ""}
        self.rule = SimpleNamespace(name=self.rule_name)
        self.log = [f"logs/{self.rule_name}/{self.model}.log"]
        self.output = [f"results/{self.rule_name}/{self.model}.csv"]

    def is_group(self) -> bool:
        return False

    def write_log(self, text: str, time: float = 2000.0) -> "Job":
        return self._write(Path(self.log[0]), text, time)

    def record(self, time: float = 2000.0) -> "Job":
        return self._write(records.record_path(self.output[0]), "{}", time)

    def _write(self, path: Path, text: str, time: float) -> "Job":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time, time))
        return self


class Group(list[Job]):
    def is_group(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)


def names(found):
    return [(failure.rule, failure.wildcards, failure.last_lines) for failure in found]


def test_jobs_are_named_in_order_with_the_end_of_their_logs():
    jobs = [Job("probe", "b").write_log("begins\nerror: b\n"), Job("extract", "a").write_log("error: a")]
    assert names(failures(jobs, since=SINCE)) == [
        ("extract", "model=a", ("error: a",)),
        ("probe", "model=b", ("error: b",)),
    ]


def test_log_of_an_earlier_run_says_nothing_of_this_one():
    job = Job("probe", "b").write_log("error: long mended", time=500.0)
    (failure,) = failures([job], since=SINCE)
    assert failure.last_lines == ("",)
    assert "wrote nothing" in describe([failure], 0)


def test_of_a_group_the_job_is_named_that_failed_and_not_those_before_or_after():
    made = Job("tile", "a").write_log("tiles are made").record()
    failed = Job("extract", "a").write_log("error: no memory").record(time=500.0)
    never_begun = Job("probe", "a").write_log("")
    found = failures([Group([never_begun, failed, made])], since=SINCE)
    assert names(found) == [("extract", "model=a", ("error: no memory",))]


def test_of_a_group_that_never_began_all_jobs_are_named():
    found = failures([Group([Job("extract", "a"), Job("probe", "a")])], since=SINCE)
    assert [failure.rule for failure in found] == ["extract", "probe"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one\ntwo\n\n  \n", "two"),
        (b"10%\r20%\rdone", "done"),
        (b"", ""),
        (b"\xff\x1b[31mred", "\ufffd\\x1b[31mred"),
        (b"x" * 200_000 + b"\nend", "end"),
    ],
)
def test_last_line(tmp_path, content, expected):
    path = tmp_path / "a.log"
    path.write_bytes(content)
    assert last_line(path) == expected


def test_long_last_line_is_cut(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("a" * 5000 + "z")
    assert len(last_line(path)) <= 600 and last_line(path).endswith("z")


def test_of_many_the_first_are_named_and_the_rules_of_the_others():
    found = [Failure("extract", f"model={i}", (Path("a.log"),), ("error: x",)) for i in range(25)]
    text = describe([*found, Failure("probe", "", (), ())], 3)
    assert text.startswith("26 jobs failed; 3 jobs not finished:\n")
    assert text.count("error: x") == 20
    assert text.endswith("and 6 jobs more, of extract, probe: see logs/<rule>/")
