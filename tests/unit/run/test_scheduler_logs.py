"""What is found in the logs of a scheduler; the lines are what SLURM 22.05 wrote, those of cgroups are in its sources."""

import os
from pathlib import Path

import pytest

from patchprobe.run.scheduler_logs import scheduler_log

SINCE = 1000.0
MEMORY = "slurmstepd-vm: error: StepId=1.0 exceeded memory limit (328343552 > 52428800), being killed"
TIME = "slurmstepd-vm: error: *** JOB 4 ON vm CANCELLED AT 2026-11-26T22:20:28 DUE TO TIME LIMIT ***"
CANCEL = "slurmstepd-vm: error: *** JOB 2 ON vm CANCELLED AT 2026-11-26T22:20:28 ***"
CGROUP = "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed."


def write(path: Path, text: str, time: float = 2000.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time, time))
    return path


@pytest.mark.parametrize("line", [MEMORY, TIME, CANCEL, CGROUP])
def test_reason_is_the_first_line_that_gives_one(tmp_path, line):
    log = write(
        tmp_path / "rule_extract/streets_vit_clean/9.log", f"Building DAG of jobs...\n{line}\nsrun: error: Killed\n"
    )
    assert scheduler_log(tmp_path, "extract", ["streets", "vit", "clean"], "", since=SINCE) == (log, line)


def test_a_job_that_failed_by_itself_has_a_log_and_no_reason(tmp_path):
    log = write(tmp_path / "rule_index/streets/3.log", "Error in rule index:\n    message: None\n")
    assert scheduler_log(tmp_path, "index", ["streets"], "", since=SINCE) == (log, "")


def test_last_attempt_of_this_run_counts(tmp_path):
    folder = tmp_path / "rule_fit_probe/streets_vit_"
    write(folder / "1.log", TIME, 500.0)
    assert scheduler_log(tmp_path, "fit_probe", ["streets", "vit", ""], "", since=SINCE) is None
    write(folder / "9.log", TIME, 2000.0)
    last = write(folder / "10.log", MEMORY, 3000.0)
    assert scheduler_log(tmp_path, "fit_probe", ["streets", "vit", ""], "", since=SINCE) == (last, MEMORY)


def test_a_job_of_a_group_is_found_by_its_own_log(tmp_path):
    write(tmp_path / "group_data_index_tile/5.log", f"    log: logs/tile/aerial.log\n{TIME}\n", 3000.0)
    log = write(tmp_path / "group_data_index_tile/4.log", f"    log: logs/tile/streets.log\n{MEMORY}\n")
    assert scheduler_log(tmp_path, "tile", ["streets"], "logs/tile/streets.log", since=SINCE) == (log, MEMORY)
    assert scheduler_log(tmp_path, "tile", ["videos"], "logs/tile/videos.log", since=SINCE) is None


def test_no_folder_no_log(tmp_path):
    assert scheduler_log(tmp_path / "slurm", "tile", ["streets"], "logs/tile/streets.log", since=SINCE) is None
