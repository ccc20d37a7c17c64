"""The finished runs that tests of the workflow share."""

import os
import shutil
from pathlib import Path

import pytest
from disturbance.cases import Cases
from projects import FINISHED, FORKSERVER, Project, fork_server, make_project

from patchprobe.files import locked
from patchprobe.run import forkserver


@pytest.fixture(scope="session", autouse=True)
def forkserver_of_tests(tmp_path_factory):
    """Importing the libraries takes longer than most jobs of these runs; each worker of the tests does it once."""
    address = tmp_path_factory.mktemp("forkserver") / "socket"
    with fork_server(address):
        FORKSERVER[forkserver.ADDRESS] = str(address)
        yield


@pytest.fixture
def own_forkserver(monkeypatch):
    """Each run of the test starts the server of its jobs, as a user's does."""
    monkeypatch.delitem(FORKSERVER, forkserver.ADDRESS)


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Project:
    """A whole run with the tiny configuration, by the line users type, with jobs forked; never changed by a test."""
    base = _shared_by_workers(tmp_path_factory)
    folder, whole = base / "finished" / "project", base / "finished" / "whole"
    folder.parent.mkdir(exist_ok=True)
    with locked(base / "finished.lock"):
        if whole.exists():
            return Project(folder)
        shutil.rmtree(folder, ignore_errors=True)
        project = make_project(repository, folder, FINISHED)
        # Forked jobs for the many jobs of this run alone; the choice is part of no job's spec.
        project.snakemake("--config", "fork_jobs=True", "threads=1", "--cores", "8", "--resources", "gpu=1", "all")
        whole.touch()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished run that a test may change."""
    return finished.copy(tmp_path / "project")


def _shared_by_workers(tmp_path_factory) -> Path:
    """A folder for what one worker has run and the others may take."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _undisturbed(repository, tmp_path_factory, config: str) -> Cases:
    return Cases(repository, _shared_by_workers(tmp_path_factory) / "undisturbed", config)


@pytest.fixture(scope="session")
def chain(repository, tmp_path_factory) -> Cases:
    """Undisturbed runs of a few jobs in a row."""
    return _undisturbed(repository, tmp_path_factory, "chain")


@pytest.fixture(scope="session")
def full(repository, tmp_path_factory) -> Cases:
    """Undisturbed runs of nearly every rule."""
    return _undisturbed(repository, tmp_path_factory, "full")
