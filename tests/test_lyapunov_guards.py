"""What can go wrong with a spectrum, and what the result says then; the result itself."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lyapunov_maps import Linear, henon
from systems import LOZI, QUIET, PressesCtrlC

import plrjax as plr
from plrjax import (
    RESULTS,
    LyapunovSpectrum,
    cycle_exponents,
    finite_time_exponents,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
)

unchecked = inspect.unwrap(lyapunov_spectrum)
"""What users call: without the annotation checks that the test run wraps around it."""

SHORT = dict(num_steps=400, num_transient=200, num_orbits=16, progress=QUIET)


def spectrum(model, state, **options) -> LyapunovSpectrum:
    return unchecked(model, np.array(state), **{"key": jr.key(0), **SHORT, **options})


@pytest.fixture(scope="module")
def lozi() -> LyapunovSpectrum:
    return spectrum(LOZI, [0.1, 0.1])


# Attractors, infinities, lost orbits


def test_attractors_are_told_apart():
    """z' = tanh(2z) + shift has two fixed points with different exponents."""
    step = lambda z: jnp.tanh(2.0 * z + 0.1)
    found = spectrum(step, np.linspace(-1, 1, 16)[:, None])
    rows = found.per_attractor()
    assert len(rows) == 2 and sum(row.num_orbits for row in rows) == 16
    assert rows[0].num_orbits >= rows[1].num_orbits
    for row in rows:
        state = row.mean_state[0]
        assert abs(np.tanh(2.0 * state + 0.1) - state) < 1e-12
        assert abs(row.exponents[0] - np.log(2 * (1 - state**2))) < 1e-10
        orbits = found.per_orbit[found.attractor == row.label]
        assert np.abs(orbits - row.exponents).max() < 1e-10
    assert found.exponents[0] == rows[0].exponents[0]
    assert any("2 attractors" in note for note in found.notes)


