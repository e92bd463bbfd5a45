"""Metrics against slow, independent code and closed forms; the protocol on systems we know."""

import dataclasses
import math
import tracemalloc
from types import SimpleNamespace

import equinox as eqx
import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import plrjax as plr
from plrjax import metrics

PSEUDOCOUNT = 1e-5
METRICS = (metrics.state_space_divergence, metrics.power_spectrum_error)


def series(seed, rows=400, columns=3, spread=1.0, shift=0.0):
    """A random walk that is pulled back: correlated in time and in space."""
    draw = np.random.default_rng([seed, rows, columns])
    walk = draw.standard_normal((rows, columns)) @ draw.standard_normal((columns, columns))
    for t in range(1, rows):
        walk[t] += 0.9 * walk[t - 1]
    return spread * walk + shift


def dense_divergence(true, generated, bins):
    """D_stsp from full histograms (np.histogramdd drops what lies outside)."""
    sigma = np.sqrt(np.square(true - true.mean(0)).sum(0) / (len(true) - 1))
    box = list(zip(true.min(0) - 0.1 * sigma, true.max(0) + 0.1 * sigma))
    p, q = (np.histogramdd(x, bins=bins, range=box)[0].ravel() for x in (true, generated))
    p, q = ((c + PSEUDOCOUNT) / (c.sum() + PSEUDOCOUNT * c.size) for c in (p, q))
    return sum(math.fsum([a * math.log(a), -a * math.log(b)]) for a, b in zip(p, q))


