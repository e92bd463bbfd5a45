"""The largest exponent from time series: known systems, noise, and what has none."""

import functools

import jax.random as jr
import numpy as np
import pytest
from scipy.signal import lfilter

import plrjax as plr
from plrjax import systems
from plrjax.systems import _divergence, _embedding, _window

LOGISTIC = 0.496059
"""At r = 3.9: tangent vectors in a scalar loop, 1e9 steps."""


@functools.cache
def observed(name: str, seed: int, length: int, noise: float = 0.0) -> np.ndarray:
    system = {
        "lorenz": systems.lorenz63,
        "rossler": systems.rossler,
        "logistic": systems.logistic,
        "logistic 3.9": lambda: systems.logistic(r=3.9),
        "henon": systems.henon,
        "lorenz96": systems.lorenz96,
        "mackey_glass": systems.mackey_glass,
        "bursting": systems.bursting_neuron,
    }[name]()
    return systems.simulate(system, length, key=jr.key(seed), noise=noise).observations


@pytest.mark.parametrize(
    "name, exponent, lengths",
    [
        ("lorenz", 0.009056, (10_000, 30_000)),
        ("rossler", 0.00714, (30_000, 60_000)),
        ("logistic", np.log(2.0), (300, 1_000, 10_000)),
        ("logistic 3.9", LOGISTIC, (500, 2_000, 10_000)),
        ("henon", 0.41922, (500, 2_000, 10_000)),
    ],
)
def test_chaotic_series_within_fifteen_percent(name, exponent, lengths):
    for length in lengths:
        for seed in range(4):
            found = plr.estimate_exponent(observed(name, seed, max(lengths))[:length])
            assert found.exponent == pytest.approx(exponent, rel=0.15), (length, seed)
            assert abs(found.exponent - exponent) < 5.0 * found.standard_error + 0.03 * exponent
            assert found.standard_error < 0.2 * exponent and not found.notes
            assert found.prediction_time == pytest.approx(np.log(2.0) / found.exponent)


@pytest.mark.parametrize(
    "name, exponent, length, noise",
    [
        ("lorenz", 0.009056, 100_000, 0.01),
        ("lorenz", 0.009056, 100_000, 0.05),
        ("rossler", 0.00714, 60_000, 0.02),
    ],
)
def test_noisy_flows(name, exponent, length, noise):
    for seed in range(2):
        found = plr.estimate_exponent(observed(name, seed, length, noise))
        assert found.exponent == pytest.approx(exponent, rel=0.15)
        assert found.noise == pytest.approx(noise, rel=0.1)
        assert any("noise" in note for note in found.notes)


@pytest.mark.parametrize(
    "name, variable, exponent, length, embedding",
    [
        ("lorenz", 0, 0.009056, 50_000, 3),
        ("rossler", 0, 0.00714, 50_000, 3),
        ("henon", 0, 0.41922, 2_000, 2),
        ("mackey_glass", 0, 0.00513, 20_000, 3),
    ],
)
def test_one_variable_is_embedded(name, variable, exponent, length, embedding):
    found = plr.estimate_exponent(observed(name, 0, length)[:, variable])
    assert found.exponent == pytest.approx(exponent, rel=0.2)
    assert found.embedding == embedding and found.delay >= 1


def test_the_public_series(shared):
    folder = shared / "data" / "series"
    clean = plr.estimate_exponent(np.load(folder / "lorenz63_test.npy"), dt=0.01)
    assert clean.exponent == pytest.approx(0.009056, rel=0.05)
    assert clean.in_units()[0] == pytest.approx(0.9056, rel=0.05)
    noisy = plr.estimate_exponent(np.load(folder / "lorenz63_on0.05_train.npy"))
    assert noisy.exponent == pytest.approx(0.009056, rel=0.15)
    assert noisy.noise == pytest.approx(0.05, abs=0.005)
    neuron = plr.estimate_exponent(np.load(folder / "burstingneuron_test.npy")[:30_000])
    assert abs(neuron.exponent) < 1e-4 and neuron.prediction_time == np.inf
    for name in ("eeg_64d", "fmri_20d"):
        with pytest.raises(RuntimeError, match="nats closer than unrelated states"):
            plr.estimate_exponent(np.load(folder / f"{name}.npy")[:2_000])


TIME = np.arange(6_000)
CIRCLE = np.exp(1j * 0.13 * TIME)[:, None].view(float)
REGULAR = {
    "sine": np.sin(0.13 * TIME),
    "circle": CIRCLE,
    "circle map": np.exp(2j * np.pi * np.sqrt(2) * TIME)[:, None].view(float),
    "torus": np.concatenate([CIRCLE, np.exp(0.1838j * TIME)[:, None].view(float)], axis=1),
}


