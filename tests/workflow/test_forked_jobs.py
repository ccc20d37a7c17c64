"""Jobs that are forked from one process end as jobs of their own would: same results, errors, kills."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import TINY, environment, make_project

from patchprobe.run import forkserver

pytestmark = [pytest.mark.workflow, pytest.mark.usefixtures("own_forkserver")]
LINE = ("--cores", "2", "results/streets/patch_classification/pixels-b.clean.parquet")


@pytest.fixture
def project(repository, tmp_path):
    return make_project(repository, tmp_path / "project", TINY)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of its own, as a run starts it, and its folder."""
    folder = tmp_path_factory.mktemp("server")
    forkserver.start(folder)
    process = forkserver._running.pop()
    address = os.environ.pop(forkserver.ADDRESS)
    deadline = time.time() + 120
    while not Path(address).exists():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.1)
    yield address
    process.stdin.close()
    process.wait(20)
    assert not Path(address).exists()


def script(folder, text):
    path = folder / "job.py"
    source = Path(forkserver.__file__).parents[2]
    head = f"import sys\nsys.path.insert(0, {str(source)!r})\nfrom patchprobe.run.forkserver import hand_over\nhand_over()\n"
    path.write_text(head + text)
    return path


def launch(server, path, **more):
    return subprocess.Popen(
        [sys.executable, str(path), "word"],
        env=environment() | {forkserver.ADDRESS: server, "OMP_NUM_THREADS": "1", "OWN": "yes"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


def test_a_job_sees_its_own_process(server, tmp_path):
    path = script(
        tmp_path,
        "import os, torch\n"
        "print(os.getcwd(), sys.argv[1], os.environ['OWN'], torch.get_num_threads(), os.getppid(), flush=True)\n"
        f"print({forkserver.ADDRESS!r} in os.environ, file=sys.stderr)\n"
        "raise SystemExit(3)\n",
    )
    job = launch(server, path, cwd=tmp_path)
    text, _ = job.communicate(timeout=300)
    folder, word, own, threads, parent = text.splitlines()[0].split()
    assert (folder, word, own, threads) == (str(tmp_path), "word", "yes", "1") and int(parent) != os.getpid()
    assert text.splitlines()[1] == "False" and job.returncode == 3


def test_nothing_behind_the_first_line_runs_in_the_process_that_waits(server, tmp_path):
    path = tmp_path / "job.py"
    path.write_text(forkserver.FIRST_LINE + "open('ran', 'a').write('once ')\n")
    job = launch(server, path, cwd=tmp_path)
    job.communicate(timeout=300)
    assert job.returncode == 0 and (tmp_path / "ran").read_text() == "once "


def test_an_exception_is_shown_and_fails_the_job(server, tmp_path):
    job = launch(server, script(tmp_path, "raise ValueError('seen')\n"))
    text, _ = job.communicate(timeout=300)
    assert "ValueError: seen" in text and job.returncode == 1


def test_a_job_killed_by_a_signal_says_so(server, tmp_path):
    job = launch(server, script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"))
    job.communicate(timeout=300)
    assert job.returncode == -signal.SIGKILL


def test_an_interrupt_is_no_error_of_the_job(server, tmp_path):
    job = launch(server, script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"))
    text, _ = job.communicate(timeout=300)
    assert text == "interrupted\n" and job.returncode == 128 + signal.SIGINT


def test_the_fork_dies_with_the_process_that_waits_for_it(server, tmp_path):
    path = script(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    job = launch(server, path)
    fork = int(job.stdout.readline())
    assert fork != job.pid and Path(f"/proc/{fork}").exists()
    job.kill()
    deadline = time.time() + 20
    while Path(f"/proc/{fork}").exists():
        assert time.time() < deadline
        time.sleep(0.05)


def test_without_a_server_a_job_runs_by_itself(tmp_path):
    job = launch(str(tmp_path / "nowhere" / "socket"), script(tmp_path, "print('by myself')\n"))
    text, _ = job.communicate(timeout=300)
    assert "by myself" in text and job.returncode == 0


def test_a_run_with_forked_jobs_has_the_results_of_one_without(project, tmp_path):
    project.snakemake("--skip-script-cleanup", *LINE)
    # Before anything that Snakemake puts in front of a script is imported.
    scripts = [path.read_text() for path in project.folder.glob(".snakemake/scripts/*.py")]
    assert scripts and all(text.startswith(forkserver.FIRST_LINE.partition("'")[0]) for text in scripts)
    plain = project.copy(tmp_path / "plain")
    config = plain.config() | {"fork_jobs": False}
    plain.write_config(config)
    assert not plain.plan(*LINE[2:])
    forced = ("--forcerun", "extract", "fit_probe", "patch_classification", "--", *LINE[2:])
    planned = plain.plan(*forced)
    done = plain.snakemake(*LINE[:2], *forced)
    stages = re.search(r"^stage +jobs +seconds\n((?:.+\n)+)The run took ", done.stdout, re.MULTILINE)
    assert stages and sum(int(row.split()[1]) for row in stages[1].splitlines()) == planned.total()
    assert (project.folder / LINE[-1]).read_bytes() == (plain.folder / LINE[-1]).read_bytes()
    assert not list(project.folder.glob(".snakemake/*.socket"))


def test_an_error_of_a_forked_job_is_shown_as_ever(project):
    config = project.config()
    config["models"]["pixels-b"]["patch_size"] = 5
    project.write_config(config)
    done = project.snakemake(*LINE, check=False)
    assert done.returncode and "pixels-b" in done.stdout and "Traceback" not in done.stdout
