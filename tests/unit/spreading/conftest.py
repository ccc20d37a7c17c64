"""A scheduler with two workers, processes on this machine, started as a run starts it."""

import os
from pathlib import Path

import pytest

from patchprobe.spreading import cluster, server

SETTINGS = {"scheduler": "distributed", "workers": 2, "memory_mb": 1500, "patience": 60, "slurm": {}}


@pytest.fixture(scope="session", autouse=True)
def importable():
    """Processes that tests start find what lies beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory):
    """The address."""
    log = tmp_path_factory.mktemp("dask") / "dask.log"
    yield server.start(SETTINGS, log)
    cluster.disconnect()
    server.stop()


@pytest.fixture
def announced(scheduler, monkeypatch, tmp_path):
    """A process, in a folder of its own, whose evaluations are spread over the workers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cluster.ANNOUNCED, "")  # so that what is announced ends with the test
    cluster.announce(SETTINGS, address=scheduler)
    yield scheduler
    cluster.disconnect()
