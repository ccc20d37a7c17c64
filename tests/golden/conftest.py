"""Filling weights by the golden rule, and all differences from official outputs: held to the recorded ones, or written as a table."""

import functools
import os
from pathlib import Path

import numpy as np
import official as harness
import pytest

from patchprobe.reference.verification import measured

_DIFFERENCES: dict[tuple[str, str, str], tuple[float, float]] = {}
_MISTAKES: dict[tuple[str, str], tuple[float, float]] = {}
RECORDING = os.environ.get("PATCHPROBE_DIFFERENCES")
# Other processors add in another order. A difference far above the recorded one is a change of ours all the same, but
# below half the tolerance the two cannot be told apart: float32 itself is 3e-6 to 6e-6 from float64 here.
TIMES, SHARE_OF_TOLERANCE = 3, 0.5


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
    """Assert that an output equals the official one, no worse than docs/verification.md says, and note the largest difference."""
    recorded = measured()

    def compare(model, case, output, ours, expected, atol):
        ours = np.asarray(ours)
        assert ours.shape == expected.shape and np.isfinite(expected).all()
        difference = float(np.abs(ours - expected).max())
        _DIFFERENCES[model, case, output] = difference, atol
        assert difference <= atol, f"{model} {case} {output}: {difference:.2g} > {atol:g}"
        if not RECORDING:
            known = recorded.difference(model, case, output)
            assert known is not None, f"{model} {case} {output} is not recorded: see tests/golden/record.py"
            limit = max(TIMES * known, SHARE_OF_TOLERANCE * atol)
            assert difference <= limit, f"{model} {case} {output}: {difference:.2g}, recorded is {known:.2g}"

    return compare


@pytest.fixture(scope="session")
def mistaken():
    """Assert that a deliberate mistake moves the tokens by more than the tolerance, and note by how much."""

    def mistaken(model, mistake, moved, atol):
        assert not np.isnan(moved)
        _MISTAKES[model, mistake] = moved, atol
        assert moved > 3 * atol, f"{model} {mistake}: {moved:.2g}"
        assert RECORDING or mistake in measured().mistakes(model), (
            f"{model} {mistake} is not recorded: see tests/golden/record.py"
        )

    return mistaken


def pytest_sessionfinish():
    """Write the differences as tables into the file that PATCHPROBE_DIFFERENCES names, each worker into one of its own."""
    if not RECORDING or not (_DIFFERENCES or _MISTAKES):
        return
    differences = [
        f"| {model} | {case} | {output} | {difference:.1e} | {atol:.0e} |"
        for (model, case, output), (difference, atol) in sorted(_DIFFERENCES.items())
    ]
    mistakes = [
        f"| {model} | {mistake} | {moved:.1e} | {atol:.0e} |"
        for (model, mistake), (moved, atol) in sorted(_MISTAKES.items())
    ]
    lines = [
        "| model | case | output | largest difference | tolerance |",
        "|---|---|---|---|---|",
        *differences,
        "",
        "| model | mistake | moves tokens by | tolerance |",
        "|---|---|---|---|",
        *mistakes,
    ]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    Path(RECORDING + worker).write_text("\n".join(lines) + "\n")
