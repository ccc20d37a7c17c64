"""Variants of directions, lengths and places, against numpy and a planted truth: each repairs what it should and nothing else."""

import numpy as np
import pytest

from patchprobe.errors import ModelError
from patchprobe.neighbors.memory_bank import nearest
from patchprobe.tokens.directions import moments_of
from patchprobe.tokens.places import place_means
from patchprobe.tokens.transforms import fit_transform
from patchprobe.tokens.variants import Sample, ViewedTokens, fit_variant

GRID, TILES, FEATURES = (4, 4), 300, 24
PLACES = GRID[0] * GRID[1]
DIRECTIONS = ("top-components", "position", "position-planes")


def entry(transform, features=None):
    own = {} if features is None else {"features": features}
    return {"transform": transform, **own, **({"penalty": 1e-4} if transform.endswith("planes") else {})}


def fit(transform, sample, features=None):
    return fit_variant(entry(transform, features), sample, key="models.m.variants.v")


class Planted:
    """Tokens of classes, of position, of colour and of heavy noise, each in directions of its own, and black tokens of position alone.

    A basis that mixes all features has position in its directions 0 and 1, the classes in 2 to 9 and colour in 10; noise is heavy in
    11 to 16. The token of a black image is position alone. With ``fixed`` each place has one class in training.
    """

    def __init__(self, position=0.0, colour=0.0, noise=0.0, turned=True, fixed=False, seed=0):
        rng = np.random.default_rng(seed)
        self.basis = np.linalg.qr(rng.standard_normal((FEATURES, FEATURES)))[0] if turned else np.eye(FEATURES)
        centres = rng.standard_normal((3, 8))
        self.train = TILES // 2
        self.ids = rng.integers(0, 3, (TILES, PLACES))
        if fixed:
            self.ids[: self.train] = np.arange(PLACES) % 3
        parts = 0.3 * rng.standard_normal((TILES, PLACES, FEATURES))
        parts[..., 2:10] += centres[self.ids]
        row, column = np.divmod(np.arange(PLACES), GRID[1])
        parts[..., 0], parts[..., 1] = position * row, position * column
        parts[..., 10] = colour * rng.standard_normal((TILES, PLACES))
        parts[..., 11:17] += noise * rng.standard_normal((TILES, PLACES, 6))
        self.parts = parts
        self.tokens = (parts @ self.basis.T).astype(np.float32)
        dark = np.zeros((PLACES, FEATURES))
        dark[:, 0], dark[:, 1] = row + 1, column + 1
        places = np.tile(np.arange(PLACES), self.train)
        self.sample = Sample(self.tokens[: self.train].reshape(-1, FEATURES), places, GRID, (dark @ self.basis.T))

    def accuracy(self, view):
        bank, queries = view(self.tokens[: self.train]), view(self.tokens[self.train :])
        bank, queries = (one.reshape(-1, one.shape[-1]) for one in (bank, queries))
        found = self.ids[: self.train].ravel()[nearest(bank, queries, threads=1)[0]]
        return (found == self.ids[self.train :].ravel()).mean()


CHANCE = 0.48  # 1/3 for three classes, and then some


@pytest.mark.parametrize("turned", [True, False], ids=["mixed", "axes"])
def test_heavy_noise_is_repaired_by_the_directions_or_features_it_lies_in_alone(turned):
    planted = Planted(noise=100.0, turned=turned)
    scores = {
        (name, count): planted.accuracy(fit(name, planted.sample, count))
        for name in ("drop-top-variance", "drop-top-components", "drop-position-planes")
        for count in (3, 6)
    }
    assert planted.accuracy(fit_variant(None, planted.sample, key="")) < CHANCE
    assert scores["drop-top-components", 6] > 0.95 > 0.6 > scores["drop-top-components", 3]
    # Features hold the noise only where the basis is that of the features.
    assert scores["drop-top-variance", 6] < CHANCE if turned else scores["drop-top-variance", 6] > 0.95
    assert (
        planted.accuracy(fit("drop-position", planted.sample, 2)) < CHANCE
        and scores["drop-position-planes", 6] < CHANCE
    )
    assert planted.accuracy(fit("drop-position-mean", planted.sample)) < CHANCE
    assert planted.accuracy(fit("drop-norm", planted.sample)) < CHANCE


def test_position_is_repaired_by_what_takes_position_away():
    """Strong position keeps 1-NN within a place, and there all training patches are of one class: it guesses."""
    planted = Planted(position=40.0, fixed=True)
    assert planted.accuracy(fit_variant(None, planted.sample, key="")) < CHANCE
    assert planted.accuracy(fit("drop-top-variance", planted.sample, 2)) < 0.6  # mixed into all features
    for kind in DIRECTIONS:
        assert planted.accuracy(fit(f"drop-{kind}", planted.sample, 2)) > 0.95, kind


def test_black_directions_take_position_out_and_leave_the_rest_exactly():
    planted = Planted(position=7.0, colour=3.0, noise=5.0)
    found = fit("drop-position", planted.sample, 2)(planted.tokens) @ planted.basis
    expected = planted.parts.copy()
    expected[..., :2] = 0
    np.testing.assert_allclose(found, expected, atol=2e-4)
    alone = fit("keep-position", planted.sample, 2)(planted.tokens)
    assert alone.shape == (TILES, PLACES, 2)
    np.testing.assert_allclose(
        np.square(alone).sum(axis=-1), np.square(planted.parts[..., :2]).sum(axis=-1), rtol=1e-4, atol=1e-4
    )


