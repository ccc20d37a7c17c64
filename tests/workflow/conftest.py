"""The finished runs that tests of the workflow share."""

import os

import pytest
from disturbance.cases import Cases
from projects import FINISHED, Project, make_project


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Project:
    """A whole run with the tiny configuration, by the line users type, with jobs forked; never changed by a test."""
    project = make_project(repository, tmp_path_factory.mktemp("finished") / "project", FINISHED)
    # Forked jobs for the many jobs of this run alone; the choice is part of no job's spec.
    project.snakemake("--config", "fork_jobs=True", "threads=1", "--cores", "8", "--resources", "gpu=1", "all")
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished run that a test may change."""
    return finished.copy(tmp_path / "project")


def _undisturbed(repository, tmp_path_factory, config: str) -> Cases:
    # Workers share what one of them has run.
    base = tmp_path_factory.getbasetemp()
    return Cases(repository, (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed", config)


@pytest.fixture(scope="session")
def chain(repository, tmp_path_factory) -> Cases:
    """Undisturbed runs of a few jobs in a row."""
    return _undisturbed(repository, tmp_path_factory, "chain")


@pytest.fixture(scope="session")
def full(repository, tmp_path_factory) -> Cases:
    """Undisturbed runs of nearly every rule."""
    return _undisturbed(repository, tmp_path_factory, "full")
