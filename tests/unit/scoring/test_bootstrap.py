"""Bootstrap intervals against scipy and a naive loop over resampled images."""

import numpy as np
import pytest
from scipy import stats

from patchprobe.scoring.bootstrap import percentile_intervals, ratio_intervals
from patchprobe.scoring.metrics import accuracy, class_iou, mean_iou

METRICS = {"accuracy": accuracy, "iou": class_iou, "miou": mean_iou}


@pytest.fixture
def confusions():
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 30, (12, 3, 3))
    counts[:, range(3), range(3)] += rng.integers(0, 100, (12, 3))
    return counts


def intervals(confusions, seed=0, **options):
    options = {"resamples": 1000, "level": 0.95, **options}
    return percentile_intervals(confusions, METRICS, rng=np.random.default_rng(seed), **options)


def test_shapes(confusions):
    found = intervals(confusions)
    assert {name: values.shape for name, values in found.items()} == {"accuracy": (2,), "iou": (2, 3), "miou": (2,)}


def test_agrees_with_scipy(confusions):
    def statistic(images):
        return mean_iou(confusions[images].sum(axis=0))

    expected = stats.bootstrap(
        (np.arange(12),),
        statistic,
        n_resamples=20000,
        confidence_level=0.9,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = intervals(confusions, resamples=20000, level=0.9)["miou"]
    width = expected.high - expected.low
    np.testing.assert_allclose(found, [expected.low, expected.high], atol=0.03 * width)


def test_equals_a_naive_loop_over_the_same_draws(confusions):
    counts = np.random.default_rng(7).multinomial(12, np.full(12, 1 / 12), size=50)
    for name, metric in METRICS.items():
        values = [metric(np.repeat(confusions, drawn, axis=0).sum(axis=0)) for drawn in counts]
        expected = np.quantile(values, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(intervals(confusions, seed=7, resamples=50)[name], expected, rtol=1e-12)


def test_chunks_change_nothing(confusions, monkeypatch):
    whole = intervals(confusions)
    monkeypatch.setattr("patchprobe.scoring.bootstrap._CHUNK_ELEMENTS", 70)
    for name, values in intervals(confusions).items():
        np.testing.assert_array_equal(values, whole[name])


def test_same_seed_same_interval(confusions):
    np.testing.assert_array_equal(intervals(confusions)["iou"], intervals(confusions)["iou"])
    assert (intervals(confusions)["iou"] != intervals(confusions, seed=1)["iou"]).any()


def test_a_rare_class_counts_where_it_was_drawn_and_an_absent_one_is_nan(confusions):
    confusions[:, 2, :] = confusions[:, :, 2] = 0
    confusions[0, 1, 1] = confusions[0, 1, 0] = 10
    confusions[1:, 1, :] = confusions[1:, :, 1] = 0
    iou = intervals(confusions)["iou"]
    assert np.isfinite(iou[:, :2]).all() and np.isnan(iou[:, 2]).all()


def test_one_image_has_no_interval(confusions):
    for values in intervals(confusions[:1]).values():
        assert np.isnan(values).all()
    assert intervals(confusions[:1])["iou"].shape == (2, 3)


def test_ratios_of_sums_are_those_of_their_columns_and_undefined_over_zero():
    """By hand: 4 of 6 and 3 of 6; the last column is zero everywhere."""
    sums = np.array([[2, 1, 1, 0], [4, 3, 0, 0], [0, 0, 2, 0]])
    value, ends = ratio_intervals(sums, [1, 2, 2], [0, 0, 3], resamples=500, level=0.9, rng=np.random.default_rng(0))
    np.testing.assert_allclose(value[:2], [4 / 6, 3 / 6])
    assert np.isnan(value[2]) and np.isnan(ends[:, 2]).all() and ends.shape == (2, 3)
    assert ends[0, 0] <= value[0] <= ends[1, 0]
    one, none = ratio_intervals(sums[:1], [1], [0], resamples=500, level=0.9, rng=np.random.default_rng(0))
    assert one.tolist() == [0.5] and np.isnan(none).all()