def slow_spectrum(x, sigma):
    """One normalized spectrum by an explicit Fourier sum and an explicit convolution."""
    x = (x - x.mean()) / x.std(ddof=1)
    times = np.arange(len(x))
    waves = [np.exp(-2j * np.pi * k * times / len(x)) for k in range(len(x) // 2 + 1)]
    power = np.array([abs(np.sum(x * wave)) ** 2 for wave in waves])
    radius = 4 * sigma
    weights = np.array([math.exp(-0.5 * (d / sigma) ** 2) for d in range(-radius, radius + 1)])
    padded = np.pad(power, radius, mode="symmetric")
    smooth = np.array([padded[k : k + 2 * radius + 1] @ weights for k in range(len(power))])
    return smooth / smooth.sum()


def slow_power_error(true, generated, sigma):
    pairs = [[slow_spectrum(x, sigma) for x in pair] for pair in zip(true.T, generated.T)]
    squares = [sum((math.sqrt(a) - math.sqrt(b)) ** 2 / 2 for a, b in zip(*pair)) for pair in pairs]
    return sum(map(math.sqrt, squares)) / len(squares)


@pytest.mark.parametrize("columns, bins", [(1, 30), (2, 30), (3, 12), (5, 5)])
def test_binned_divergence_is_that_of_full_histograms(columns, bins):
    true, other = series(1, columns=columns), series(2, 300, columns, spread=1.3, shift=0.2)
    found = metrics.state_space_divergence(true, other, bins=bins)
    assert found == pytest.approx(dense_divergence(true, other, bins), rel=1e-10)


def test_binned_divergence_of_many_cells_needs_no_table():
    true, other = series(3, 2000, 8), series(4, 2000, 8)
    tracemalloc.start()
    found = metrics.state_space_divergence(true, other, method="binned")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6 and np.isfinite(found)


def test_divergence_of_disjoint_points_by_hand():
    true = np.repeat([0.0, 1.0], 50)[:, None]
    other = np.full((70, 1), 0.5)
    e, z, y = PSEUDOCOUNT, 100 + 30 * PSEUDOCOUNT, 70 + 30 * PSEUDOCOUNT
    hit = 2 * (50 + e) / z * math.log((50 + e) / z * y / e)
    missed = e / z * math.log(e / z * y / (70 + e)) + 27 * e / z * math.log(y / z)
    found = metrics.state_space_divergence(true, other)
    assert found == pytest.approx(hit + missed, rel=1e-12) and found > 15


def test_points_outside_the_box_are_dropped():
    true, inside = series(5), series(5)[:200]
    far = np.concatenate([inside, np.full((50, 3), 1e300), [[0.0, 0.0, -1e3]]])
    value = metrics.state_space_divergence(true, inside)
    assert metrics.state_space_divergence(true, far) == value
    assert math.isnan(metrics.state_space_divergence(true, far[200:]))
    corners = np.concatenate([true, [true.min(0), true.max(0)]])
    assert metrics.state_space_divergence(corners, corners) == 0


@pytest.mark.parametrize("columns", [3, 7])
def test_identical_data_score_zero(columns):
    data = series(6, columns=columns)
    assert metrics.state_space_divergence(data, data) == 0
    assert metrics.power_spectrum_error(data, data) == 0


def test_mixture_is_the_mean_of_log_ratios():
    true, other, key = series(7, 60, 6, 0.3), series(8, 40, 6, 0.3), jr.key(3)
    draw = np.random.default_rng(jr.key_data(key).tolist())
    sample = true[draw.integers(0, 60, 50)] + 0.8 * draw.standard_normal((50, 6))

    def log_density(x, points):
        kernel = [math.exp(-sum((x - point) ** 2) / (2 * 0.64)) for point in points]
        return math.log(math.fsum(kernel) / len(points))

    wanted = np.mean([log_density(x, true) - log_density(x, other) for x in sample])
    found = metrics.state_space_divergence(true, other, key=key, variance=0.64, num_samples=50)
    assert found == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("distance", [0.5, 3.0, 1e3, 1e9])
def test_mixtures_of_one_point_have_a_closed_form(distance):
    """KL of two unit Gaussians is |mu - mu'|^2/2; 1e9 apart every density underflows."""
    true, shift = np.ones((2, 4)), np.array([0.6, 0.0, 0.8, 0.0]) * distance
    found = metrics.state_space_divergence(
        true, true + shift, method="mixture", num_samples=40_000, key=jr.key(1)
    )
    assert found == pytest.approx(distance**2 / 2, abs=5 * distance / 200, rel=1e-12)


def test_mixture_of_huge_numbers_is_finite_and_keys_matter():
    true, other = series(9, columns=6), series(10, columns=6)
    assert metrics.state_space_divergence(true, 0 * other + 1e300) > 1e299
    keys = (None, jr.key(0), jr.key(1))
    first, again, second = (metrics.state_space_divergence(true, other, key=k) for k in keys)
    assert first == again != second
    assert first == pytest.approx(second, rel=0.2)
    chunked = metrics.state_space_divergence(true, other, num_samples=20_000)
    assert chunked == pytest.approx(first, rel=0.2)


def test_long_series_are_thinned_evenly():
    true, distance = series(11, 600, 6), metrics.state_space_divergence
    few, kept = true[:25], true[[0, 2, 5, 7, 10, 12, 15, 17, 20, 22]]
    assert distance(few, few + 1.0, max_points=25) == distance(few, few + 1.0)
    found = distance(few, few + 1.0, max_points=10)
    assert found == pytest.approx(distance(kept, kept + 1.0), rel=1e-12) != distance(few, few + 1.0)
    found, rows = distance(true, true[:500], max_points=300), [5 * i // 3 for i in range(300)]
    assert found == pytest.approx(distance(true[::2], true[rows]), rel=1e-12)


@pytest.mark.parametrize("rows", [301, 400])
def test_power_spectrum_error_is_that_of_explicit_sums(rows):
    true, other = series(12, rows), series(13, 450, spread=2.0, shift=3.0)
    found = metrics.power_spectrum_error(true, other, smoothing=6)
    assert found == pytest.approx(slow_power_error(true, other[:rows], 6), rel=1e-10)


def test_shifted_lines_have_closed_forms():
    """Lines are disjoint; smoothed, H^2 = 1 - exp(-d^2/8 sigma^2), but for tails cut at 4 sigma."""
    times, shift = np.arange(8192), 50
    wave = lambda k: np.sin(2 * np.pi * k * times / len(times))[:, None]
    true, other = wave(1000), 7 * wave(1000 + shift)
    assert metrics.power_spectrum_error(true, other, smoothing=0) == pytest.approx(1, abs=1e-6)
    kept = math.erf((4 * 20 - shift / 2) / 20 / math.sqrt(2))
    wanted = math.sqrt(1 - kept * math.exp(-(shift**2) / (8 * 20**2)))
    assert metrics.power_spectrum_error(true, other) == pytest.approx(wanted, abs=2e-4)


def test_a_model_at_rest_is_bad_not_undefined():
    true = series(14)
    rest = np.full((400, 3), 0.7)
    jitter = (rest + 1e-7 * series(15)).astype(np.float32)
    assert metrics.power_spectrum_error(true, rest) == 1
    assert metrics.power_spectrum_error(true, jitter) == 1
    assert metrics.power_spectrum_error(true, 0 * rest) == 1
    mixed = metrics.power_spectrum_error(true, np.column_stack([rest[:, 0], true[:, 1:]]))
    assert mixed == pytest.approx(1 / 3, abs=1e-15)
    assert 10 < metrics.state_space_divergence(true, rest) < 25
    same = metrics.power_spectrum_error(true, series(16))
    assert metrics.power_spectrum_error(1e300 * true, 1e300 * series(16)) == pytest.approx(same)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("columns", [3, 6])
def test_a_diverged_model_scores_nan(metric, bad, columns):
    true, other = series(17, columns=columns), series(18, columns=columns)
    other[123, 1] = bad
    assert math.isnan(metric(true, other))
    assert math.isnan(metric(jnp.asarray(true), jnp.asarray(other)))
    with pytest.raises(ValueError, match=r"^true: expected finite numbers, got 1 NaN or Inf"):
        metric(other, true)


def test_other_dtypes_are_promoted(either_precision):
    true, other = (series(seed).astype(np.float32) for seed in (19, 20))
    for metric in METRICS:
        wanted = metric(true.astype(float), other.astype(float))
        assert type(wanted) is float
        assert metric(true, other) == metric(jnp.asarray(true), jnp.asarray(other)) == wanted


HUNDREDTHS = st.integers(-10_000, 10_000).map(lambda whole: whole / 100)
SAMPLES = arrays.arrays(np.float64, (30, 2), elements=HUNDREDTHS, unique=True)
SETTINGS = hypothesis.settings(max_examples=30, deadline=None)


@SETTINGS
@hypothesis.given(SAMPLES, SAMPLES, st.permutations(range(30)))
def test_divergence_is_positive_and_blind_to_order(true, other, order):
    value = metrics.state_space_divergence(true, other, bins=7)
    assert math.isnan(value) or value >= 0
    shuffled = metrics.state_space_divergence(true[order], other[order], bins=7)
    assert math.isnan(value) or shuffled == value


@SETTINGS
@hypothesis.given(
    SAMPLES, SAMPLES, st.floats(0.01, 100), st.booleans(), st.floats(-100, 100, width=32)
)
def test_power_spectrum_error_is_blind_to_scale(true, other, scale, flip, shift):
    value = metrics.power_spectrum_error(true, other, smoothing=3)
    assert 0 <= value <= 1 + 1e-12
    moved = (-scale if flip else scale) * other + shift
    assert metrics.power_spectrum_error(true, moved, smoothing=3) == pytest.approx(value, abs=1e-6)
    turned = metrics.power_spectrum_error(true, other[::-1], smoothing=3)
    assert turned == pytest.approx(value, abs=1e-6)


TURN = 0.98 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])


def turn(state):
    return jnp.asarray(TURN) @ state


def test_prediction_error_of_a_linear_map(either_precision):
    data = series(21, 300, 2)
    power = np.linalg.matrix_power(TURN, 5)
    wanted = np.mean([(power @ data[t] - data[t + 5]) ** 2 for t in range(295)])
    for size in (1, 7, 64, 295, 8192):
        found = metrics.prediction_error(turn, data, 5, batch_size=size)
        assert found == pytest.approx(wanted, rel=1e-12)
    exact = np.stack([np.linalg.matrix_power(TURN, t) @ [3.0, 1.0] for t in range(100)])
    assert metrics.prediction_error(turn, exact) < 1e-28


def test_prediction_through_another_basis():
    basis = np.array([[2.0, 1.0], [0.5, 1.0], [1.0, -1.0]])
    data = series(22, 200, 2)
    seen = data @ basis.T
    encode = lambda x: jnp.linalg.pinv(jnp.asarray(basis)) @ x
    decode = lambda z: jnp.asarray(basis) @ z
    found = metrics.prediction_error(turn, seen, 4, encode=encode, decode=decode)
    wanted = (data[:-4] @ np.linalg.matrix_power(TURN, 4).T - data[4:]) @ basis.T
    assert found == pytest.approx(np.square(wanted).mean(), rel=1e-12)


class Scaling(plr.AbstractDynamics):
    """z' = a z, only for states of the dtype of a."""

    factor: np.ndarray

    @property
    def state_size(self):
        return 1

    def step(self, state, input=None):
        assert state.dtype == self.factor.dtype
        return jnp.asarray(self.factor) * state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_models_run_in_their_own_dtype(dtype, either_precision):
    third = Scaling(np.array([1 / 3], dtype))
    data = np.linspace(1, 2, 30)[:, None]
    start, factor = data[:-3].astype(dtype), dtype(1 / 3)
    wanted = np.square((start * factor * factor * factor).astype(float) - data[3:]).mean()
    found = metrics.prediction_error(third, data, 3)
    assert found == pytest.approx(wanted, rel=1e-14)
    assert metrics.evaluate(third, data, smoothing=1, num_steps=3).prediction_error == found


def test_predictions_that_run_away_are_nan():
    explosive = Scaling(np.array([1e200]))
    assert math.isnan(metrics.prediction_error(explosive, np.ones((30, 1))))
    with jax.debug_nans(True):
        assert math.isnan(metrics.prediction_error(explosive, np.ones((30, 1))))


def logistic(state):
    """Chaos on [0, 1], and a fixed point at -1 that attracts all z < 0."""
    return jnp.where(state < 0, 0.5 * state - 0.5, 4 * state * (1 - state))


def logistic_data(rows=2000):
    data = np.empty((rows, 1))
    data[0] = 0.3
    for t in range(rows - 1):
        data[t + 1] = 4 * data[t] * (1 - data[t])
    return data


def test_evaluate_a_perfect_model_and_a_captured_orbit():
    data = logistic_data()
    score = metrics.evaluate(logistic, data, num_starts=8, num_steps=3)
    assert score.start.tolist() == list(range(0, 2000, 250))
    assert score.num_generated == 2000 and score.num_nonfinite == 0
    assert score.captured_share == 0 and score.prediction_error < 1e-20
    assert score.median.state_space_divergence < 4 * score.floor.state_space_divergence
    data[500] = -0.1
    caught = metrics.evaluate(logistic, data, num_starts=8, num_steps=3)
    assert caught.captured.tolist() == [row == 2 for row in range(8)]
    assert caught.power_spectrum_error[2] == 1
    assert caught.median.state_space_divergence < 0.1
    assert "captured by another attractor: 1 of 8 (12.5 %), not finite: 0" in str(caught)


def test_orbits_are_those_of_the_model():
    data = logistic_data(400)
    score = metrics.evaluate(logistic, data, num_starts=3, generate=2.0, drop=0.5, smoothing=5)
    for row in range(3):
        with jax.enable_x64(True):
            orbit = plr.trajectory(plr.Dynamics(logistic, 1), data[score.start[row]], 800)
        kept = np.asarray(orbit)[201:]
        divergence = metrics.state_space_divergence(data, kept)
        assert score.state_space_divergence[row] == pytest.approx(divergence, rel=1e-12)
        power = metrics.power_spectrum_error(data, kept, smoothing=5)
        assert score.power_spectrum_error[row] == pytest.approx(power, rel=1e-9)
    floor = metrics.split_half(metrics.state_space_divergence, data)
    assert score.floor.state_space_divergence == floor


@pytest.mark.parametrize("back", [False, True])
def test_orbits_that_run_away_are_counted(back):
    """1 doubles past the largest float64 in 1024 steps; coming back does not count as finite."""

    def step(state):
        return jnp.where(jnp.isinf(state) & back, 0.5, 2 * state)

    data = series(23, 1000, 1)
    data[[0, 500]] = [[1.0], [0.0]]
    score = metrics.evaluate(step, data, num_starts=2)
    assert score.first_nonfinite.tolist() == [1024, -1]
    assert np.isnan(score.state_space_divergence).tolist() == [True, False]
    assert np.isnan(score.power_spectrum_error).tolist() == [True, False]
    assert score.captured.tolist() == [False, True] and score.num_nonfinite == 1
    assert math.isnan(score.median.power_spectrum_error)


class Mixed(eqx.Module):
    """x = B z, with one number observed less than there are states."""

    matrix: jax.Array

    def observe(self, state):
        return self.matrix @ state

    def initial_state(self, observation):
        return jnp.linalg.pinv(self.matrix) @ observation


def test_observation_models_stand_between(getkey):
    model = plr.ClippedShallowPLRNN(4, 10, key=getkey())
    seen = Mixed(jr.normal(getkey(), (3, 4)))
    data = series(24, 400)
    score = metrics.evaluate(model, data, observation_model=seen, num_starts=4, num_steps=2)
    encode, decode = seen.initial_state, seen.observe
    direct = metrics.prediction_error(model, data, 2, encode=encode, decode=decode)
    assert score.prediction_error == direct
    assert score.relative_deviation.shape == (4, 3)
    with pytest.raises(ValueError, match="^model: .* dimensions, 3, got 4; say by observation_"):
        metrics.evaluate(model, data)
    with pytest.raises(ValueError, match="^observation_model: expected an object with initial_"):
        metrics.evaluate(model, data, observation_model=Mixed)
    with pytest.raises(ValueError, match=r"_model.observe: .* shape \(2,\), got \(3,\)"):
        broken = SimpleNamespace(observe=seen.observe, initial_state=lambda x: jnp.ones(4) * x[0])
        metrics.evaluate(model, data[:, :2], observation_model=broken)


def test_many_evaluations_are_pooled_by_run():
    data = logistic_data()
    good = metrics.evaluate(logistic, data, num_starts=2, num_steps=1)
    worse, lost = (
        dataclasses.replace(good, prediction_error=error, captured=np.array([True, False]))
        for error in (2.0, np.nan)
    )
    together = metrics.evaluate_many([[good, worse, worse], [good], [lost, lost]], reference=good)
    assert together.num_evaluations.tolist() == [3, 1, 2] and together.num_orbits == 12
    assert together.prediction_error[0] == 2 and np.isnan(together.prediction_error[2])
    assert together.median.prediction_error == 2 and together.num_failed == 1
    assert together.captured_share.tolist() == [1 / 3, 0, 0.5]
    text = str(together)
    assert text.startswith("3 runs, 6 evaluations, 12 orbits\n") and "perfect" in text
    assert text.endswith(
        "captured by another attractor: 27.8 % (up to 50 %) of a run's orbits, not finite: 0 %; "
        "runs without a score: 1 of 3"
    )
    flat = metrics.evaluate_many([good, good])
    assert flat.median == good.median and flat.deviation.prediction_error == 0
    for wrong in ([], [[]], [good, 3], good, ["abc"]):
        with pytest.raises(ValueError, match="^evaluations: expected"):
            metrics.evaluate_many(wrong)
    with pytest.raises(ValueError, match="^evaluations: expected the same prediction_steps"):
        metrics.evaluate_many([good, dataclasses.replace(good, prediction_steps=7)])
    with pytest.raises(ValueError, match="^reference: expected"):
        metrics.evaluate_many([good], reference=3)


DATA = np.random.default_rng(0).standard_normal((100, 2))
CONSTANT = np.column_stack([DATA[:, 0], np.ones(100)])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: m.state_space_divergence(DATA[:, 0], DATA), r"true: .*\(100,\)"),
        (lambda m: m.state_space_divergence(DATA, DATA[:, :1]), r"generated: expected 2 columns"),
        (lambda m: m.state_space_divergence(DATA, DATA[:1]), r"generated: .* 2 rows, got 1"),
        (lambda m: m.state_space_divergence(DATA, 1j * DATA), "generated: .*complex"),
        (lambda m: m.state_space_divergence("a", DATA), "true: expected real numbers"),
        (lambda m: m.state_space_divergence([[1], [2, 3]], DATA), "true: expected a rectangular"),
        (lambda m: m.state_space_divergence(CONSTANT, DATA), "true: .* constant column 1"),
        (lambda m: m.state_space_divergence(DATA, DATA, method="kde"), "method: .* got 'kde'"),
        (lambda m: m.state_space_divergence(DATA, DATA, bins=1), "bins: .* at least 2, got 1"),
        (lambda m: m.state_space_divergence(DATA, DATA, bins=2**32), r"method: .* 2\^63 cells"),
        (lambda m: m.state_space_divergence(DATA, DATA, variance=0), "variance: .* got 0"),
        (lambda m: m.state_space_divergence(DATA, DATA, num_samples=0), "num_samples: .* got 0"),
        (lambda m: m.state_space_divergence(DATA, DATA, key=0), "key: .* got int"),
        (lambda m: m.power_spectrum_error(DATA[:39], DATA), "true: .* 40 rows, got 39"),
        (lambda m: m.power_spectrum_error(DATA, DATA[:39]), "generated: .* 40 rows, got 39"),
        (lambda m: m.power_spectrum_error(DATA, DATA, -1), "smoothing: .* got -1"),
        (lambda m: m.power_spectrum_error(DATA, DATA, np.nan), "smoothing: expected finite"),
        (lambda m: m.power_spectrum_error(CONSTANT, DATA), "true: .* constant column 1"),
        (lambda m: m.split_half(3, DATA), "metric: .* got 3"),
        (lambda m: m.prediction_error(turn, DATA[:20]), "observations: .* 21 rows, got 20"),
        (lambda m: m.prediction_error(turn, DATA, 0), "num_steps: .* got 0"),
        (lambda m: m.prediction_error(turn, DATA, batch_size=0), "batch_size: .* got 0"),
        (lambda m: m.prediction_error(3, DATA), "model: .* got int"),
        (lambda m: m.prediction_error(plr.TanhRNN, DATA), "model: .* got TanhRNN"),
        (lambda m: m.prediction_error(jnp.sum, DATA), r"model: expected a step .* got \(\)"),
        (lambda m: m.prediction_error(turn, DATA, encode=3), "encode: .* function, got 3"),
        (lambda m: m.prediction_error(turn, DATA, encode=jnp.sum), r"encode: .* got \(\)"),
        (lambda m: m.prediction_error(turn, DATA, decode=jnp.sum), r"decode: .* got \(\)"),
        (lambda m: m.evaluate(turn, DATA[:79]), "test: .* 80 rows, got 79"),
        (lambda m: m.evaluate(turn, CONSTANT), "test: .* constant column 1, in one half"),
        (lambda m: m.evaluate(turn, DATA, generate=0.5), "generate: .* 40 steps .* 0.5 times 100"),
        (lambda m: m.evaluate(turn, DATA, drop=-1), "drop: .* got -1"),
        (lambda m: m.evaluate(turn, DATA, method="kde"), "method: .* got 'kde'"),
        (lambda m: m.evaluate(turn, DATA, observation_model=3), "observation_model: .* got 3"),
    ],
)
def test_misuse_names_argument_expectation_and_value(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call(metrics)


MEAN, DEVIATION = (-0.12851028, -0.12984903, 23.58362028), (7.93127565, 9.00976491, 8.59251483)
"""What the test series was standardized by: least squares of one RK4 step against the series,
residual 6e-7 (the series is float32)."""


def lorenz_step(state, dt=0.01):
    """One Runge-Kutta step of Lorenz-63 in standardized units."""
    mean, deviation = map(jnp.array, (MEAN, DEVIATION))

    def field(u):
        x, y, z = u
        return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    u = state * deviation + mean
    a = field(u)
    b = field(u + dt / 2 * a)
    c = field(u + dt / 2 * b)
    d = field(u + dt * c)
    return (u + dt / 6 * (a + 2 * b + 2 * c + d) - mean) / deviation


def test_lorenz_floors_and_the_score_of_a_perfect_model(shared):
    """Over 8 simulations others found D_stsp .057-.186 and D_H .059; split halves .23 and .054."""
    score = metrics.evaluate(lorenz_step, np.load(shared / "data/series/lorenz63_test.npy"))
    assert score.floor.state_space_divergence == pytest.approx(0.23, abs=0.005)
    assert score.floor.power_spectrum_error == pytest.approx(0.054, abs=0.0005)
    assert 0.08 < score.median.state_space_divergence < 0.17
    assert 0.05 < score.median.power_spectrum_error < 0.07
    assert score.state_space_divergence.max() < 0.25 and score.captured_share == 0
    assert score.prediction_error < 1e-10


def test_lorenz_networks_with_a_second_attractor(shared):
    """An invariant circle around a focus captures some per cent of the orbits of snapshot 8."""
    snapshots = np.load(shared / "data/networks/lorenz63_clipped_shallow_gtf015.npz")
    last = {name: snapshots[name][8] for name in ("A", "W1", "W2", "h1", "h2")}
    model = plr.from_arrays("clipped-shallow", **last)
    test = np.load(shared / "data/series/lorenz63_test.npy")
    score = metrics.evaluate(model, test, num_starts=48)
    assert 0 < score.captured.sum() < 12
    assert score.state_space_divergence[~score.captured].max() < 0.5
    assert score.median.state_space_divergence < 0.4
    assert score.prediction_error == pytest.approx(5.66e-4, rel=0.02)