def test_mirrored_attractors_have_equal_exponents_and_different_means():
    found = spectrum(lambda z: jnp.tanh(2.0 * z), np.linspace(-1, 1, 16)[:, None])
    rows = found.per_attractor()
    assert len(rows) == 2 and rows[0].mean_state == pytest.approx(-rows[1].mean_state)
    assert rows[0].exponents == pytest.approx(rows[1].exponents, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_orbits_of_one_chaotic_attractor_are_not_told_apart(seed):
    assert not spectrum(LOZI, [0.1, 0.1], key=jr.key(seed)).attractor.any()


def test_a_continuum_is_not_many_attractors():
    """Rotations: every orbit has its own circle."""
    angle = 2.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wide = np.zeros((3, 3))
    wide[:2, :2], wide[2, 2] = turn, 1.0  # the third state keeps its value
    found = spectrum(Linear(wide), [1.0, 0.0, 1.0], num_orbits=32)
    assert len(found.per_attractor()) == 1 and np.abs(found.exponents).max() < 1e-12


@pytest.mark.parametrize("size", [3, 12])
def test_rank_deficient_jacobians_have_infinite_exponents(size):
    """W of rank size - 2: two exponents are -inf, the others those of the rest."""
    draw = np.random.default_rng(1)
    W = np.triu(draw.standard_normal((size, size)), 1)
    moduli = np.linspace(0.9, 0.4, size - 2)
    W[np.arange(size - 2), np.arange(size - 2)] = moduli
    mix = np.linalg.qr(draw.standard_normal((size, size)))[0]
    W = mix @ (W * (np.arange(size) < size - 2)) @ mix.T
    for qr_every in ("auto", 1):
        found = spectrum(Linear(W), np.ones(size), qr_every=qr_every, num_transient=1_000)
        assert found.exponents[:-2] == pytest.approx(np.log(moduli), abs=1e-6)
        assert np.isneginf(found.exponents[-2:]).all() and np.isnan(found.standard_error[-2:]).all()
        assert np.isnan(found.det_residual) and any("-inf" in note for note in found.notes)
    assert "-inf" in repr(found)


def test_lost_orbits_are_named():
    """x' = x^2 escapes from |x| > 1: 2^n ln|x| reaches ln(max float) after a known step."""
    starts = np.array([[0.5], [0.25], [1.1], [-0.5]])
    options = dict(num_transient=3, num_steps=50, num_orbits=4, spread=0.0)
    found = spectrum(lambda z: z * z, starts, **options)
    lost = int(np.ceil(np.log2(np.log(np.finfo(float).max) / np.log(1.1))))
    assert found.first_nonfinite.tolist() == [-1, -1, lost, -1]
    assert np.isnan(found.per_orbit[2]).all() and found.attractor[2] == -1
    assert any("1 of 4 orbits" in note for note in found.notes)
    assert found.result is RESULTS.successful
    with pytest.raises(RuntimeError, match=f"1 of 1 orbits.* after {lost} steps"):
        spectrum(lambda z: z * z, [1.1], **{**options, "num_orbits": 1})
    none = spectrum(lambda z: z * z, [1.1], throw=False, **{**options, "num_orbits": 1})
    assert none.result is RESULTS.not_finite and np.isnan(none.exponents).all()
    assert none.per_attractor() == () and "nan" in repr(none)


# Intervals


@pytest.mark.parametrize("qr_every", [3, 20, 64, 1000])
def test_long_intervals_are_corrected(qr_every):
    found = spectrum(henon, [0.1, 0.1], qr_every=qr_every)
    reference = spectrum(henon, [0.1, 0.1], qr_every=1)
    assert np.abs(found.exponents - reference.exponents).max() < 1e-7
    assert (found.qr_every == qr_every) == (qr_every == 3) == (not found.notes)
    assert found.num_steps == 400 and abs(found.exponents.sum() - np.log(0.3)) < 1e-10


def test_fewer_exponents_are_the_first_ones():
    A = np.diag([0.9, 0.5, 1e-3]) + np.triu(np.ones((3, 3)), 1)
    one = spectrum(Linear(A), np.ones(3), num_exponents=1)
    two = spectrum(Linear(A), np.ones(3), num_exponents=2)
    assert one.exponents == pytest.approx(np.log([0.9]), abs=1e-10)
    assert two.exponents == pytest.approx(np.log([0.9, 0.5]), abs=1e-10)
    assert one.qr_every >= two.qr_every and np.isnan(one.det_residual)


@pytest.mark.parametrize("num_steps", [1, 7, 129, 1001])
def test_number_of_steps_is_kept_exactly(num_steps):
    found = spectrum(LOZI, [0.1, 0.1], num_steps=num_steps)
    assert found.num_steps == num_steps and found.block_steps % found.qr_every == 0
    assert abs(found.exponents.sum() - np.log(0.5)) < 1e-10
    assert len(found.running) == num_steps // found.block_steps


# Inputs


def test_inputs_one_sequence_per_orbit():
    """z' = z / 2 + s^2 z: with z = 0 the exponent is the mean of ln(1/2 + s^2) over the window."""
    inputs = np.random.default_rng(0).uniform(0, 1, (5, 260, 1))
    step = lambda z, s: 0.5 * z + s[0] ** 2 * z
    options = dict(num_orbits=None, num_transient=30, num_steps=None, spread=0.0)
    found = spectrum(step, [0.0], inputs=inputs, **options)
    want = np.log(0.5 + inputs[:, 60:, 0] ** 2).mean(axis=1)
    assert found.num_steps == 200 and found.per_orbit[:, 0] == pytest.approx(want, abs=1e-12)
    shared = spectrum(step, [0.0], inputs=inputs[0], **options)
    assert shared.exponents[0] == pytest.approx(want[0], abs=1e-12)
    spread = np.log(0.5 + inputs[0, 60:, 0] ** 2).std() / np.sqrt(200)
    assert shared.standard_error[0] == pytest.approx(spread, rel=0.4)  # not 0: one input, one draw


# Budget, Ctrl-C


def test_time_limit():
    found = spectrum(LOZI, [0.1, 0.1], max_seconds=1e-9)
    assert found.result is RESULTS.budget_exhausted and found.num_steps == 0
    assert np.isnan(found.exponents).all() and "max_seconds" in found.notes[-1]


def test_interrupt_keeps_what_was_measured():
    found = spectrum(
        LOZI, [0.1, 0.1], num_steps=4_000, num_transient=0, progress=PressesCtrlC(after=4)
    )
    assert found.result is RESULTS.interrupted and 0 < found.num_steps < 4_000
    assert abs(found.exponents.sum() - np.log(0.5)) < 1e-10
    assert np.isfinite(found.standard_error).all()


# The result


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_saving_loses_nothing(lozi, tmp_path, suffix):
    path = tmp_path / f"spectrum{suffix}"
    lozi.save(path)
    again = LyapunovSpectrum.load(path)
    for field in dataclasses.fields(lozi):
        first, second = getattr(lozi, field.name), getattr(again, field.name)
        if isinstance(first, np.ndarray):
            assert np.array_equal(first, second) and first.dtype == second.dtype
        else:
            assert first == second, field.name
    assert repr(again) == repr(lozi)
    plr.save(tmp_path / "model.npz", plr.example_network())
    with pytest.raises(ValueError, match="expected a file of type spectrum"):
        LyapunovSpectrum.load(tmp_path / "model.npz")


def test_units_and_derived_numbers(lozi):
    bits, errors = lozi.in_units()
    assert bits == pytest.approx(lozi.exponents / np.log(2))
    assert errors == pytest.approx(lozi.standard_error / np.log(2))
    nats, _ = lozi.in_units("nats", dt=0.1)
    assert nats == pytest.approx(10 * lozi.exponents)
    first, second = lozi.exponents
    assert lozi.kaplan_yorke == pytest.approx(1 + first / -second)
    assert lozi.entropy_sum == first and lozi.prediction_time == pytest.approx(np.log(2) / first)
    assert lozi.running[-1] == pytest.approx(lozi.exponents, abs=0.05)
    with pytest.raises(ValueError, match="^unit: expected 'bits' or 'nats', got 'dB'"):
        lozi.in_units("dB")


def test_kaplan_yorke_dimension():
    assert kaplan_yorke_dimension(np.array([0.9, 0.0, -14.57])) == pytest.approx(2 + 0.9 / 14.57)
    assert kaplan_yorke_dimension(np.array([-0.1, -0.2])) == 0.0
    assert kaplan_yorke_dimension(np.array([0.2, -0.1])) == 2.0
    assert kaplan_yorke_dimension(np.array([-np.inf, 0.3])) == 1.0
    assert np.isnan(kaplan_yorke_dimension(np.array([0.3, np.nan])))


def test_exponents_of_cycles():
    cycles = plr.find_cycles(LOZI, range(1, 7), solver=plr.Exhaustive(), progress=QUIET)
    found = cycle_exponents(cycles.multipliers, cycles.period)
    assert found.shape == cycles.multipliers.shape
    assert found.sum(axis=1) == pytest.approx(np.full(len(cycles), np.log(0.5)))
    assert (found[:, 0] >= found[:, 1]).all()
    assert np.isneginf(cycle_exponents(np.array([0.0]), 2)[0])
    with pytest.raises(ValueError, match="^period: expected positive integers"):
        cycle_exponents(np.array([0.5]), 0)


def test_finite_time_exponents():
    found = finite_time_exponents(LOZI, [0.1, 0.1], num_steps=2_050, window=100, key=jr.key(0))
    assert found.shape == (1, 20, 2)
    assert found.sum(axis=2) == pytest.approx(np.full((1, 20), np.log(0.5)), abs=1e-10)
    assert found[..., 0].std() > 0 and found[..., 0].mean() == pytest.approx(0.47, abs=0.05)


# Misuse


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(state=np.zeros(3)), "state: expected 2 numbers"),
        (dict(state=np.full(2, np.nan)), "state: expected finite"),
        (dict(state=np.zeros((1, 2, 2))), "state: expected one state"),
        (dict(model="network"), "model: expected a network"),
        (dict(model=lambda z: z[:1]), "model: expected a map to states of shape"),
        (dict(key=0), "key: expected one JAX random key"),
        (dict(num_steps=0), "num_steps: expected an integer of at least 1, got 0"),
        (dict(num_exponents=3), "num_exponents: expected .* at most 2, got 3"),
        (dict(qr_every="often"), "qr_every: expected"),
        (dict(num_transient=-1), "num_transient: expected"),
        (dict(num_orbits=True), "num_orbits: expected"),
        (dict(state=np.zeros((17, 2))), "num_orbits: expected at least one per state"),
        (dict(max_seconds=-1), "max_seconds: expected a positive number, got -1"),
        (dict(inputs=np.zeros((10, 1))), "inputs: expected at least 800 rows"),
        (dict(inputs=np.zeros(10)), "inputs: expected shape"),
        (dict(inputs=np.zeros((3, 900, 1))), "inputs: expected 16 sequences"),
    ],
    ids=lambda x: None if isinstance(x, dict) else x.split(":")[0],
)
def test_misuse(options, message):
    arguments = {"model": LOZI, "state": np.zeros(2), "key": jr.key(0), **SHORT, **options}
    with pytest.raises(ValueError, match=f"^{message}") as error:
        unchecked(**arguments)
    assert "\n" not in str(error.value)


def test_settings_of_the_caller_are_left_alone():
    before = dict(jax.config.values)
    with jax.debug_nans(True):
        spectrum(LOZI, [0.1, 0.1])
    assert dict(jax.config.values) == before


def test_many_blocks_are_merged(monkeypatch):
    """With short first blocks the run merges them again and again: same sums, as many blocks."""
    monkeypatch.setattr("plrjax._lyapunov._runner._SLOT_WORK", 1.0)
    options = {"num_steps": 5_003, "num_orbits": 8, "qr_every": 2}
    merged = spectrum(LOZI, [0.1, 0.1], **options)
    monkeypatch.undo()
    plain = spectrum(LOZI, [0.1, 0.1], **options)
    assert merged.block_steps == 32 and len(merged.running) == 5_003 // 32
    assert merged.num_steps == plain.num_steps == 5_003
    np.testing.assert_allclose(merged.exponents, plain.exponents, rtol=1e-9)
    np.testing.assert_allclose(merged.standard_error, plain.standard_error, rtol=0.3)
    first = spectrum(LOZI, [0.1, 0.1], **{**options, "num_steps": 32})
    np.testing.assert_allclose(merged.running[0], first.exponents, rtol=1e-9)
