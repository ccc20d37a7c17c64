"""Variances and the transforms that they decide, against numpy, scikit-learn and planted truths."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from patchprobe.errors import ModelError
from patchprobe.neighbors.memory_bank import nearest
from patchprobe.tokens.transforms import (
    Moments,
    TransformedTokens,
    by_variance,
    fit_transform,
    joined_moments,
    moments,
)

TOP = ("drop-top-variance", "zero-top-variance", "keep-top-variance")


@pytest.fixture
def tokens():
    """Tokens whose feature i has the place SPREAD[i] in the order of variances; means are large and unlike."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((20_000, 8)) * SCALE + 100 * np.arange(8)).astype(np.float32)


SCALE = np.array([3.0, 0.1, 50.0, 1.0, 7.0, 0.5, 20.0, 0.02])
ORDER = [2, 6, 4, 0, 3, 5, 1, 7]  # by falling scale


def fit(kind, tokens, **options):
    return fit_transform({"transform": kind, **options}, tokens, key="models.m.variants.v")


def test_moments_are_those_of_numpy_in_float64(tokens):
    for given_as in (tokens, tokens.astype(np.float16), tokens.astype(np.float64)):
        mean, variance = moments(given_as)
        np.testing.assert_allclose(mean, given_as.mean(axis=0, dtype=np.float64), rtol=1e-13)
        np.testing.assert_allclose(variance, given_as.astype(np.float64).var(axis=0), rtol=1e-11)
        assert variance.dtype == np.float64


def test_small_variance_beside_a_huge_mean():
    """The difference of mean square and squared mean would be lost at this offset even in float64."""
    offset, step = 2.0**40, 2.0**-8
    column = offset + step * np.tile([0.0, 1.0], 10_000)
    assert moments(column[:, None])[1] == pytest.approx(step**2 / 4, rel=1e-12)


def test_the_order_is_that_of_the_variances(tokens):
    assert by_variance(moments(tokens)[1]).tolist() == ORDER
    assert by_variance(np.array([1.0, 3.0, 3.0, 0.0, 1.0])).tolist() == [1, 2, 0, 4, 3]


def test_each_transform_on_tokens_of_any_shape(tokens):
    maps = tokens[:12].reshape(2, 6, 8)
    kept = [i for i in range(8) if i not in ORDER[:3]]
    np.testing.assert_array_equal(fit("drop-top-variance", tokens, features=3)(maps), maps[..., kept])
    np.testing.assert_array_equal(fit("keep-top-variance", tokens, features=3)(maps), maps[..., sorted(ORDER[:3])])
    zeroed = fit("zero-top-variance", tokens, features=3)(maps)
    np.testing.assert_array_equal(zeroed, np.where(np.isin(np.arange(8), ORDER[:3]), 0, maps))
    np.testing.assert_array_equal(fit_transform(None, tokens, key="")(maps), maps)
    assert zeroed.dtype == maps.dtype and maps.min() != 0  # the tokens given are left as they were


def test_batch_norm_is_the_standard_scaler_of_scikit_learn(tokens):
    fresh = tokens[:100] * 1.5
    found = fit("batch-norm", tokens)(fresh)
    assert found.dtype == np.float32
    # Its divisor has no epsilon, which shows where the variance is small (feature 7: 4e-4).
    expected = StandardScaler().fit(tokens.astype(np.float64)).transform(fresh)
    variance = tokens.astype(np.float64).var(axis=0)
    np.testing.assert_allclose(found, expected * np.sqrt(variance / (variance + 1e-5)), rtol=2e-5, atol=2e-3)


def test_batch_norm_of_a_constant_feature_is_finite():
    tokens = np.zeros((10, 2), np.float16)
    tokens[:, 1] = np.arange(10)
    found = fit("batch-norm", tokens)(tokens)
    assert np.isfinite(found).all() and (found[:, 0] == 0).all()


def test_centre_is_the_standard_scaler_of_scikit_learn_without_deviation(tokens):
    fresh = tokens[:100] * 1.5
    found = fit("centre", tokens)(fresh.reshape(10, 10, 8))
    expected = StandardScaler(with_std=False).fit(tokens.astype(np.float64)).transform(fresh)
    assert found.dtype == np.float32 and found.shape == (10, 10, 8)
    np.testing.assert_allclose(found.reshape(100, 8), expected, rtol=1e-6, atol=1e-4)