@pytest.mark.parametrize("name", REGULAR)
def test_neighbors_on_cycles_and_tori_do_not_part(name):
    found = plr.estimate_exponent(REGULAR[name])
    assert abs(found.exponent) < max(3.0 * found.standard_error, 1e-6)
    assert abs(found.exponent) < 1e-4 and found.prediction_time == np.inf
    assert "neighbors do not part" in found.notes[0]


@pytest.mark.parametrize("name", REGULAR)
def test_noisy_cycles_and_tori_are_not_chaotic(name):
    draw = np.random.default_rng(0)
    for noise in (0.02, 0.1):
        series = REGULAR[name] + noise * draw.standard_normal(REGULAR[name].shape)
        assert not plr.estimate_exponent(series, throw=False).prediction_time < np.inf


def test_a_stable_cycle_of_a_flow():
    found = plr.estimate_exponent(observed("bursting", 0, 20_000))
    assert abs(found.exponent) < 1e-5 and found.prediction_time == np.inf


def autoregressive(coefficient, variables, seed):
    draw = np.random.default_rng([seed, variables])
    return lfilter([1.0], [1.0, -coefficient], draw.standard_normal((10_000, variables)), axis=0)


def surrogate(series, seed):
    """Return a series with the same spectrum and random phases (Theiler et al. 1992)."""
    waves = np.fft.rfft(series, axis=0)
    turns = np.random.default_rng(seed).random((len(waves) - 2, 1))
    waves[1:-1] *= np.exp(2j * np.pi * turns)
    return np.fft.irfft(waves, axis=0)


NOISE = {
    "white": lambda seed: np.random.default_rng(seed).standard_normal(5_000),
    "white 3": lambda seed: np.random.default_rng(seed).standard_normal((10_000, 3)),
    "uniform": lambda seed: np.random.default_rng(seed).random(2_000),
    "ar .9": lambda seed: autoregressive(0.9, 1, seed),
    "ar .99": lambda seed: autoregressive(0.99, 1, seed),
    "ar .99 3": lambda seed: autoregressive(0.99, 3, seed),
    "walk": lambda seed: autoregressive(1.0, 1, seed)[:3_000],
    "surrogate": lambda seed: surrogate(observed("lorenz", seed, 10_000), seed),
    "surrogate x": lambda seed: surrogate(observed("rossler", seed, 10_000)[:, :1], seed),
}


@pytest.mark.parametrize("name", NOISE)
def test_noise_is_refused(name):
    """One series of a kind raises, another gives NaN: it is the same refusal."""
    with pytest.raises(RuntimeError, match=r"^estimate_exponent: .*throw=False"):
        plr.estimate_exponent(NOISE[name](0))
    found = plr.estimate_exponent(NOISE[name](1), throw=False)
    assert np.isnan(found.exponent) and np.isnan(found.prediction_time) and found.notes


def test_too_many_dimensions_are_refused():
    """Neighbors on the attractor of Lorenz-96 are too far apart in 10,000 rows."""
    with pytest.raises(RuntimeError, match="not exponentially|saturation"):
        plr.estimate_exponent(observed("lorenz96", 0, 10_000))


def test_noise_on_a_map_is_noted():
    clean = plr.estimate_exponent(observed("henon", 0, 5_000))
    noisy = plr.estimate_exponent(observed("henon", 0, 5_000, 0.01))
    assert noisy.exponent < clean.exponent and "noisy" in noisy.notes[0]


def test_a_series_that_repeats():
    for series in (np.tile([0.2, 0.7], 500), np.sin(2 * np.pi * TIME / 50)):
        with pytest.raises(RuntimeError, match="repeats"):
            plr.estimate_exponent(series)
        assert np.isnan(plr.estimate_exponent(series, throw=False).exponent)


def test_the_same_series_in_other_units_and_precision():
    series = observed("lorenz", 0, 10_000)
    found = plr.estimate_exponent(series, dt=0.01)
    scaled = plr.estimate_exponent(series * [1.0, 1e200, 1e-3] + [5.0, 0.0, -7.0], dt=0.01)
    single = plr.estimate_exponent(series.astype(np.float32), dt=0.01)
    assert scaled.exponent == pytest.approx(found.exponent, rel=1e-6)
    assert single.exponent == pytest.approx(found.exponent, rel=0.02)
    again = plr.estimate_exponent(series, dt=0.01)
    assert again.exponent == found.exponent
    rate, error = found.in_units("bits")
    assert rate == pytest.approx(found.exponent / np.log(2) / 0.01)
    assert error == pytest.approx(found.standard_error / np.log(2) / 0.01)
    text = str(found)
    assert "per time unit" in text and "errors double in" in text and "Theiler window" in text


