"""Directions that are taken out of tokens: against the official code of INSID3 and RASA, scikit-learn, and planted truths."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge

from patchprobe.tokens.directions import (
    Directions,
    black_directions,
    gram_schmidt,
    moments_of,
    plane_directions,
    position_planes,
    top_components,
    unit_length,
)
from patchprobe.tokens.places import place_means

GRID = (4, 6)


@pytest.fixture(scope="module")
def official(shared):
    """Inputs and outcomes of the official code, by a folder of cases and the name of one."""
    folder = shared / "golden_protocols"

    def read(name, case):
        cases = np.load(folder / name / "cases.npz")
        found = {key.removeprefix(f"{case}/"): cases[key] for key in cases.files if key.startswith(f"{case}/")}
        return {key: value.astype(np.float32) if value.dtype == np.float16 else value for key, value in found.items()}

    return read


def overlap(one, other):
    """The share of a subspace that another has: the mean squared cosine of their principal angles."""
    return np.square(one.vectors @ other.vectors.T).sum() / len(one)


@pytest.mark.parametrize(("case", "count", "tolerance"), [("insid3", 6, 1e-6), ("insid3_20_directions", 20, 1e-5)])
def test_directions_of_a_black_image_are_those_of_insid3(official, case, count, tolerance):
    given = official("keypoint_matching", case)
    black = given["in/black"].reshape(len(given["in/black"]), -1).T
    found = black_directions(black).first(count)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, given["out/projector_removed"], atol=tolerance)
    # There tokens are divided by their length before and after, which is the same as after alone.
    target = given["in/trg_map"][0].transpose(1, 2, 0)
    np.testing.assert_allclose(
        unit_length(found.without(target)), given["out/debiased_trg_map_0"].transpose(1, 2, 0), atol=2e-5
    )


@pytest.mark.parametrize("case", ["planes_given", "lines_1d", "predictor_only", "trained"])
def test_planes_are_taken_out_as_by_rasa(official, case):
    given = official("rasa_planes", case)
    tokens = given["in/tokens"]
    planes = given["in/planes"] if "in/planes" in given else given["out/planes"]
    if case == "trained":
        np.testing.assert_allclose(plane_directions(planes).without(tokens), given["out/after_all"], atol=1e-5)
        return
    np.testing.assert_allclose(plane_directions(planes).without(tokens), given["out/after_planes"], atol=1e-5)
    # The last predictor is one more plane.
    planes = np.concatenate([planes, given["in/predictor"][None]])
    np.testing.assert_allclose(plane_directions(planes).without(tokens), given["out/after_all"], atol=1e-5)


def test_the_order_of_planes_that_are_not_orthogonal_counts(official):
    given = official("rasa_planes", "planes_given")
    reversed_planes = plane_directions(given["in/planes"][::-1]).without(given["in/tokens"])
    assert np.abs(reversed_planes - given["out/after_planes"]).max() > 1  # 1.35 by its spec


def test_what_is_taken_out_and_what_is_left_add_up(official):
    given = official("rasa_planes", "planes_given")
    found, tokens = plane_directions(given["in/planes"]), given["in/tokens"]
    np.testing.assert_allclose(
        found.along(tokens) @ found.vectors.astype(np.float32) + found.without(tokens), tokens, atol=1e-5
    )


def test_top_components_are_those_of_scikit_learn():
    tokens = (np.random.default_rng(0).standard_normal((500, 12)) * np.geomspace(9, 0.1, 12) + 3).astype(np.float16)
    found = top_components(moments_of(tokens))
    reference = PCA(n_components=5, svd_solver="full").fit(tokens.astype(np.float64))
    projector = reference.components_.T @ reference.components_
    np.testing.assert_allclose(found.first(5).vectors.T @ found.first(5).vectors, projector, atol=1e-9)


def drawn(tiles=60, features=16, seed=0, strength=5.0, noise=1.0, decay=1.0):
    """Tokens (n, features) in whose first directions of a basis row and column lie, their places and the basis.

    ``decay`` is the deviation of the noise along the last direction of the basis, that along the first being 1.
    """
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((features, features)))[0]
    places = np.tile(np.arange(GRID[0] * GRID[1]), tiles)
    row, column = np.divmod(places, GRID[1])
    told = np.stack([row / (GRID[0] - 1), column / (GRID[1] - 1)], axis=1) - 0.5
    rest = noise * rng.standard_normal((len(places), features)) * np.geomspace(1, decay, features)
    rest[:, :2] += strength * told
    return rest @ basis.T + 2.0, places, basis


def test_the_first_plane_is_the_ridge_regression_of_scikit_learn():
    """On correlated tokens of unequal variances, where ridge and plain covariance with the position differ."""
    tokens, places, _ = drawn(decay=0.05)
    tokens = tokens @ np.linalg.cholesky(np.cov(np.random.default_rng(5).standard_normal((16, 40)))).T
    moments, means = moments_of(tokens), place_means(tokens, places, GRID)
    for penalty in (1e-6, 0.1, 10.0):
        found = position_planes(moments, means, 2, penalty=penalty)
        alpha = penalty * np.trace(moments.covariance) / 16 * len(tokens)
        fitted = Ridge(alpha=alpha).fit(tokens, means.coordinates()[places])
        expected = gram_schmidt(fitted.coef_, np.empty((0, 16)))
        np.testing.assert_allclose(np.abs((found.vectors * expected).sum(axis=1)), 1, atol=1e-9)
    # The next is fitted on what is left.
    more = position_planes(moments, means, 4, penalty=0.1)
    first = position_planes(moments, means, 2, penalty=0.1)
    np.testing.assert_allclose(more.first(2).vectors, first.vectors, atol=1e-12)
    left = tokens - (tokens @ first.vectors.T) @ first.vectors
    alpha = 0.1 * np.trace(moments.covariance) / 16 * len(tokens)
    expected = gram_schmidt(Ridge(alpha=alpha).fit(left, means.coordinates()[places]).coef_, np.empty((0, 16)))
    np.testing.assert_allclose(np.abs((more.vectors[2:] * expected).sum(axis=1)), 1, atol=1e-6)


def test_planted_position_is_found_and_nothing_else():
    """Noise that has exactly the same mean at every place, and none along position: what is found is exact."""
    tokens, places, basis = drawn()
    noise = (tokens - 2.0) @ basis
    noise[:, :2] = 0
    noise -= place_means(noise, places, GRID).mean[places]
    row, column = np.divmod(places, GRID[1])
    noise[:, 0], noise[:, 1] = 5 * row, 3 * column
    tokens = noise @ basis.T
    found = position_planes(moments_of(tokens), place_means(tokens, places, GRID), 2, penalty=1e-4)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, basis[:, :2] @ basis[:, :2].T, atol=1e-9)
    noise[:, :2] = 0
    np.testing.assert_allclose(found.without(tokens), noise @ basis.T, atol=2e-5)
    target = np.stack([row, column], axis=1)
    assert LinearRegression().fit(tokens, target).score(tokens, target) == pytest.approx(1)
    assert LinearRegression().fit(noise[:, 2:], target).score(noise[:, 2:], target) == pytest.approx(0, abs=1e-9)


def test_position_below_noise_is_found_within_the_error_of_the_draw():
    tokens, places, basis = drawn(tiles=400)
    found = position_planes(moments_of(tokens), place_means(tokens, places, GRID), 2, penalty=1e-4)
    assert overlap(found, Directions(basis[:, :2].T)) > 0.99
    left, target = found.without(tokens), np.stack(np.divmod(places, GRID[1]), axis=1)
    assert LinearRegression().fit(tokens, target).score(tokens, target) > 0.6
    assert LinearRegression().fit(left, target).score(left, target) < 0.01


def test_planes_end_where_nothing_tells_position():
    """Without noise two directions tell it all; a grid of one row has no row to tell."""
    tokens, places, basis = drawn(noise=0.0)
    found = position_planes(moments_of(tokens), place_means(tokens, places, GRID), 6, penalty=1e-4)
    assert len(found) == 2 and overlap(found, Directions(basis[:, :2].T)) == pytest.approx(1)
    means = place_means(tokens, places % 6, (1, 6))
    assert len(position_planes(moments_of(tokens), means, 1, penalty=1e-4)) == 1
    assert (
        len(
            position_planes(
                moments_of(np.ones((24, 3))), place_means(np.ones((24, 3)), np.arange(24), GRID), 2, penalty=1.0
            )
        )
        == 0
    )


def test_places_with_unlike_numbers_of_tokens():
    """As many as are left without void: the mean of positions is that of the tokens, and the planes are those of a fit to them."""
    tokens, places, _ = drawn()
    kept = np.random.default_rng(1).random(len(places)) < 0.15 + 0.8 * (places % 5 == 0)
    kept[places == 7] = False
    tokens, places = tokens[kept], places[kept]
    means = place_means(tokens, places, GRID)
    assert means.count[7] == 0
    np.testing.assert_allclose(means.mean[7], tokens.mean(axis=0))
    np.testing.assert_allclose(means.share @ means.mean, tokens.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(means.mean[3], tokens[places == 3].mean(axis=0))
    found = position_planes(moments_of(tokens), means, 2, penalty=0.01)
    alpha = 0.01 * tokens.var(axis=0).mean() * len(tokens)
    expected = gram_schmidt(Ridge(alpha=alpha).fit(tokens, means.coordinates()[places]).coef_, np.empty((0, 16)))
    np.testing.assert_allclose(np.abs((found.vectors * expected).sum(axis=1)), 1, atol=1e-9)


def test_an_image_that_is_the_same_everywhere_has_no_directions():
    assert len(black_directions(np.zeros((16, 5), np.float16))) == 0
    # Equal up to the rounding of the stored type.
    same = np.tile(np.random.default_rng(0).standard_normal(50), (16, 1))
    nearly = (same * (1 + 1e-4 * np.random.default_rng(1).standard_normal(same.shape))).astype(np.float16)
    assert len(black_directions(nearly)) == 0
    assert len(black_directions(nearly.astype(np.float32))) > 0
    # One direction fewer than patches, since the mean is taken off.
    assert len(black_directions(np.random.default_rng(2).standard_normal((16, 50)))) == 15


def test_a_rotation_has_the_directions_first_and_keeps_distances():
    vectors = gram_schmidt(np.random.default_rng(0).standard_normal((3, 10)), np.empty((0, 10)))
    turned = Directions(vectors).rotation()
    np.testing.assert_allclose(turned[:, :3], vectors.T, atol=1e-12)
    np.testing.assert_allclose(turned.T @ turned, np.eye(10), atol=1e-12)
    tokens = np.random.default_rng(1).standard_normal((7, 10))
    without = Directions(vectors).without(tokens)
    distances = np.square(without[:, None] - without).sum(axis=-1)
    left = (tokens @ turned)[:, 3:]
    np.testing.assert_allclose(np.square(left[:, None] - left).sum(axis=-1), distances, atol=1e-5)
    assert Directions(vectors[:0]).rotation().shape == (10, 10)


def test_tokens_of_length_one():
    tokens = np.array([[3, 4], [0, 0], [1e-3, 0]], np.float16)
    found = unit_length(tokens)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert found.dtype == np.float32 and unit_length(tokens.astype(np.float64)).dtype == np.float64
