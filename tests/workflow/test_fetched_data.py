"""Data sets that the workflow fetches: CamVid's genuine pictures, packed as GitHub packs them, from a local server."""

import os
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest
from archives import camvid
from breaking_server import Server
from projects import FORKSERVER, TINY, environment, make_project
from serving import serving

from patchprobe.datasets.released import MARKER

pytestmark = pytest.mark.workflow

TARGETS = ("--", "results/camvid/tiles/clean.manifest.json", "results/camvid/labels.manifest.json")
JOBS = {"index camvid", "tile camvid", "label camvid"}


@pytest.fixture(scope="module")
def archive(shared):
    return camvid(shared)


@pytest.fixture
def server(archive, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving(Server({archive[0]: archive[1]})) as server:
        yield server


@pytest.fixture
def project(repository, tmp_path, server):
    entry = {
        "adapter": "camvid",
        "download": True,
        "splits": {"train": {"source": "train", "images": 3}, "evaluation": {"source": "test", "images": 2}},
        "tiling": {"size": 360, "resize": 32},
    }
    config = TINY | {
        "datasets": {"camvid": entry},
        "corruptions": {},
        "extraction": {"layers": {"clean": "last"}},
        "accept_licences": ["camvid"],
        "mirror": f"http://127.0.0.1:{server.server_port}/archives",
    }
    return make_project(repository, tmp_path / "project", config)


def same_files(one, other):
    files = {path.relative_to(other) for path in other.rglob("*") if path.is_file()}
    assert files == {p.relative_to(one) for p in one.rglob("*") if p.is_file() and p.name != MARKER}
    return all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def change(project, **keys):
    config = project.config()
    config["datasets"]["camvid"] |= {key: value for key, value in keys.items() if key in ("download", "root")}
    config |= {key: value for key, value in keys.items() if key not in ("download", "root")}
    project.write_config(config)


def test_fetched_unpacked_and_left_alone(project, server, shared, tmp_path):
    dry = project.snakemake("--cores", "2", "--dry-run", *TARGETS).stdout
    assert "would fetch CamVid" in dry and "data/CamVid" in dry and not server.asked
    assert not (project.folder / "data").exists()
    first = project.snakemake("--cores", "2", *TARGETS)
    assert first.stdout.count("localrule fetch_data:") == 1
    data = project.folder / "data/CamVid"
    assert same_files(data, shared / "samples/camvid/CamVid") and len(server.asked) == 1
    assert "100%" in (project.folder / "logs/fetch_data/CamVid.log").read_text()
    assert len(pd.read_csv(project.folder / "results/camvid/images.csv")) == 5
    assert not list((project.folder / "data/downloads").iterdir())

    # Nothing of how it came counts.
    assert not project.plan(*TARGETS)
    (data / MARKER).touch()
    os.utime(data / MARKER, (time.time() + 50, time.time() + 50))
    assert not project.plan(*TARGETS)
    change(project, mirror="http://127.0.0.1:9/elsewhere")
    assert not project.plan(*TARGETS)
    change(project, download=False, root="CamVid", accept_licences=[])
    assert not project.plan(*TARGETS)
    change(project, download=True, accept_licences=["camvid"])
    os.utime(data / MARKER)
    gone = project.copy(tmp_path / "gone")
    shutil.rmtree(gone.folder / "data/CamVid")
    assert not gone.plan(*TARGETS)
    assert "fetch_data CamVid" not in project.plan("--forceall", *TARGETS)
    project.snakemake("--cores", "2", "--delete-all-output", *TARGETS)
    assert same_files(data, shared / "samples/camvid/CamVid") and len(server.asked) == 1

    # A file that comes counts.
    project.snakemake("--cores", "2", *TARGETS)
    assert len(server.asked) == 1 and not project.plan(*TARGETS)
    shutil.copy(min(data.glob("train/*.png")), data / "train/0001TP_000000.png")
    assert "index camvid" in project.plan(*TARGETS)


def test_data_in_place_are_taken_as_they_are(project, server, shared):
    data = project.folder / "data/CamVid"
    shutil.copytree(shared / "samples/camvid/CamVid", data)
    change(project, download=False, root="CamVid", accept_licences=[])
    project.snakemake("--cores", "2", *TARGETS)
    change(project, download=True, accept_licences=["camvid"])
    assert not project.plan(*TARGETS)
    assert set(project.plan("--forceall", *TARGETS)) == JOBS
    assert not server.asked and not (data / MARKER).exists()
    shutil.rmtree(data / "testannot")
    done = project.snakemake("--cores", "2", *TARGETS, check=False)
    assert done.returncode and "is there without testannot" in done.stdout and "Traceback" not in done.stdout


def test_the_licence_has_to_be_accepted(project, server):
    change(project, accept_licences=[])
    done = project.snakemake("--cores", "2", "--dry-run", *TARGETS, check=False)
    errors = [line for line in done.stdout.splitlines() if "datasets.camvid.download" in line]
    assert done.returncode and len(errors) == 1 and "accept_licences: [camvid]" in errors[0]


def test_a_mirror_that_is_not_there_is_said_before_anything_is_fetched(project, server, shared):
    change(project, mirror="file:///nope")
    done = project.snakemake("--cores", "2", "--dry-run", *TARGETS, check=False)
    assert done.returncode and "key mirror is file:///nope, but /nope is not there" in done.stdout
    assert "Traceback" not in done.stdout
    # Nothing of it counts where nothing is fetched.
    shutil.copytree(shared / "samples/camvid/CamVid", project.folder / "data/CamVid")
    assert set(project.plan(*TARGETS)) == JOBS


def test_what_cannot_be_fetched_says_what_to_put_where(project, server, archive, monkeypatch):
    def failure():
        done = project.snakemake("--cores", "2", *TARGETS, check=False)
        assert done.returncode and "Traceback" not in done.stdout
        data = project.folder / "data/CamVid"
        assert not data.exists() or not list(data.iterdir())
        lines = [line for line in done.stdout.splitlines() if "error: " in line]
        assert lines and str(project.folder / "data/downloads") in lines[0] and archive[0] in lines[0]
        return lines[0]

    server.content = {}
    assert "404" in failure()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in failure()
    (project.folder / "data/downloads").mkdir(parents=True, exist_ok=True)
    (project.folder / "data/downloads" / archive[0]).write_bytes(archive[1])
    project.snakemake("--cores", "2", *TARGETS)
    assert (project.folder / "data/downloads" / archive[0]).exists() and len(server.asked) == 1


def test_a_killed_run_goes_on(project, server, archive, shared):
    size = len(archive[1])
    for cut in (size // 4, size // 2, size * 3 // 4):
        server.stalled.clear()
        server.plans = [{"cut": cut, "stall": True}]
        run = subprocess.Popen(
            project.command("--cores", "2", *TARGETS),
            cwd=project.folder,
            env=environment() | FORKSERVER,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert server.stalled.wait(120)
        time.sleep(0.5)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    project.snakemake("--cores", "2", *TARGETS)
    assert same_files(project.folder / "data/CamVid", shared / "samples/camvid/CamVid")
    assert all("Range" in headers for _, headers in server.asked[1:]) and len(server.asked) == 4
    assert not project.plan(*TARGETS)
