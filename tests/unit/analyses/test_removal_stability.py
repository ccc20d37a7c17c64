"""What removals have in common: against SciPy's angles, sets counted by hand, and planted positions."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.linalg import subspace_angles

from patchprobe import measurements
from patchprobe.analyses.removal_stability import report
from patchprobe.analyses.removal_stability.measure import axes, measure, principal_cosines
from patchprobe.tokens.directions import Directions, gram_schmidt

GRID, FEATURES, TILES = (4, 4), 12, 30
PLACES = GRID[0] * GRID[1]
REMOVALS = ("drop-top-variance", "drop-top-components", "drop-position", "drop-position-planes")
OPTIONS = {"model": "m", "removals": REMOVALS, "penalty": 1e-4, "seed": 0, "spec": "s"}


def stores(seed, large, position):
    """Token, label and black store of two blocks; features ``large`` vary most in the last, 0 to 3 in the first.

    Position lies in the two features ``position`` of every block and of the black image.
    """
    rng = np.random.default_rng(seed)
    row, column = np.divmod(np.arange(PLACES), GRID[1])
    blocks = []
    for loud in ([0, 1, 2, 3], large):
        tokens = rng.standard_normal((TILES, PLACES, FEATURES))
        tokens[..., position] = 0
        tokens[..., position[0]] += 3 * row
        tokens[..., position[1]] += 3 * column
        tokens[..., loud] += 20 * rng.standard_normal((TILES, PLACES, len(loud)))
        blocks.append(tokens)
    dark = np.zeros((2, 1, PLACES, FEATURES))
    dark[..., position[0]], dark[..., position[1]] = row + 1, column + 1
    names = [f"t{tile}#r0c0" for tile in range(TILES)]
    owners = {"tile": names, "image_id": ("tile", names), "split": ("tile", ["train"] * TILES)}
    dims = ("level", "layer", "tile", "patch", "feature")
    places = {"level": [0.0], "layer": [5, 6], "patch_row": ("patch", row), "patch_col": ("patch", column)}
    attributes = {"class_ids": [0], "class_names": ["a"], "void_id": 255}
    return (
        xr.Dataset({"tokens": (dims, np.float32(blocks)[None])}, coords={**owners, **places}),
        xr.Dataset(
            {"label": (("tile", "y", "x"), np.zeros((TILES, *GRID), np.uint8))}, coords=owners, attrs=attributes
        ),
        xr.Dataset({"tokens": (dims, np.float32(dark)[None])}, coords=places),
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Data sets a and b, of which the last blocks share two of four loud features, and one of two directions of position."""
    path = tmp_path_factory.mktemp("stability") / "rows.parquet"
    given = [stores(0, [2, 3, 4, 5], [8, 9]), stores(1, [3, 4, 6, 7], [9, 10])]
    tokens, labels, black = zip(*given, strict=True)
    rows = measure(tokens, labels, black, datasets=["a", "b"], features=4, directions=2, **OPTIONS)
    measurements.write(rows, path)
    return measurements.read([path])


def values(rows, metric, **where):
    own = rows[(rows["metric"] == metric)]
    for column, value in where.items():
        own = own[own[column] == value]
    return own.set_index("variant")["value"]


def test_pairs_of_data_sets(measured):
    pairs = measured[measured["axis"] == ""]
    assert set(zip(pairs["dataset"], pairs["other_dataset"], pairs["layer"], strict=True)) == {("a", "b", 6)}
    assert values(pairs, "shared_features")["drop-top-variance"] == pytest.approx(2 / 4)
    assert values(pairs, "shared_features_by_chance")["drop-top-variance"] == pytest.approx(4 / 12)
    shared = values(pairs, "shared_subspace")
    assert shared["drop-position"] == pytest.approx(1 / 2, abs=1e-6)
    assert shared["drop-position-planes"] == pytest.approx(1 / 2, abs=0.01)
    assert set(values(pairs, "shared_subspace_by_chance")) == {2 / 12}
    # One direction is the same, the other at a right angle.
    assert values(pairs, "principal_angle_largest")["drop-position"] == pytest.approx(90, abs=0.01)
    assert values(pairs, "principal_angle_mean")["drop-position"] == pytest.approx(45, abs=0.1)
    assert set(pairs["n"]) == {2, 4}


def test_blocks_are_compared_with_the_last(measured):
    blocks = measured[(measured["axis"] == "block") & (measured["dataset"] == "a")]
    assert set(blocks["at"]) == {6} and set(blocks["other_dataset"]) == {""}
    assert values(blocks, "shared_features", layer=5)["drop-top-variance"] == pytest.approx(2 / 4)
    assert values(blocks, "shared_features", layer=6)["drop-top-variance"] == pytest.approx(1)
    assert values(blocks, "shared_subspace", layer=5)["drop-position"] == pytest.approx(1)
    assert values(blocks, "shared_subspace", layer=5)["drop-position-planes"] == pytest.approx(1, abs=0.01)
    assert values(blocks, "principal_angle_largest", layer=6).max() < 0.1
    assert values(blocks, "shared_subspace", layer=5)["drop-top-components"] < 0.8


def test_angles_are_those_of_scipy():
    rng = np.random.default_rng(0)
    one, other = (gram_schmidt(rng.standard_normal((4, 20)), np.empty((0, 20))) for _ in range(2))
    expected = np.sort(np.cos(subspace_angles(one.T, other.T)))[::-1]
    np.testing.assert_allclose(principal_cosines(Directions(one), Directions(other)), expected, atol=1e-12)


def test_random_subspaces_share_what_chance_says():
    rng = np.random.default_rng(1)
    drawn = [
        [Directions(gram_schmidt(rng.standard_normal((5, 25)), np.empty((0, 25)))) for _ in range(2)]
        for _ in range(300)
    ]
    found = [np.square(principal_cosines(*pair)).mean() for pair in drawn]
    assert np.mean(found) == pytest.approx(5 / 25, abs=0.01)


def test_features_of_few_and_shares():
    order = np.array([3, 1, 0, 2])
    assert np.flatnonzero(axes(order, 2).vectors.any(axis=0)).tolist() == [1, 3]
    assert len(axes(order, 0.5)) == 2 and len(axes(order, 200)) == 1  # 200 / 768 of 4


def test_what_there_is_not_is_left_out_and_logged(caplog):
    tokens, labels, black = stores(0, [2, 3], [8, 9])
    with caplog.at_level(logging.WARNING):
        rows = pd.DataFrame(
            measure([tokens], [labels], [black * 0], datasets=["a"], features=2, directions=2, **OPTIONS)
        )
    assert "m on a: drop-position has no directions" in caplog.text
    assert set(rows["variant"]) == set(REMOVALS) - {"drop-position"} and set(rows["axis"]) == {"block"}


def test_tables_and_figures(measured, tmp_path):
    outputs = [tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    report.table(measured, outputs, models=["m"], removals=REMOVALS)
    page = outputs[1].read_text()
    assert "| drop-top-variance m | 0.500 | 0.333 | 4 | - | - |" in page
    assert "| drop-position m | 0.500 | 0.167 | 2 | 45.0 | 90.0 |" in page
    assert "| drop-position m | 1.000 | 1.000 | 0.167 |" in page
    report.figure(measured, [tmp_path / "pairs.svg"], models=["m"], removals=REMOVALS)
    report.removal_blocks_figure(measured, [tmp_path / "blocks.svg"], dataset="a", models=["m"], removals=REMOVALS)
    assert min((tmp_path / name).stat().st_size for name in ("pairs.svg", "blocks.svg")) > 5000
