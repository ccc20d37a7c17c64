import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import os, sys
    from types import SimpleNamespace as N
    from patchprobe.errors import DataError
    from patchprobe.run.jobs import run_job
    class Params(list):
        spec, code = '{"seed": 3}', "x"
    snakemake = N(log=[sys.argv[1]], input=N(one="a", many=["b", "c"]), output=[], wildcards=N(), threads=1,
                  resources=N(**{"gpu": int(sys.argv[3])} if len(sys.argv) > 3 else {}),
                  params=Params(['{"seed": 3}', "x"]))
    with run_job(snakemake) as job:
        assert job.spec == {"seed": 3} and str(job.input.one) == "a"
        assert [str(p) for p in job.input.all("many")] == ["b", "c"] and job.input.all("absent") == []
        assert job.device == ("cuda" if sys.argv[3:] == ["1"] else "cpu")
        print("from python")
        os.system("echo from a child")
        failure = sys.argv[2]
        if failure == "user": raise DataError("image x.png is truncated: replace it")
        if failure == "bug": raise KeyError("inner")
    """
)


@pytest.mark.parametrize("granted", [[], ["0"], ["1"]])
def test_device_follows_the_gpu_that_the_rule_asks_for(tmp_path, granted):
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "job.log"), "none", *granted], check=True)


@pytest.mark.parametrize(
    ("failure", "code", "last"),
    [
        ("none", 0, "from a child"),
        ("user", 1, "error: image x.png is truncated: replace it"),
        ("bug", 1, "KeyError: 'inner'"),
    ],
)
def test_log_holds_all_output_and_ends_with_the_error(tmp_path, failure, code, last):
    log = tmp_path / "logs" / "job.log"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(log), failure], capture_output=True, text=True)
    lines = log.read_text().splitlines()
    assert done.returncode == code and done.stdout == "" and done.stderr == ""
    assert lines[:2] == ["from python", "from a child"] and lines[-1] == last
    assert ("Traceback" in log.read_text()) == (failure == "bug")


def test_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "logs").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "logs/job.log"), "none"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "logs" in done.stderr
