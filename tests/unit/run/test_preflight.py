"""Files and folders that would end a run somewhere in its middle are found before the first job."""

import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from patchprobe.errors import ConfigError, DataError, StoreError
from patchprobe.files import check_writable, explain
from patchprobe.run.preflight import check_folders, check_targets, check_times

NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(path, modified):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (modified, modified))
    return str(path)


def test_times_of_the_past_and_missing_files_are_nothing():
    check_times([make("a", NOW - 1), "none", make("results/b", NOW)], now=NOW)


def test_file_of_the_future_is_named_with_the_remedy():
    file = make("data/weights.pth", NOW + 86400)
    with pytest.raises(DataError, match=r"the time of data/weights\.pth lies in the future \(up to ") as caught:
        check_times([make("a", NOW), file], now=NOW)
    text = str(caught.value)
    assert "correct the clock" in text and "find -H data/weights.pth -newermt now" in text and "\n" not in text


def test_many_files_of_the_future_are_counted_and_results_have_one_remedy():
    files = [make(f"results/streets/{i}.csv", NOW + 86400) for i in range(5)]
    with pytest.raises(DataError, match=r"0\.csv .*1\.csv .*2\.csv and 2 more lies") as caught:
        check_times(files, now=NOW)
    assert "find -H results -newermt now" in str(caught.value)


def test_the_remedy_helps():
    files = [make(f"results/a b/{i}.csv", time.time() + 86400) for i in range(2)]
    with pytest.raises(DataError) as caught:
        check_times(files, now=time.time())
    command = str(caught.value).partition("set the time back (")[2].partition("), and run again")[0]
    # As typed into a shell, where {} and + are words like others.
    subprocess.run(command, shell=True, check=True)
    check_times(files, now=time.time())


def test_a_folder_that_a_job_made_has_the_time_of_its_stamp():
    stamp = make("results/x.zarr/.snakemake_timestamp", NOW - 5)
    os.utime("results/x.zarr", (NOW + 86400, NOW + 86400))
    check_times(["results/x.zarr"], now=NOW)
    os.utime(stamp, (NOW + 86400, NOW + 86400))
    with pytest.raises(DataError, match="snakemake_timestamp"):
        check_times(["results/x.zarr"], now=NOW)


def test_link_into_the_future_is_named():
    make("target", NOW + 86400)
    Path("link").symlink_to("target")
    os.utime("link", (NOW, NOW), follow_symlinks=False)
    with pytest.raises(DataError, match="link lies in the future"):
        check_times(["link"], now=NOW)


def test_some_seconds_are_waited_for(capsys):
    now = time.time()
    check_times([make("a", now + 0.5)], now=now)
    assert time.time() >= now + 0.5 and "a lies in the future; waiting" in capsys.readouterr().err


def test_folders_that_take_files_are_left_as_they_are():
    Path("results/there").mkdir(parents=True)
    check_folders(["results/there/x.csv", "results/new/deep/y.csv", "logs/tile/z.log", "/weights/w.pth"])
    assert [str(path) for path in Path().rglob("*")] == ["results", "results/there"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_file_in_the_place_of_a_folder_is_named(kind):
    if kind == "file":
        Path("logs").write_text("")
    else:
        Path("logs").symlink_to("nowhere")
    with pytest.raises(StoreError, match=r"logs is no folder, .*; remove it and run again"):
        check_folders(["logs/tile/x.log"])


LIMITED = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from patchprobe.errors import StoreError
    from patchprobe.files import check_writable
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        check_writable([Path("results")])
    except StoreError as error:
        print(error)
    """
)


def test_folder_that_takes_no_file_is_named_and_left_clean():
    Path("results").mkdir()
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert "a file would be larger than allowed while writing results" in done.stdout and "ulimit -f" in done.stdout
    assert not list(Path("results").iterdir())


def test_forbidden_folder_is_named():
    Path("results").mkdir(mode=0o555)
    program = (
        "import os, sys; from pathlib import Path; from patchprobe.files import check_writable\n"
        # Whoever runs this, it is not root then, whom permissions do not concern.
        "os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))\n"
        "try: check_writable([Path('results')])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    for folder in (Path.cwd(), *Path.cwd().parents[:2]):
        folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "StoreError permission is denied while writing results" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space", "a/b"),
            "the disk is full at a/b; free some space (df) or files (df -i) and",
        ),
        (
            OSError(errno.EROFS, "Read-only", "a"),
            "the file system is read-only at a; mount it for writing and run again",
        ),
        (OSError(errno.EACCES, "no", "a"), "permission is denied at a; permit reading and writing and run again"),
        (
            OSError(errno.EFBIG, "File too large"),
            "a file would be larger than allowed; raise the limit (ulimit -f) and",
        ),
        (OSError(errno.EEXIST, "exists", ".snakemake"), ".snakemake is, or is below, a file where a folder has to be;"),
        (OSError(errno.EBUSY, "Device or resource busy", "a"), "Device or resource busy at a"),
        (FileNotFoundError("plain"), "plain"),
    ],
)
def test_errors_of_the_system_are_explained(error, expected):
    assert explain(error).startswith(expected)
    assert "\n" not in explain(error)


def test_nothing_to_check_is_nothing():
    check_writable([])


NAMES = {"models": {"dino": {}, "my-vit": {}}, "datasets": {"street": {}, "towns": {}}}


@pytest.mark.parametrize(
    "target",
    [
        *("all", "extract", "other/x.csv", "results/report.zip", "results/models/dino.csv"),
        *("results/models/my-vit.removal_stability.parquet", "results/street/images.csv", "results/tables/x.csv"),
        *("results/pages/x.html", "results/pretraining/mae/x"),
    ],
)
def test_targets_of_the_configuration_and_others_are_left_to_snakemake(target):
    check_targets([target], NAMES)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "results/models/my_vit.csv",
            r"models of the configuration has no my_vit, but dino, my-vit: did you mean my-vit\?",
        ),
        ("results/models/mae.csv", "has no mae, but dino, my-vit: correct the name, or add it"),
        (
            "results/stret/images.csv",
            r"datasets of the configuration has no stret, but street, towns: did you mean street\?",
        ),
    ],
)
def test_a_target_of_a_name_that_the_configuration_has_not_is_named_with_those_it_has(target, words):
    with pytest.raises(ConfigError, match=f"^{target}: .*{words}"):
        check_targets(["all", target], NAMES)