def correlated(seed, count=3000, features=8):
    """Tokens whose features mix directions of deviations 10 to 0.3, far from the origin."""
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((features, features)))[0]
    drawn = np.random.default_rng(seed).standard_normal((count, features)) * np.geomspace(10, 0.3, features)
    return (drawn @ turn + 5 * np.arange(features)).astype(np.float32)


def test_pca_whitening_is_that_of_scikit_learn():
    tokens, fresh = correlated(0), correlated(1, 200)
    found = fit("pca-whiten", tokens)(fresh.reshape(20, 10, 8))
    assert found.dtype == np.float32 and found.shape == (20, 10, 8)
    found = found.reshape(200, 8)
    reference = PCA(whiten=True, svd_solver="full").fit(tokens.astype(np.float64))
    expected = reference.transform(fresh.astype(np.float64))
    expected *= np.sign((expected * found).sum(axis=0))  # an axis has no direction
    # scikit-learn divides variances by n - 1 and adds nothing to them: here that is 2e-4 and at most 3e-3 of them.
    np.testing.assert_allclose(found, expected, rtol=3e-3, atol=3e-3)
    variance = reference.explained_variance_ * (len(tokens) - 1) / len(tokens)
    factor = np.sqrt(reference.explained_variance_ / (variance + 1e-5 * variance.mean()))
    np.testing.assert_allclose(found, expected * factor, rtol=2e-5, atol=2e-5)


def test_whitened_tokens_are_uncorrelated_whatever_their_unit():
    tokens = correlated(0)
    for unit in (1e-4, 1, 1e4):
        found = fit("pca-whiten", tokens * np.float32(unit))(tokens * np.float32(unit))
        np.testing.assert_allclose(np.cov(found.T), np.eye(8), atol=3e-3)


def test_whitening_does_not_blow_up_what_training_tokens_do_not_span():
    flat = correlated(0)
    flat[:, 3] = flat[:, 2]  # one axis without variance
    found = fit("pca-whiten", flat)(flat)
    assert np.isfinite(found).all() and np.abs(found[:, -1]).max() < 1e-2
    constant = fit("pca-whiten", np.ones((5, 3), np.float16))(np.ones((5, 3), np.float16))
    assert (constant == 0).all()


