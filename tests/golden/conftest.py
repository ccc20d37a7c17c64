"""Filling weights by the golden rule, and one table of all differences from official outputs."""

import functools
import os
from pathlib import Path

import numpy as np
import official as harness
import pytest

_DIFFERENCES: dict[tuple[str, str, str], tuple[float, float]] = {}


@pytest.fixture(scope="session")
def golden_roots():
    """The folders that hold golden folders and their ``fill.py``; the test skips where one is absent."""
    shared = Path(os.environ.get("PATCHPROBE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    roots = [
        Path(os.environ.get("PATCHPROBE_GOLDEN", shared / "golden")),
        Path(os.environ.get("PATCHPROBE_GOLDEN_MORE", shared / "golden_more")),
    ]
    for root in roots:
        if not (root / "fill.py").is_file():
            pytest.skip(f"folder of golden outputs {root} is absent (set PATCHPROBE_SHARED)")
    return [root.resolve() for root in roots]


@pytest.fixture(scope="session")
def official(golden_roots):
    """Return a golden folder by name, of whichever root has it."""

    @functools.cache
    def folder(name):
        root = next(root for root in golden_roots if (root / name / "spec.json").is_file())
        return harness.Golden(root, name)

    return folder


@pytest.fixture(scope="session")
def full_size(tmp_path_factory):
    """Hold this while a full-size model is in memory: no other process of the tests has one then."""
    return lambda: harness.one_at_a_time(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def alone(full_size):
    """Run a test while no other has a full-size model."""
    with full_size():
        yield


@pytest.fixture(scope="session")
def compare():
    """Assert that an output equals the official one, and note the largest difference."""

    def compare(model, case, output, ours, expected, atol):
        ours = np.asarray(ours)
        assert ours.shape == expected.shape and np.isfinite(expected).all()
        difference = float(np.abs(ours - expected).max())
        _DIFFERENCES[model, case, output] = difference, atol
        assert difference <= atol, f"{model} {case} {output}: {difference:.2g} > {atol:g}"

    return compare


def pytest_sessionfinish():
    """Write the differences as a table into the file that PATCHPROBE_DIFFERENCES names."""
    file = os.environ.get("PATCHPROBE_DIFFERENCES")
    if file and _DIFFERENCES:
        rows = [
            f"| {model} | {case} | {output} | {difference:.1e} | {atol:.0e} |"
            for (model, case, output), (difference, atol) in sorted(_DIFFERENCES.items())
        ]
        head = ["| model | case | output | largest difference | tolerance |", "|---|---|---|---|---|"]
        Path(file).write_text("\n".join([*head, *rows]) + "\n")
