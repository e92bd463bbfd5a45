"""Benchmark systems against reference integrators, published exponents, and a public series."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from systems import QUIET

import plrjax as plr
from plrjax import systems

FLOWS = {
    "lorenz63": (systems.lorenz63, 1.0),
    "lorenz96": (systems.lorenz96, 0.4),
    "rossler": (systems.rossler, 5.0),
    "duffing": (systems.duffing, 5.0),
    "bursting_neuron": (systems.bursting_neuron, 10.0),
}
MAPS = {"henon": systems.henon, "logistic": systems.logistic, "lozi": systems.lozi}


def run(system, state, num_steps):
    """Return the orbit in float64."""
    with jax.enable_x64(True):
        return np.asarray(eqx.filter_jit(plr.trajectory)(system, jnp.asarray(state), num_steps))


def on_attractor(system):
    return run(system, system.start, 4_000)[-1]


def difference(system, a, b):
    """Return a - b, phases modulo 2 pi."""
    off = a - b
    if system.name == "duffing":
        off[..., 2] = (off[..., 2] + np.pi) % (2 * np.pi) - np.pi
    return off


@pytest.mark.parametrize("name", FLOWS)
def test_flows_against_dormand_prince(name):
    make, time = FLOWS[name]
    system = make()
    start, steps = on_attractor(system), round(time / system.dt)
    with jax.enable_x64(True):
        field = jax.jit(lambda z: system.field(z, **system.parameters))
        reference = solve_ivp(
            lambda t, z: np.asarray(field(z)), (0, time), start, "DOP853", rtol=1e-12, atol=1e-12
        )
    off = difference(system, run(system, start, steps)[-1], reference.y[:, -1])
    assert np.abs(off / run(system, start, 4_000).std(axis=0)).max() < 1e-5


@pytest.mark.parametrize("name", FLOWS)
def test_flows_converge_with_order_four(name):
    make, time = FLOWS[name]
    coarse = make().substeps
    start = on_attractor(make())
    ends = [
        run(make(substeps=coarse * factor), start, round(time / make().dt))[-1]
        for factor in (1, 2, 4)
    ]
    errors = [np.linalg.norm(difference(make(), a, b)) for a, b in zip(ends, ends[1:])]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.4)


def mackey_glass_reference(time, delay=17.0):
    """Integrate from the constant history 1.2, one delay after the other (method of steps)."""
    history, state, begin = (lambda t: np.full(1, 1.2)), np.array([1.2]), 0.0
    while begin < time:
        slope = lambda t, x, past=history: (
            0.2 * past(t - delay) / (1.0 + past(t - delay) ** 10) - 0.1 * x
        )
        end = min(begin + delay, time)
        piece = solve_ivp(
            slope, (begin, end), state, "DOP853", rtol=1e-12, atol=1e-12, dense_output=True
        )
        history, state, begin = piece.sol, piece.y[:, -1], end
    return state[0]


def test_mackey_glass_against_the_method_of_steps():
    system = systems.mackey_glass(substeps=8)
    assert abs(run(system, system.start, 51)[-1][-1] - mackey_glass_reference(51.0)) < 1e-5


def test_mackey_glass_converges_with_order_four():
    fine = on_attractor(systems.mackey_glass(substeps=16))
    ends = [
        run(systems.mackey_glass(substeps=count), fine[:: 16 // count], 40)[-1][-1]
        for count in (2, 4, 8)
    ]
    errors = np.abs(np.diff(ends))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.4)


def spectrum(system, **options):
    options = {"num_steps": 3_000, "num_transient": 3_000, "num_orbits": 64, **options}
    found = plr.lyapunov_spectrum(system, system.start, key=jr.key(0), progress=QUIET, **options)
    return found.in_units("nats", system.dt)


@pytest.mark.parametrize(
    "make, exponents",
    [
        (systems.lorenz63, [0.9056, 0.0, -14.5723]),
        (systems.rossler, [0.0714, 0.0, -5.3943]),
        (systems.duffing, [0.1286, 0.0, -0.2286]),
        (systems.henon, [0.41922, -1.62320]),
        (systems.logistic, [np.log(2.0)]),
        (systems.lozi, [0.47023, np.log(0.5) - 0.47023]),
    ],
)
def test_exponents(make, exponents):
    found, error = spectrum(make())
    assert np.all(np.abs(found - exponents) <= 4.0 * error + 2e-3 * np.abs(exponents[0]))
    assert found.sum() == pytest.approx(sum(exponents), abs=2e-3)


def test_exponents_of_lorenz_96():
    found, error = spectrum(systems.lorenz96(), num_orbits=32, num_steps=2_000, num_transient=500)
    assert found.sum() == pytest.approx(-10.0, abs=1e-4)
    assert abs(found[0] - 1.18) <= 4.0 * error[0] + 0.01


def test_exponents_of_mackey_glass():
    found, error = spectrum(systems.mackey_glass(substeps=2), num_exponents=2)
    assert abs(found[0] - 0.00513) <= 4.0 * error[0] + 3e-5
    assert abs(found[1]) <= 4.0 * error[1] + 3e-5


def test_rosenstein_parameters():
    """Two systems of Rosenstein et al. (1993), Table 1."""
    found, _ = spectrum(systems.lorenz63(sigma=16, rho=45.92, beta=4), num_exponents=1)
    assert found[0] == pytest.approx(1.50, abs=0.02)
    found, _ = spectrum(systems.rossler(a=0.15, c=10), num_exponents=1)
    assert found[0] == pytest.approx(0.090, abs=0.003)


def groups(voltage):
    """Return the sizes of groups of spikes, and samples between the beginnings of groups."""
    spikes = np.flatnonzero((voltage[:-1] < 0.5) & (voltage[1:] >= 0.5))
    begins = np.flatnonzero(np.diff(spikes) > 3 * np.median(np.diff(spikes))) + 1
    return np.diff(begins), np.diff(spikes[begins])


def test_bursting_neuron_is_the_published_one(shared):
    """The test series of Brenner et al. (2022): standardized, no noise."""
    public = np.load(shared / "data" / "series" / "burstingneuron_test.npy")
    series = plr.systems.simulate(systems.bursting_neuron(), 20_000, key=jr.key(0))
    for counts, gaps in (groups(public[:, 0]), groups(series.observations[:, 0])):
        assert set(counts) == {2, 6}
        assert np.minimum(np.abs(gaps - 70), np.abs(gaps - 226)).max() <= 2
    assert np.abs(series.observations.min(axis=0) - public.min(axis=0)).max() < 0.05
    assert np.abs(series.observations.max(axis=0) - public.max(axis=0)).max() < 0.05


def test_a_series_and_its_recipe():
    system = systems.lorenz63()
    series = systems.simulate(system, 5_000, key=jr.key(1), noise=0.05)
    again = systems.simulate(system, 5_000, key=jr.key(1), noise=0.05)
    other = systems.simulate(system, 5_000, key=jr.key(2), noise=0.05)
    assert np.array_equal(series.observations, again.observations)
    assert np.abs(series.clean - other.clean).max() > 1.0
    assert series.observations.shape == (5_000, 3) and series.observations.dtype == np.float64
    assert np.abs(series.clean.mean(axis=0)).max() < 1e-12
    assert np.abs(series.clean.std(axis=0) - 1.0).max() < 1e-12
    noise = series.observations - series.clean
    assert noise.std(axis=0) == pytest.approx(0.05, rel=0.05)
    assert series.dt == 0.01 and len(series) == 5_000
    assert json.loads(json.dumps(series.recipe)) == series.recipe
    assert series.recipe["parameters"]["rho"] == 28.0 and series.recipe["substeps"] == 2
    assert "5000 x 3 observations, dt = 0.01" in str(series) and "lorenz63" in str(series)


def test_units_of_a_series():
    system = systems.lorenz63()
    series = systems.simulate(system, 2_000, key=jr.key(1), noise=0.1)
    raw = systems.simulate(system, 2_000, key=jr.key(1), noise=0.1, standardize=False)
    assert np.abs(series.to_units(raw.observations) - series.observations).max() < 1e-12
    assert np.all(raw.mean == 0) and np.all(raw.std == 1) and not raw.recipe["standardize"]
    assert raw.clean[:, 2].mean() == pytest.approx(23.5, abs=2)
    start = np.array([1.0, 2.0, 3.0])
    exact = systems.simulate(
        system, 3, key=jr.key(0), num_transient=0, state=start, spread=0, standardize=False
    )
    assert np.array_equal(exact.clean[0], start)


def test_observations_of_driven_and_delayed_systems():
    duffing = systems.simulate(systems.duffing(), 500, key=jr.key(0), standardize=False)
    x, v, cosine, sine = duffing.observations.T
    assert np.abs(cosine**2 + sine**2 - 1).max() < 1e-12
    assert np.abs(np.gradient(x, 0.1)[5:-5] - v[5:-5]).max() < 0.05
    orbit = run(systems.duffing(), systems.duffing().start, 1_000)
    assert orbit[:, 2].min() >= 0 and orbit[:, 2].max() < 2 * np.pi
    glass = systems.mackey_glass()
    assert glass.state_size == 69
    assert systems.simulate(glass, 100, key=jr.key(0)).observations.shape == (100, 1)


def test_either_precision(either_precision):
    series = systems.simulate(systems.henon(), 100, key=jr.key(0))
    assert series.observations.dtype == np.float64
    state = jnp.array([0.1, 0.1], jnp.float32)
    assert systems.henon().step(state).dtype == jnp.float32
    flow = systems.lorenz63()
    assert flow.step(jnp.ones(3, jnp.float32)).dtype == jnp.float32


def test_parameters_may_be_traced():
    def end(rho):
        return systems.lorenz63(rho=rho).step(jnp.array([1.0, 2.0, 20.0]))[1]

    slope = jax.grad(end)(jnp.asarray(28.0))
    assert float(slope) == pytest.approx(0.01, rel=0.1)
    assert jax.vmap(end)(jnp.array([20.0, 28.0])).shape == (2,)


@pytest.mark.parametrize("make", [*MAPS.values(), *(make for make, _ in FLOWS.values())])
def test_every_start_is_in_the_basin(make):
    orbit = run(make(), make().start, 3_000)
    assert np.isfinite(orbit).all() and orbit[1_000:].std(axis=0).min() > 0
    assert make().output(make().start).ndim == 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: systems.lorenz63(rho=np.nan), "rho: expected a finite number"),
        (lambda: systems.lorenz63(dt=0.0), "dt: expected a positive number"),
        (lambda: systems.rossler(substeps=0), "substeps: expected an integer of at least 1"),
        (lambda: systems.lorenz96(3), "size: expected an integer of at least 4"),
        (lambda: systems.mackey_glass(delay=1.1, substeps=1), "delay: expected a whole number"),
        (lambda: systems.henon().step(jnp.ones(2), jnp.ones(1)), "input: expected None"),
        (lambda: simulate(num_steps=0), "num_steps: expected an integer"),
        (lambda: simulate(noise=-1.0), "noise: expected a number of at least 0"),
        (lambda: simulate(state=np.ones(4)), "state: expected shape 3"),
        (lambda: simulate(systems.lorenz63(rho=0.5)), "variable 0 is constant"),
        (lambda: systems.simulate(plr.systems, 5, key=jr.key(0)), "system: expected a system"),  # pyright: ignore
    ],
)
def test_misuse(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def simulate(system=None, num_steps=10, **options):
    return systems.simulate(system or systems.lorenz63(), num_steps, key=jr.key(0), **options)


def test_an_orbit_that_runs_away():
    with pytest.raises(RuntimeError, match="henon is not finite from row 0"):
        simulate(systems.henon(), state=[5.0, 5.0])