def test_random_features_depend_on_the_seed_alone(tokens):
    drawn = [fit("drop-random", tokens, features=3, seed=seed).kept.tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len({tuple(kept) for kept in drawn}) > 1
    assert fit("drop-random", tokens[::-1] * SCALE, features=3, seed=0).kept.tolist() == drawn[0]
    counts = np.bincount(
        np.concatenate([fit("drop-random", tokens[:2], features=3, seed=s).kept for s in range(400)]), minlength=8
    )
    assert (abs(counts - 250) < 60).all()  # 5 of 8 in 400 draws: mean 250, six deviations are 58


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.data())
def test_drop_and_keep_part_the_features(features, data):
    count = data.draw(st.integers(1, features - 1))
    tokens = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-3, 4, (6, features)).astype(np.float16)
    drop, zero, keep = (fit(kind, tokens, features=count) for kind in TOP)
    assert sorted([*drop.kept, *keep.kept]) == list(range(features))
    assert len(keep.kept) == count and zero.zeroed.tolist() == keep.kept.tolist()
    variance = tokens.astype(np.float64).var(axis=0)
    assert variance[keep.kept].min() >= variance[drop.kept].max() - 1e-12
    queries = np.random.default_rng(1).integers(-3, 4, (5, features)).astype(np.float16)
    for a, b in zip(
        nearest(drop(tokens), drop(queries), threads=1), nearest(zero(tokens), zero(queries), threads=1), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_as_many_features_as_the_model_has_are_refused(tokens):
    for kind in (*TOP, "drop-random"):
        for count in (8, 200):
            with pytest.raises(ModelError, match=rf"models\.m\.variants\.v\.features is {count}, .* 8 features"):
                fit(kind, tokens, features=count, seed=0)


def test_tokens_of_another_model_are_refused(tokens):
    with pytest.raises(ModelError, match="tokens have 7 features and the variant was fitted on 8"):
        fit("batch-norm", tokens)(tokens[:, :7])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tokens_that_are_not_finite_are_refused(tokens, bad):
    tokens[3, 2] = bad
    with pytest.raises(ModelError, match="infinite or not a number"):
        fit("drop-top-variance", tokens, features=2)


def test_lazy_tokens_are_read_when_they_become_an_array(tokens):
    reads = []

    class Lazy:
        def __array__(self, dtype=None, copy=None):
            reads.append(1)
            return tokens

    transform = fit("drop-top-variance", tokens, features=3)
    view = TransformedTokens(Lazy(), transform)
    assert not reads
    np.testing.assert_array_equal(np.asarray(view), transform(tokens))
    assert len(reads) == 1 and np.asarray(view, np.float64).dtype == np.float64
    named = TransformedTokens(xr.DataArray(tokens, dims=("patch", "feature")), transform)
    np.testing.assert_array_equal(np.asarray(named), transform(tokens))


def test_planted_signal_below_huge_noise():
    """Classes are told apart by small features; two huge ones hold noise. Reference: scikit-learn on chosen columns."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((4, 10))

    def draw(count):
        labels = rng.integers(0, 4, count)
        signal = centres[labels] + 0.3 * rng.standard_normal((count, 10))
        noise = 100 * rng.standard_normal((count, 2))
        return np.concatenate([signal[:, :4], noise, signal[:, 4:]], axis=1).astype(np.float32), labels

    (bank, labels), (queries, truth) = draw(600), draw(300)

    def accuracy(transform):
        return (labels[nearest(transform(bank), transform(queries), threads=1)[0]] == truth).mean()

    small = [i for i in range(12) if i not in (4, 5)]
    reference = KNeighborsClassifier(1, algorithm="brute").fit(bank[:, small], labels).score(queries[:, small], truth)
    dropped = accuracy(fit("drop-top-variance", bank, features=2))
    assert dropped == pytest.approx(reference) and dropped > 0.95
    assert accuracy(fit("zero-top-variance", bank, features=2)) == dropped
    assert accuracy(fit_transform(None, bank, key="")) < 0.5
    assert accuracy(fit("keep-top-variance", bank, features=2)) < 0.4  # chance is 0.25
    assert accuracy(fit("batch-norm", bank)) > 0.9


VARIANTS = [
    {"transform": "drop-top-variance", "features": 3},
    {"transform": "zero-top-variance", "features": 3},
    {"transform": "keep-top-variance", "features": 3},
    {"transform": "drop-random", "features": 3, "seed": 1},
    {"transform": "batch-norm"},
    {"transform": "centre"},
    {"transform": "pca-whiten"},
    None,
]


def moments_of(tokens):
    exact = tokens.astype(np.float64)
    if not len(exact):
        return Moments(0, np.zeros(exact.shape[1]), np.zeros((exact.shape[1], exact.shape[1])))
    return Moments(len(exact), exact.mean(axis=0), np.cov(exact.T, ddof=0))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant and variant["transform"])
def test_a_transform_fitted_on_moments_is_that_fitted_on_tokens(variant):
    tokens, fresh = correlated(0), correlated(1, 200)
    by_tokens, by_moments = (fit_transform(variant, given, key="v") for given in (tokens, moments_of(tokens)))
    expected, found = by_tokens(fresh), by_moments(fresh)
    if variant and variant["transform"] == "pca-whiten":
        found = found * np.sign((expected * found).sum(axis=0))  # an axis has no direction
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert by_moments.kept.tolist() == by_tokens.kept.tolist() and found.dtype == expected.dtype


def test_too_many_features_are_refused_of_moments_too(tokens):
    with pytest.raises(ModelError, match="the model has 8 features: take fewer"):
        fit_transform({"transform": "drop-top-variance", "features": 8}, moments_of(tokens), key="v")


def test_moments_of_parts_are_joined_to_those_of_all():
    """Parts of very different means, with small variances beside them, and one of nothing."""
    rng = np.random.default_rng(0)
    parts = [
        1000.0 * place + 1e-3 * rng.standard_normal((count, 4)) for place, count in ((0, 7), (5, 1), (1, 0), (1, 90))
    ]
    whole = np.concatenate(parts)
    found, expected = joined_moments([moments_of(part) for part in parts]), moments_of(whole)
    assert found.count == 98
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-11)
    same = joined_moments([moments_of(part) for part in np.array_split(whole[-90:], 7)])
    # The difference of mean square and squared mean would be off by 1e-4 of the variance here.
    np.testing.assert_allclose(same.variance, whole[-90:].var(axis=0), rtol=1e-9)
    assert joined_moments([moments_of(whole[:0])]).count == 0