def test_the_mean_of_each_place_is_subtracted():
    planted = Planted(position=7.0, noise=2.0)
    view = fit("drop-position-mean", planted.sample)
    mean = planted.tokens[: planted.train].mean(axis=0)
    np.testing.assert_allclose(view(planted.tokens), planted.tokens - mean, atol=1e-5)
    chosen = np.random.default_rng(0).random((TILES, PLACES)) < 0.4
    tiles, places = np.nonzero(chosen)
    np.testing.assert_array_equal(view(planted.tokens[chosen], places), view(planted.tokens)[chosen])
    # A feature map pooled over all places.
    np.testing.assert_allclose(view.pooled()(planted.tokens.mean(axis=1)), view(planted.tokens).mean(axis=1), atol=1e-5)
    assert view.pooled().diagonal and not view.diagonal and not view.after_pooling
    with pytest.raises(
        ModelError, match="tokens of 9 places came to a variant that was fitted on 16: extract both again"
    ):
        view(planted.tokens[:, :9])
    assert len(tiles)


def test_norms_are_dropped():
    planted = Planted(noise=2.0)
    view = fit("drop-norm", planted.sample)
    found = view(planted.tokens)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-6)
    queries, bank = planted.tokens[0], planted.tokens[1:].reshape(-1, FEATURES)
    cosine = nearest(bank, queries, threads=1, metric="cosine")[0]
    np.testing.assert_array_equal(nearest(view(bank), view(queries), threads=1)[0], cosine)
    assert not view.after_pooling and view.pooled() is view


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_drop_and_keep_part_the_tokens(kind):
    planted = Planted(position=3.0, noise=4.0)
    drop, keep = fit(f"drop-{kind}", planted.sample, 2), fit(f"keep-{kind}", planted.sample, 2)
    left, taken = drop(planted.tokens), keep(planted.tokens)
    assert left.shape == planted.tokens.shape and taken.shape == (TILES, PLACES, 2)
    assert left.dtype == taken.dtype == np.float32
    energy = np.square(planted.tokens).sum(axis=-1)
    np.testing.assert_allclose(np.square(left).sum(axis=-1) + np.square(taken).sum(axis=-1), energy, rtol=1e-4)
    np.testing.assert_allclose(drop(left), left, atol=1e-4)
    # Linear, and the same at all places: it may follow a mean.
    assert drop.after_pooling and not drop.diagonal and drop.pooled() is drop
    np.testing.assert_allclose(drop(planted.tokens.mean(axis=1)), left.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *((f"drop-{kind}", 2) for kind in DIRECTIONS),
        ("drop-position-mean", None),
        ("drop-norm", None),
        ("drop-top-variance", 3),
    ],
)
def test_a_variant_fitted_on_moments_and_means_of_places_is_that_fitted_on_tokens(kind, count):
    planted = Planted(position=3.0, noise=4.0)
    of_tokens = planted.sample
    means = place_means(of_tokens.tokens, of_tokens.places, GRID)
    of_moments = Sample(moments_of(of_tokens.tokens), means, black=of_tokens.black)
    found, expected = (fit(kind, sample, count)(planted.tokens) for sample in (of_moments, of_tokens))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_variants_of_features_are_as_they_were():
    sample = Planted(noise=3.0).sample
    for variant in (None, entry("drop-top-variance", 3), entry("pca-whiten"), {**entry("drop-random", 4), "seed": 1}):
        expected = fit_transform(variant, sample.tokens, key="k")(sample.tokens)
        view = fit_variant(variant, sample, key="k")
        np.testing.assert_array_equal(view(sample.tokens), expected)
        assert view.after_pooling and view.diagonal == (not variant or variant["transform"] != "pca-whiten")


def test_more_than_there_is_is_refused():
    sample = Planted(position=3.0).sample
    for kind in DIRECTIONS:
        with pytest.raises(
            ModelError, match=rf"models\.m\.variants\.v\.features is {FEATURES}, .* {FEATURES} features"
        ):
            fit(f"drop-{kind}", sample, FEATURES)
    with pytest.raises(ModelError, match="features is 3, but a black image has 2 directions: take fewer"):
        fit("drop-position", sample, 3)
    blind = Sample(sample.tokens, sample.places, GRID, np.zeros((PLACES, FEATURES), np.float16))
    with pytest.raises(ModelError, match=r"variants\.v: a black image has no directions, .*: remove the variant"):
        fit("keep-position", blind, 1)
    for kind, count in (("drop-position-planes", 2), ("drop-position-mean", None)):
        with pytest.raises(ModelError, match="needs to know where tokens lie"):
            fit(kind, Sample(sample.tokens), count)
    with pytest.raises(ModelError, match="the tokens of a black image are missing"):
        fit("drop-position", Sample(sample.tokens), 2)
    with pytest.raises(ModelError, match="tokens have 23 features and the variant was fitted on 24"):
        fit("drop-norm", sample)(sample.tokens[:, :-1])


def test_lazy_tokens_of_chosen_patches_say_where_they_lie():
    planted = Planted(position=3.0)
    view = fit("drop-position-mean", planted.sample)
    chosen = np.random.default_rng(0).random((TILES, PLACES)) < 0.3

    class Chosen:
        places = np.nonzero(chosen)[1]

        def __array__(self, dtype=None, copy=None):
            return planted.tokens[chosen]

    np.testing.assert_array_equal(np.asarray(ViewedTokens(Chosen(), view)), view(planted.tokens)[chosen])
    np.testing.assert_array_equal(np.asarray(ViewedTokens(planted.tokens, view)), view(planted.tokens))
