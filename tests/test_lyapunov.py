"""Lyapunov spectra against closed forms and published values."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import LN2, TWO_CYCLE, Linear, Logistic, henon, hidden_lozi, lorenz, skew_tent
from systems import LOZI, QUIET, tent

import plrjax as plr
from plrjax import cycle_exponents, lyapunov_spectrum


def spectrum(model, state, seed=0, **options):
    return lyapunov_spectrum(model, np.array(state), key=jr.key(seed), progress=QUIET, **options)


def within(found, exponents, errors: float = 3.0, slack: float = 0.0):
    """Assert that exponents are right within a number of their standard errors."""
    off = np.abs(found.exponents - exponents)
    assert (off <= errors * found.standard_error + slack).all(), (off, found.standard_error)


# First exponents by tangent vectors in a scalar loop, 20 orbits of 5e7 steps each:
HENON, LOZI_FIRST, LOGISTIC = 0.419241, 0.470230, 0.496059
SLACK = 4e-5
"""Three standard errors of these."""


def test_henon():
    found = spectrum(henon, [0.1, 0.1])
    within(found, [HENON, np.log(0.3) - HENON], slack=SLACK)
    assert found.standard_error.max() < 5e-4
    assert abs(found.exponents.sum() - np.log(0.3)) < 1e-10
    assert found.det_residual < 1e-10 and found.num_steps == 20_000 and not found.notes
    assert found.kaplan_yorke == pytest.approx(1.258, abs=2e-3)
    assert found.prediction_time == pytest.approx(LN2 / 0.4193, rel=2e-3)


def test_henon_with_a_long_interval_is_corrected():
    found = spectrum(henon, [0.1, 0.1], qr_every=20)
    within(found, [HENON, np.log(0.3) - HENON], slack=SLACK)
    assert found.qr_every < 20 and any("qr_every=20" in note for note in found.notes)
    assert abs(found.exponents.sum() - np.log(0.3)) < 1e-10


@pytest.mark.parametrize("slope", [1.5, 1.9])
def test_constant_growth_is_exact(slope):
    found = spectrum(tent(slope), [0.1], num_steps=2_000)
    assert abs(found.exponents[0] - np.log(slope)) < 1e-10


def test_skew_tent():
    within(spectrum(skew_tent(0.3), [0.1]), [0.610864])


@pytest.mark.parametrize("r, exponent", [(4.0, LN2), (3.2, 0.5 * np.log(0.16)), (3.9, LOGISTIC)])
def test_logistic(r, exponent):
    """The 2-cycle at 3.2 has multiplier 4 + 2r - r^2."""
    found = spectrum(Logistic(np.asarray(r)), [0.3123], num_steps=5_000)
    within(found, [exponent], slack={4.0: 0.0, 3.2: 1e-10, 3.9: SLACK}[r])


def test_lozi():
    found = spectrum(LOZI, [0.1, 0.1])
    within(found, [LOZI_FIRST, np.log(0.5) - LOZI_FIRST], slack=SLACK)
    assert abs(found.exponents.sum() - np.log(0.5)) < 1e-10


def test_linear_maps():
    A = np.triu(np.random.default_rng(0).standard_normal((4, 4)), 1) + np.diag(
        [0.1, 0.9, -0.3, 0.5]
    )
    found = spectrum(Linear(A), np.ones(4), num_steps=3_000)
    assert np.abs(found.exponents - np.log([0.9, 0.5, 0.3, 0.1])).max() < 1e-10


def test_fixed_point():
    """Symmetric weights: the Jacobian diag(1 - z^2) W has real eigenvalues."""
    weights = np.random.default_rng(1).standard_normal((4, 4))
    weights = 0.2 * (weights + weights.T)
    step = lambda z: jnp.tanh(weights @ z + 0.3)
    found = spectrum(step, np.zeros(4), num_steps=3_000)
    state = found.attractor_state[0]
    moduli = np.abs(np.linalg.eigvals((1 - state**2)[:, None] * weights))
    assert np.abs(found.exponents - np.sort(np.log(moduli))[::-1]).max() < 1e-10


def test_stable_cycle():
    """Its exponents are ln|multipliers| / k, whatever the QR interval."""
    cycles = plr.find_cycles(TWO_CYCLE, 2, solver=plr.Exhaustive())
    stable = cycles[cycles.stability == plr.STABILITY.stable]
    want = cycle_exponents(stable.multipliers, stable.period)[0]
    assert np.exp(2 * want) == pytest.approx([0.537, 0.417], abs=1e-3)
    for qr_every in ("auto", 1, 7):
        found = spectrum(TWO_CYCLE, [0.4, 0.15], qr_every=qr_every, num_steps=3_000)
        assert np.abs(found.exponents - want).max() < 1e-10
    assert len(found.per_attractor()) == 1


def test_lorenz():
    found = spectrum(lorenz, [1.0, 1.0, 20.0])
    exponents, errors = found.in_units("nats", dt=0.01)
    off = np.abs(exponents - [0.9059, 0.0, -14.5725])
    assert (off <= 3 * errors + [1.1e-3, 0.0, 0.0]).all(), (exponents, errors)
    assert abs(exponents.sum() + 13.6667) < 1e-3  # the flow's divergence, up to RK4
    assert found.det_residual < 1e-10 and errors.max() < 2e-3
    assert found.kaplan_yorke == pytest.approx(2.062, abs=1e-3)


def test_product_order():
    """A 3-cycle of random matrices: eigenvalues of C B A, not of A B C."""
    draw = np.random.default_rng(6)
    matrices = draw.standard_normal((3, 3, 3))
    moduli = np.abs(np.linalg.eigvals(matrices[2] @ matrices[1] @ matrices[0]))
    want = np.sort(np.log(moduli) / 3)[::-1]
    assert np.diff(want).max() < -0.05, "expected no complex pair"
    inputs = np.tile(matrices.reshape(3, 9), (2_000, 1))
    step = lambda z, s: s.reshape(3, 3) @ z
    for qr_every, error in ((1, 1e-12), ("auto", 1e-11)):
        found = spectrum(
            step, np.zeros(3), inputs=inputs, spread=0.0, num_transient=999, qr_every=qr_every
        )
        assert found.num_steps == 6_000 - 2 * 999
        assert np.abs(found.exponents - want).max() < error


def test_dead_units_do_not_trap_the_frame():
    found = spectrum(hidden_lozi(100), np.zeros(100), num_exponents=2, num_steps=5_000)
    within(found, [LOZI_FIRST, np.log(0.5)], slack=SLACK)


def test_lstm_has_all_exponents_of_h_and_c():
    """Its state is (h, c): near a fixed point, ln|eigenvalues| of the full Jacobian."""
    model = plr.LSTM(3, key=jr.key(2))
    found = spectrum(model, np.zeros(6), num_steps=4_000, num_orbits=8)
    assert found.exponents.shape == (6,)
    with jax.enable_x64(True):
        jacobian = np.asarray(plr.jacobian(model, jnp.asarray(found.attractor_state[0])))
    want = np.sort(np.log(np.abs(np.linalg.eigvals(jacobian))))[::-1]
    assert np.abs(found.exponents - want).max() < 1e-3  # complex pairs turn: error 1/T
    assert abs(found.exponents.sum() - want.sum()) < 1e-10


def test_errors_are_calibrated():
    """Of 200 short runs 68 +- 7 % lie within one standard error."""
    truth, inside = -0.3 * np.log(0.3) - 0.7 * np.log(0.7), 0
    for seed in range(200):
        found = spectrum(
            skew_tent(0.3), [0.1], seed, num_steps=300, num_transient=100, num_orbits=16
        )
        inside += abs(found.exponents[0] - truth) < found.standard_error[0]
    assert 0.61 <= inside / 200 <= 0.75


def test_engine_runs_in_float64_whatever_the_setting(either_precision):
    found = spectrum(LOZI, [0.1, 0.1], num_steps=500, num_orbits=16)
    assert found.exponents.dtype == np.float64
    assert abs(found.exponents.sum() - np.log(0.5)) < 1e-12


def test_same_key_same_result():
    options = dict(num_steps=500, num_orbits=16)
    first, again = spectrum(LOZI, [0.1, 0.1], **options), spectrum(LOZI, [0.1, 0.1], **options)
    other = spectrum(LOZI, [0.1, 0.1], seed=1, **options)
    assert np.array_equal(first.per_orbit, again.per_orbit)
    assert not np.array_equal(first.per_orbit, other.per_orbit)


def test_any_file_of_results_is_loaded_by_its_type(tmp_path):
    spectrum = plr.lyapunov_spectrum(henon, [0.1, 0.1], num_steps=256, key=jr.key(0))
    spectrum.save(tmp_path / "spectrum.npz")
    again = plr.load(tmp_path / "spectrum.npz")
    assert isinstance(again, plr.LyapunovSpectrum)
    assert np.array_equal(again.exponents, spectrum.exponents)
    facts = plr.describe(tmp_path / "spectrum.npz")
    assert facts["type"] == "spectrum" and not facts["ignored"]
    with pytest.raises(ValueError, match="index: the file holds a spectrum"):
        plr.load(tmp_path / "spectrum.npz", index=0)


def test_driven_orbit_has_one_row_more_than_its_input(getkey):
    model = plr.TanhRNN(3, key=getkey(), input_size=2)
    orbit = plr.trajectory(model, jnp.zeros(3), 5, inputs=jnp.ones((5, 2)))
    assert orbit.shape == (6, 3)


def test_panels_of_a_linear_map():
    """More vectors than one panel: all exponents of z' = diag(d) z are ln|d|."""
    size = 96
    factors = np.exp(-np.linspace(0.0, 3.0, size))

    def step(z):
        return jnp.asarray(factors) * z

    found = plr.lyapunov_spectrum(
        step, np.ones(size), key=jr.key(0), num_steps=300, num_transient=2_500, num_orbits=1,
        spread=0, progress=QUIET,
    )  # fmt: skip
    slack = 1e-9 + 5.0 * found.standard_error
    assert (np.abs(found.exponents - np.log(factors)) < slack).all()
