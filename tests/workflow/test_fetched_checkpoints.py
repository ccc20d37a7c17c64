"""Checkpoints that the workflow fetches, and those that it must leave alone."""

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import safetensors.torch
import timm
from projects import TINY, make_project
from serving import serving

pytestmark = pytest.mark.workflow

CARDS = ("results/streets/features/tiny/card.json", "results/streets/features/small/card.json")
TOKENS = "results/streets/features/tiny/clean.manifest.json"
TARGETS = ("--", TOKENS, *CARDS)


class Server(ThreadingHTTPServer):
    """Serves the files of a dictionary; the ones named in ``held`` only after ``go_on``."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.held = files, [], set()
        self.waiting, self.go_on = threading.Event(), threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path in self.server.held:
            self.server.waiting.set()
            self.server.go_on.wait(120)
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")


def weights(depth):
    return safetensors.torch.save(timm.create_model("test_vit", num_classes=0, depth=depth).state_dict())


@pytest.fixture(scope="module")
def files():
    return {"/tiny.safetensors": weights(6), "/small.safetensors": weights(6)}


@pytest.fixture
def server(files, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving(Server(files)) as server:
        yield server


@pytest.fixture
def project(repository, tmp_path, server):
    """A project that has not run, with two models whose checkpoints the server has."""
    entry = {"source": "timm", "architecture": "test_vit", "input_size": 32}
    models = {
        name: entry | {"checkpoint": f"{name}.safetensors", "url": f"{server.address}/{name}.safetensors"}
        for name in ("tiny", "small")
    }
    config = TINY | {"models": models, "corruptions": {}, "extraction": {"layers": {"clean": "last"}}}
    return make_project(repository, tmp_path / "project", config)


def checkpoint(project, model="tiny"):
    return project.folder / f"checkpoints/{model}.safetensors"


def point(project, **changes):
    config = project.config()
    config["models"]["tiny"] |= changes
    project.write_config(config)


def test_a_dry_run_says_which_weights_nothing_fetches(project):
    config = project.config()
    config["models"]["tiny"]["url"] = None
    config["models"]["hub"] = {"source": "timm", "architecture": "vit_tiny_patch16_224"}
    project.write_config(config)
    dry = project.snakemake("--cores", "2", "--dry-run", "all").stdout
    assert "would need checkpoints/tiny.safetensors, to be put there by hand (docs/models.md)" in dry
    assert dry.count("would take the weights of hub from timm's hub") == 1


def test_fetched_once_and_left_alone(project, server, files, tmp_path):
    dry = project.snakemake("--cores", "2", "--dry-run", *TARGETS).stdout
    assert (
        f"would fetch checkpoints/tiny.safetensors from {server.address}/tiny.safetensors" in dry and not server.asked
    )
    first = project.snakemake("--cores", "2", *TARGETS)
    assert first.stdout.count("localrule fetch_checkpoint:") == 2
    assert checkpoint(project).read_bytes() == files["/tiny.safetensors"] and len(server.asked) == 2
    assert "100%" in (project.folder / "logs/fetch_checkpoint/tiny.safetensors.log").read_text()
    assert "Nothing to be done" in project.snakemake("--cores", "2", *TARGETS).stdout

    point(project, url="http://127.0.0.1:9/mirror.safetensors")
    assert not project.plan(*TARGETS)
    assert "fetch_checkpoint tiny.safetensors" not in project.plan("--forceall", *TARGETS)

    gone = project.copy(tmp_path / "gone")
    checkpoint(gone).unlink()
    assert not gone.plan(*TARGETS)

    project.snakemake("--cores", "2", "--forceall", "--", CARDS[0])
    assert checkpoint(project).read_bytes() == files["/tiny.safetensors"] and len(server.asked) == 2

    later = time.time() + 100
    os.utime(checkpoint(project), (later, later))
    assert not project.plan(*TARGETS)

    another = tmp_path / "another.safetensors"
    another.write_bytes(weights(6))
    os.utime(another, (1e9, 1e9))
    another.rename(checkpoint(project))
    assert set(project.plan(*TARGETS)) == {"inspect_model streets,tiny", "extract streets,tiny,clean"}


def test_file_put_there_by_hand_is_never_touched(project, server):
    checkpoint(project).parent.mkdir()
    mine = weights(6)
    checkpoint(project).write_bytes(mine)
    os.utime(checkpoint(project), (1e9, 1e9))
    for words in (
        ("--forceall", "--", CARDS[0]),
        ("--delete-all-output",),
        ("--forcerun", "fetch_checkpoint", "--", CARDS[0]),
    ):
        project.snakemake("--cores", "2", *words)
        assert checkpoint(project).read_bytes() == mine and checkpoint(project).stat().st_mtime == 1e9
    assert set(server.asked) <= {"/small.safetensors"}


def test_file_put_there_while_its_job_waits_is_not_deleted(project, server):
    """With one core the second download starts when the first ends; the graph of jobs is older than the file."""
    server.held = {"/small.safetensors", "/tiny.safetensors"}
    run = threading.Thread(target=lambda: project.snakemake("--cores", "1", "--", *CARDS))
    run.start()
    assert server.waiting.wait(120)
    second = "tiny" if "small" in server.asked[0] else "small"
    mine = weights(6)
    checkpoint(project, second).write_bytes(mine)
    server.go_on.set()
    run.join()
    assert checkpoint(project, second).read_bytes() == mine and len(server.asked) == 1
    assert all((project.folder / card).exists() for card in CARDS)


def test_what_cannot_be_fetched_says_what_to_put_where(project, server, monkeypatch):
    def failure():
        done = project.snakemake("--cores", "2", *TARGETS[:2], check=False)
        assert done.returncode and "Traceback" not in done.stdout
        assert not checkpoint(project).exists() and not list(project.folder.glob("logs/inspect_model/*"))
        lines = [line for line in done.stdout.splitlines() if "error: " in line]
        assert lines and str(checkpoint(project).parent) in lines[0] and "tiny.safetensors" in lines[0]
        return lines[0]

    point(project, url=f"{server.address}/other.safetensors")
    assert "404" in failure()
    point(project, url=None)
    done = project.snakemake("--cores", "2", *TARGETS[:2], check=False).stdout
    said = "checkpoints/tiny.safetensors of models.tiny is not there and cannot be fetched: put it there by hand"
    assert said in done and done.index(said) < done.index("localrule fetch_checkpoint:")
    assert "models.tiny.url" in failure()
    point(project, url=f"{server.address}/tiny.safetensors")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in failure()
    assert server.asked == ["/other.safetensors"]


def test_another_file_than_expected_ends_the_run(project, server, files):
    for kind, wrong in (("sha256", "0" * 64), ("md5", "0" * 6)):
        point(project, **{"sha256": None, "md5": None, kind: wrong})
        done = project.snakemake("--cores", "2", *TARGETS[:2], check=False)
        assert done.returncode and f"models.tiny.{kind} is" in done.stdout
        assert not checkpoint(project).exists()