def test_chosen_settings():
    series = observed("lorenz", 0, 10_000)[:, 0]
    found = plr.estimate_exponent(
        series, delay=10, embedding=4, theiler=50, num_steps=600, num_pairs=500
    )
    assert (found.delay, found.embedding, found.theiler) == (10, 4, 50)
    assert len(found.divergence) == 601 and found.num_pairs == 500
    assert found.exponent == pytest.approx(0.009056, rel=0.35)
    assert 31 <= found.window[0] < found.window[1] <= 600


def exact(curve, saturation=0.0):
    """Return a divergence curve without any error."""
    return _divergence.Divergence(curve, np.tile(curve, (4, 1)), saturation, saturation, 1_000)


def test_the_rule_on_exact_curves():
    time = np.arange(400)
    line = _window.fit_divergence(exact(np.minimum(-6.0 + 0.02 * time, 0.0)), -np.inf, 1, 10)
    assert line.slope == pytest.approx(0.02) and line.error < 1e-12 and not line.reason
    diffusion = exact(np.minimum(-6.0 + 0.5 * np.log(np.maximum(time, 1)), 0.0), -1.0)
    assert "not exponentially" in _window.fit_divergence(diffusion, -np.inf, 1, 2).reason
    flat = _window.fit_divergence(exact(np.full(400, -6.0)), -np.inf, 1, 10)
    assert flat.flat and abs(flat.slope) < 1e-12
    top = _window.fit_divergence(exact(np.full(400, -0.5)), -np.inf, 1, 10)
    assert "unrelated states" in top.reason
    late = _window.fit_divergence(exact(np.full(20, -6.0)), -np.inf, 15, 10)
    assert "35 are needed" in late.reason


def test_noise_is_subtracted_from_a_curve():
    growth = -5.0 + 0.02 * np.arange(250)
    noisy = exact(0.5 * np.log(np.exp(2 * growth) + np.exp(-8.0)))
    found = _window.fit_divergence(noisy, -4.0, 1, 10)
    assert found.slope == pytest.approx(0.02) and found.first == 50


def test_time_scales_and_noise_of_a_series():
    wave = np.sqrt(2) * np.sin(2 * np.pi * TIME / 40)[:, None]
    assert _embedding.mean_period(wave) == pytest.approx(40, rel=0.02)
    assert _embedding.correlation_delay(wave) == 6
    noise = 0.03 * np.random.default_rng(3).standard_normal(wave.shape)
    assert _embedding.noise_level(wave + noise)[0] == pytest.approx(0.03, rel=0.05)
    smooth, found, left = _embedding.denoise(wave + noise)
    assert found == pytest.approx(0.03, rel=0.05)
    assert (smooth - wave).std() == pytest.approx(left, rel=0.2) and left < 0.02
    assert _embedding.denoise(wave)[1:] == (0.0, 0.0)


def test_neighbors_keep_their_distance_in_time():
    points = observed("lorenz", 0, 10_000)[:2_000]
    first, second = _divergence.neighbors(points, 300, 80)
    assert len(first) == 300 and np.abs(first - second).min() > 80
    for i, j in zip(first[::50], second[::50]):
        far = np.linalg.norm(points - points[i], axis=1)
        far[max(0, i - 80) : i + 81] = np.inf
        assert far[j] == far.min()


def test_embedding():
    rows = systems.embed(np.arange(12.0).reshape(6, 2), 2, 2)
    assert rows.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [4, 5, 8, 9], [6, 7, 10, 11]]


@pytest.mark.parametrize(
    "series, options, message",
    [
        (np.full(500, 0.1), {}, "series: variable 0 is constant"),
        (np.arange(50.0), {}, "series: expected .* at least 100 rows"),
        (np.ones((4, 500, 2)), {}, "series: expected"),
        (np.r_[np.arange(200.0), np.nan], {}, "series: expected finite numbers"),
        (np.arange(200) * 1j, {}, "series: expected real numbers"),
        (TIME % 7.3, {"dt": -1.0}, "dt: expected a positive number"),
        (TIME % 7.3, {"delay": 0}, "delay: expected an integer of at least 1"),
        (TIME % 7.3, {"embedding": 20_000}, "embedding: expected an integer"),
        (TIME % 7.3, {"theiler": -1}, "theiler: expected an integer"),
        (TIME % 7.3, {"num_steps": 2}, "num_steps: expected an integer"),
        (TIME % 7.3, {"num_pairs": 5}, "num_pairs: expected an integer"),
    ],
)
def test_misuse(series, options, message):
    with pytest.raises(ValueError, match=message):
        plr.estimate_exponent(series, **options)
