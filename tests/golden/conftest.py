"""Filling weights by the golden rule, and one table of all differences from official outputs."""

import functools
import importlib.util
import os
from pathlib import Path

import numpy as np
import official as harness
import pytest

_DIFFERENCES: dict[tuple[str, str, str], tuple[float, float]] = {}


@pytest.fixture(scope="session")
def fill(golden):
    """The module that makes weights, files and inputs from a spec."""
    spec = importlib.util.spec_from_file_location("fill", golden / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def official():
    """Return a golden folder by name, of whichever root has it; the test skips where it is absent."""
    shared = Path(os.environ.get("PATCHPROBE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    roots = [
        Path(os.environ.get("PATCHPROBE_GOLDEN", shared / "golden")),
        Path(os.environ.get("PATCHPROBE_GOLDEN_MORE", shared / "golden_more")),
    ]

    @functools.cache
    def folder(name):
        for root in roots:
            if (root / name / "spec.json").is_file():
                return harness.Golden(root.resolve(), name)
        pytest.skip(
            f"folder of golden outputs {name} is in none of {', '.join(map(str, roots))} (set PATCHPROBE_SHARED)"
        )

    return folder


@pytest.fixture(scope="session")
def full_size(tmp_path_factory):
    """Hold this while a full-size model is in memory: no other process of the tests has one then."""
    return lambda: harness.one_at_a_time(tmp_path_factory.getbasetemp().parent)


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
