"""Fixtures shared by all tests."""

import importlib.util
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


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
