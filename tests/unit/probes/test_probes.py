"""The linear probe against scikit-learn's logistic regression, and the promises of its docstrings."""

import logging

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from patchprobe.errors import DataError, ModelError
from patchprobe.probes import fitting as probe_fitting
from patchprobe.probes.fitting import ProbeOptions, fit_probe, fit_probes
from patchprobe.probes.linear import LinearProbe
from patchprobe.tokens.transforms import fit_transform

IDS = np.array([2, 3, 7, 11])


@pytest.fixture(autouse=True)
def one_thread():
    """Matrices this small lose time to thread synchronisation, much of it when the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def clusters(images, seed, noise=1.0):
    """Return tokens of 50 patches per image around one centre per class, labels, and image indices."""
    centres = np.random.default_rng(0).standard_normal((4, 20))
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 4, images * 50)
    tokens = centres[place] + noise * rng.standard_normal((len(place), 20))
    return tokens.astype(np.float32), IDS[place], np.repeat(np.arange(images), 50)


@pytest.fixture
def training():
    return clusters(40, seed=1, noise=2.5)


def scores(probe, tokens):
    return ((tokens - probe.mean) * probe.scale) @ probe.weights.T + probe.bias


def loss(probe, tokens, labels):
    return log_loss(labels, torch.from_numpy(scores(probe, tokens)).double().softmax(1).numpy(), labels=IDS)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("kind", ["even", "huge feature", "offset"])
def test_agrees_with_scikit_learn(training, kind, batch_norm):
    tokens, labels, image = training
    fresh = clusters(40, seed=2, noise=2.5)[0]
    if kind == "huge feature":
        tokens[:, 0], fresh[:, 0] = tokens[:, 0] * 30, fresh[:, 0] * 30
    elif kind == "offset":
        tokens, fresh = tokens + 1000, fresh + 1000
    options = ProbeOptions(
        learning_rates=(0.01, 0.1), weight_decays=(0.0,), steps=60 * 8, batch_size=256, batch_norm=batch_norm
    )
    probe = fit_probe(tokens, labels, image, options, seed=0)
    mean, spread = tokens.mean(axis=0, dtype=float), tokens.std(axis=0, dtype=float)
    reference = LogisticRegression(C=1e6, max_iter=2000).fit((tokens - mean) / spread, labels)
    assert (probe.predict(fresh) == reference.predict((fresh - mean) / spread)).mean() > 0.98
    best = log_loss(labels, reference.predict_proba((tokens - mean) / spread))
    assert best * 0.999 < loss(probe, tokens, labels) < best * 1.02


def test_weight_decay_is_an_l2_penalty(training):
    tokens, labels, image = training
    decay = 0.1
    options = ProbeOptions(learning_rates=(0.03,), steps=400, batch_size=500, weight_decays=(decay,), batch_norm=True)
    probe = fit_probe(tokens, labels, image, options, seed=0)
    normalised = (tokens - probe.mean) * probe.scale
    reference = LogisticRegression(C=1 / (decay * len(tokens)), max_iter=2000).fit(normalised, labels)
    np.testing.assert_allclose(
        probe.weights, reference.coef_ - reference.coef_.mean(axis=0), atol=0.02 * np.abs(reference.coef_).max()
    )


def test_separable_classes_are_learned_and_named_by_their_ids():
    tokens, labels, image = clusters(10, seed=1, noise=0.1)
    probe = fit_probe(tokens.astype(np.float16), labels, image, ProbeOptions(steps=200), seed=0)
    fresh, expected, _ = clusters(10, seed=2, noise=0.1)
    np.testing.assert_array_equal(probe.predict(fresh), expected)
    assert probe.predict(fresh.reshape(10, 50, 20)).shape == (10, 50)
    assert probe.class_ids.tolist() == IDS.tolist()


def test_rates_and_decays_fitted_together_are_those_fitted_alone(training):
    tokens, labels, image = training
    rates, decays = (0.001, 0.01, 0.1), (0.0, 0.3)
    options = ProbeOptions(learning_rates=rates[::-1], weight_decays=decays[::-1], steps=20)
    together = fit_probe(tokens, labels, image, options, seed=3)
    assert list(together.validation_accuracy) == [(rate, decay) for rate in rates for decay in decays]
    for rate, decay in together.validation_accuracy:
        # Two rates are the fewest that are validated; the companion must not matter.
        alone = ProbeOptions(learning_rates=(rate, 0.5), weight_decays=(decay,), steps=20)
        pair = fit_probe(tokens, labels, image, alone, seed=3)
        found = together.validation_accuracy[rate, decay]
        assert pair.validation_accuracy[rate, decay] == pytest.approx(found, abs=0.003)
    chosen = (together.learning_rate, together.weight_decay)
    alone = ProbeOptions(learning_rates=chosen[:1], weight_decays=chosen[1:], steps=20)
    np.testing.assert_allclose(fit_probe(tokens, labels, image, alone, seed=3).weights, together.weights, atol=1e-5)
    assert together.validation_accuracy[chosen] == max(together.validation_accuracy.values())


VIEWS = (
    None,
    {"transform": "drop-top-variance", "features": 6},
    {"transform": "keep-top-variance", "features": 6},
    {"transform": "zero-top-variance", "features": 6},
    {"transform": "drop-random", "features": 9, "seed": 1},
    {"transform": "centre"},
    {"transform": "batch-norm"},
)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("columns", [pytest.param(4, id="one by one"), pytest.param(20, id="across groups"), 1024])
def test_probes_of_many_views_are_those_fitted_alone(training, batch_norm, columns, monkeypatch):
    """Alone each is fitted on the tokens that its transform makes, which know nothing of the others."""
    monkeypatch.setattr(probe_fitting, "COLUMNS", columns)
    tokens, labels, image = training
    tokens = (tokens * np.geomspace(0.1, 30, 20) + 3 * np.arange(20)).astype(np.float32)
    transforms = [fit_transform(view, tokens, key="v") for view in VIEWS]
    options = ProbeOptions(
        learning_rates=(0.003, 0.03), weight_decays=(0.001, 0.1), steps=60, batch_size=300, batch_norm=batch_norm
    )
    together = fit_probes(tokens, labels, image, transforms, options, seed=4)
    assert len(together) == len(VIEWS)
    for transform, probe in zip(transforms, together, strict=True):
        alone = fit_probe(transform(tokens), labels, image, options, seed=4)
        assert (probe.learning_rate, probe.weight_decay) == (alone.learning_rate, alone.weight_decay)
        assert list(probe.validation_accuracy) == list(alone.validation_accuracy)
        np.testing.assert_allclose(
            list(probe.validation_accuracy.values()), list(alone.validation_accuracy.values()), atol=0.003
        )
        np.testing.assert_allclose(probe.mean, alone.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(probe.scale, alone.scale, rtol=1e-5)
        np.testing.assert_allclose(probe.weights, alone.weights, atol=2e-4)
        np.testing.assert_allclose(probe.bias, alone.bias, atol=2e-4)


def test_every_view_reaches_the_minimum_that_scikit_learn_finds(training):
    tokens, labels, image = training
    decay = 0.03
    transforms = [fit_transform(view, tokens, key="v") for view in VIEWS]
    options = ProbeOptions(learning_rates=(0.03,), weight_decays=(decay,), steps=800, batch_size=len(tokens))
    for transform, probe in zip(
        transforms, fit_probes(tokens, labels, image, transforms, options, seed=0), strict=True
    ):
        seen = (transform(tokens) - probe.mean) * probe.scale
        # scikit-learn's penalty is |weights|^2 / 2 beside C times the sum of losses.
        reference = LogisticRegression(C=1 / (decay * len(tokens)), max_iter=5000, tol=1e-8).fit(
            seen.astype(np.float64), labels
        )
        np.testing.assert_allclose(probe.weights, reference.coef_, atol=2e-3)
        assert (probe.predict(transform(tokens)) == reference.predict(seen)).mean() > 0.999


def test_views_that_mix_features_are_refused(training):
    whitened = fit_transform({"transform": "pca-whiten"}, training[0], key="v")
    with pytest.raises(ValueError, match="mixes features"):
        fit_probes(*training, [whitened], ProbeOptions(steps=1), seed=0)


def test_the_choice_is_logged_and_an_end_of_a_list_that_won_is_named(training, caplog):
    tokens, labels, image = training

    def warnings(rates, decays, steps=300):
        caplog.clear()
        options = ProbeOptions(learning_rates=rates, weight_decays=decays, steps=steps)
        with caplog.at_level(logging.INFO):
            probe = fit_probe(tokens, labels, image, options, seed=0)
        assert f"learning rate {probe.learning_rate:g}, weight decay {probe.weight_decay:g}, accuracy" in caplog.text
        return probe, [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    # A rate of 1e-6 hardly leaves zero in 300 steps, one of 1e3 jumps about, a decay of 1e3 allows no weights.
    probe, messages = warnings((1e-6, 3e-3, 1e3), (0.0, 1e3))
    assert (probe.learning_rate, probe.weight_decay) == (3e-3, 0.0) and messages == []
    probe, messages = warnings((1e-9, 1e-8, 3e-3), (0.01, 1e2, 1e3))
    assert (probe.learning_rate, probe.weight_decay) == (3e-3, 0.01)
    assert len(messages) == 2
    assert "0.003 is best and at the end of learning_rates" in messages[0]
    assert "0.01 is best and at the end of weight_decays" in messages[1]
    # Equal accuracies in the middle and at the ends: nothing says that a longer list helps.
    labels = np.where(tokens[:, 0] > 0, 2, 3)
    tokens = np.where(tokens > 0, 1, -1).astype(np.float32)
    probe, messages = warnings((0.03, 0.1, 0.3), (0.0,))
    assert set(probe.validation_accuracy.values()) == {1.0} and messages == []
    assert probe.learning_rate == 0.03


def test_adam_is_that_of_torch(training):
    """One full batch per step, so that the order of patches does not matter."""
    tokens, labels, image = training
    options = ProbeOptions(
        learning_rates=(0.05,), weight_decays=(0.0,), steps=15, batch_size=len(tokens), batch_norm=True
    )
    probe = fit_probe(tokens, labels, image, options, seed=0)
    model = torch.nn.Linear(20, 4)
    torch.nn.init.zeros_(model.weight), torch.nn.init.zeros_(model.bias)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=15)
    norm = torch.nn.BatchNorm1d(20, affine=False)
    for _ in range(15):
        optimiser.zero_grad()
        logits = model(norm(torch.from_numpy(tokens)))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(np.searchsorted(IDS, labels))).backward()
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(probe.weights, model.weight.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(probe.bias, model.bias.detach().numpy(), atol=1e-4)


def test_same_seed_same_probe(training):
    first, again = (fit_probe(*training, ProbeOptions(steps=20), seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.weights, again.weights)
    np.testing.assert_array_equal(first.bias, again.bias)
    other = fit_probe(*training, ProbeOptions(steps=20), seed=6)
    assert (first.weights != other.weights).any()


def test_validation_holds_out_whole_images():
    """Tokens that only tell images apart: labels drawn per image cannot be guessed for an unseen image."""
    rng = np.random.default_rng(0)
    codes, answers = rng.standard_normal((60, 200)), rng.permutation(np.repeat([0, 1], 30))
    image = np.repeat(np.arange(60), 20)
    tokens = (codes[image] + 0.01 * rng.standard_normal((1200, 200))).astype(np.float32)
    probe = fit_probe(tokens, answers[image], image, ProbeOptions(learning_rates=(0.01, 0.1), steps=60), seed=0)
    assert (probe.predict(tokens) == answers[image]).mean() == 1
    assert max(probe.validation_accuracy.values()) < 0.9


def test_a_diverging_rate_is_not_chosen_and_never_returned(training):
    tokens, labels, image = training
    with pytest.raises(ModelError, match=r"diverged at learning rate 1e\+38"):
        fit_probe(tokens, labels, image, ProbeOptions(learning_rates=(1e38,)), seed=0)
    options = ProbeOptions(learning_rates=(0.01, 1e38), weight_decays=(0.0,), steps=200)
    assert fit_probe(tokens, labels, image, options, seed=0).learning_rate == 0.01


def test_one_image_takes_the_middle_rate(training, caplog):
    tokens, labels, image = training
    with caplog.at_level(logging.WARNING):
        options = ProbeOptions(learning_rates=(0.1, 0.001, 0.01), weight_decays=(0.2, 0.1, 0), steps=20)
        probe = fit_probe(tokens, labels, image * 0, options, seed=0)
    assert (probe.learning_rate, probe.weight_decay) == (0.01, 0.1) and probe.validation_accuracy == {}
    assert "one training image" in caplog.text


def test_equal_probes_are_equal_files(training, tmp_path):
    probe = fit_probe(*training, ProbeOptions(learning_rates=(0.1, 0.2), weight_decays=(0.0,), steps=2), seed=0)
    for number in range(20):  # an order that is drawn anew each time would differ at least once
        probe.save(tmp_path / str(number))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_save_and_load(training, tmp_path):
    probe = fit_probe(*training, ProbeOptions(weight_decays=(0.01, 0.1), steps=20), seed=0)
    probe.save(tmp_path / "probe.safetensors")
    loaded = LinearProbe.load(tmp_path / "probe.safetensors")
    for name in ("weights", "bias", "mean", "scale", "class_ids"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(probe, name))
        assert getattr(loaded, name).dtype == getattr(probe, name).dtype
    assert (loaded.learning_rate, loaded.weight_decay) == (probe.learning_rate, probe.weight_decay)
    assert loaded.validation_accuracy == probe.validation_accuracy
    np.testing.assert_array_equal(loaded.predict(training[0]), probe.predict(training[0]))


def test_files_that_are_no_probe_are_refused(tmp_path):
    path = tmp_path / "probe.safetensors"
    with pytest.raises(ModelError, match=r"probe\.safetensors cannot be read"):
        LinearProbe.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"probe\.safetensors cannot be read"):
        LinearProbe.load(path)
    save_file({"weights": np.ones(3, np.float32)}, path)
    with pytest.raises(ModelError, match="is not a linear probe of format"):
        LinearProbe.load(path)


def test_unusable_tokens_are_refused(training):
    tokens, labels, image = training
    with pytest.raises(DataError, match="no training patch"):
        fit_probe(tokens[:0], labels[:0], image[:0], ProbeOptions(steps=20), seed=0)
    probe = fit_probe(tokens, labels, image, ProbeOptions(steps=2), seed=0)
    with pytest.raises(ModelError, match="tokens have 19 features and the probe was fitted on 20"):
        probe.predict(tokens[:, :19])
    tokens[3, 4] = np.nan
    with pytest.raises(ModelError, match="infinite or not a number"):
        fit_probe(tokens, labels, image, ProbeOptions(steps=20), seed=0)
    with pytest.raises(ModelError, match="infinite or not a number"):
        probe.predict(tokens)


@pytest.mark.requires_gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_probe_is_the_cpu_probe(training):
    options = ProbeOptions(learning_rates=(0.003, 0.03), weight_decays=(0.001, 0.1), steps=400)
    transforms = [fit_transform(view, training[0], key="v") for view in VIEWS]
    on_cpu, on_gpu = (fit_probes(*training, transforms, options, seed=0, device=device) for device in ("cpu", "cuda"))
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        assert (gpu.learning_rate, gpu.weight_decay) == (cpu.learning_rate, cpu.weight_decay)
        np.testing.assert_allclose(gpu.weights, cpu.weights, atol=1e-3)
