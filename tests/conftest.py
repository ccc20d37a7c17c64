"""Fixtures shared by all tests."""

import gc
import importlib.util
import os
from pathlib import Path

import pytest
from object_server import ObjectServer

REPOSITORY = Path(__file__).resolve().parents[1]

# Modules and tests stay: looking among them for garbage, over and over, is a sixth of the time that collecting tests takes.
gc.set_threshold(100_000)


# Folders and files whose tests take minutes, in the order in which workers are to begin them.
LONG = (
    "workflow/test_quickstart.py",
    "workflow/test_slurm.py",
    "workflow/test_failures_in_finished_runs.py",
    "workflow",
    "golden",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long tests first, so that at the end of a run there are short files to share among workers."""
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    """Leave out of later searches for garbage what is there for all tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let what watches for leaks at the end find none."""
    gc.unfreeze()


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(REPOSITORY / "tests").as_posix()
    return next((rank for rank, start in enumerate(LONG) if f"{path}/".startswith(f"{start}/")), len(LONG))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real samples, weights and golden outputs; the test skips where it is absent."""
    folder = Path(os.environ.get("PATCHPROBE_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"shared folder {folder} is absent (set PATCHPROBE_SHARED)")
    return folder.resolve()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of outputs of official model code; the test skips where it is absent."""
    shared = Path(os.environ.get("PATCHPROBE_SHARED", REPOSITORY.parent / "shared"))
    folder = Path(os.environ.get("PATCHPROBE_GOLDEN", shared / "golden"))
    if not (folder / "fill.py").is_file():
        pytest.skip(f"folder of golden outputs {folder} is absent (set PATCHPROBE_GOLDEN)")
    return folder.resolve()


@pytest.fixture(scope="session")
def fill(golden):
    """The module that makes weights, files and inputs from a spec."""
    spec = importlib.util.spec_from_file_location("fill", golden / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def object_server(tmp_path_factory):
    """A server that speaks S3, for all tests of a file."""
    with ObjectServer(tmp_path_factory.mktemp("objects")) as server:
        yield server
