"""A constant input is the bias that C makes of it, in whatever takes a network."""

import re
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from command import main

import plrjax as plr

QUIET = plr.NoProgress()
C = np.array([[1.0, 0.0], [0.5, -1.0]])
ARRAYS: dict[str, Any] = dict(A=[0.6, 0.4], W=[[0.0, -1.1], [0.9, 0.0]])
S = np.array([0.75, -0.25])


def driven() -> plr.PLRNN:
    return plr.from_arrays("plrnn", **ARRAYS, h=[0.5, 0.25], C=C)


def biased(s=S) -> plr.PLRNN:
    return plr.from_arrays("plrnn", **ARRAYS, h=np.array([0.5, 0.25]) + C @ s)


def test_cycles_attractors_and_spectra_are_those_of_another_bias():
    find = lambda model, **more: plr.find_cycles(
        model, [1, 2, 3], solver=plr.Exhaustive(), progress=QUIET, **more
    )
    found = find(driven(), inputs=S)
    np.testing.assert_array_equal(found.points, find(biased()).points)
    both = find(driven(), inputs=np.stack([S, 0 * S]))
    np.testing.assert_array_equal(both[0].points, found.points)
    np.testing.assert_array_equal(both[1].points, find(driven()).points)
    assert plr.certify(plr.with_inputs(driven(), S), found).proven_existence.all()
    states = np.random.default_rng(0).standard_normal((20, 2))
    one = plr.find_attractors(driven(), states, key=jr.key(0), inputs=S, progress=QUIET)
    other = plr.find_attractors(biased(), states, key=jr.key(0), progress=QUIET)
    np.testing.assert_array_equal(one.points, other.points)
    spectrum = lambda model: plr.lyapunov_spectrum(
        model, np.zeros(2), num_steps=500, key=jr.key(0), progress=QUIET
    )
    np.testing.assert_array_equal(
        spectrum(plr.with_inputs(driven(), S)).exponents, spectrum(biased()).exponents
    )


def test_a_path_along_the_input():
    """z' = .5 z - relu(z) + h + s: the fixed point meets the boundary where h + s = 0."""
    model = plr.from_arrays("plrnn", A=[0.5], W=[[0.0]], h=[-0.25], C=[[1.0]])
    found = plr.detect_bifurcations(model, 1, inputs=[[0.0], [1.0]], progress=QUIET)
    assert len(found) == 1 and found.s[0] == pytest.approx(0.25, abs=1e-12)
    same = plr.detect_bifurcations([model, model], 1, inputs=[0.1], progress=QUIET)
    assert len(same) == 0
    axis = plr.Axis("input", (0,), 0.0, 1.0, 5)
    scan = plr.scan_parameters(
        plr.with_inputs(model, [0.0]), axis, lambda one: one.input[0], progress=QUIET
    )
    np.testing.assert_allclose(scan.numbers[:, 0], np.linspace(0, 1, 5))
    with pytest.raises(ValueError, match="inputs: goes with networks"):
        plr.detect_bifurcations(plr.LinearPath(model, model), 1, inputs=[0.1])


def test_inputs_that_do_not_fit():
    for inputs, message in (
        ([1.0], "inputs: .*expected shape"),
        ([[[1.0]]], "inputs: expected a vector"),
        ([1.0, np.nan], "inputs: expected finite"),
        ([], "inputs: expected a vector"),
    ):
        with pytest.raises(ValueError, match=message):
            plr.find_cycles(driven(), 1, key=jr.key(0), inputs=inputs)
    with pytest.raises(ValueError, match="inputs: .*no input matrix C"):
        plr.with_inputs(biased(), [1.0])
    with pytest.raises(ValueError, match="inputs: expected one vector"):
        plr.find_attractors(driven(), np.zeros((1, 2)), key=jr.key(0), inputs=[S, S])
    with pytest.raises(ValueError, match="held constant"):
        plr.with_inputs(driven(), S).step(np.zeros(2), S)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plr.save("net.npz", driven())
    options = ["--periods", "1:3", "--solver", "exhaustive"]
    assert main(["cycles", "net.npz", *options, "--input", "0.75,-0.25", "--out", "c.npz"]) == 0
    expected = plr.find_cycles(biased(), [1, 2, 3], solver=plr.Exhaustive(), progress=QUIET)
    np.testing.assert_array_equal(plr.load("c.npz").points, expected.points)
    many = ["cycles", "net.npz", "net.npz", *options, "--out", "many"]
    assert main([*many, "--input", "0.75,-0.25"]) == 0
    np.testing.assert_array_equal(plr.Census.load("many")[1].points, expected.points)
    capsys.readouterr()
    for given, message in (("1", "--input: .*expected shape"), ("a", "--input: expected numbers")):
        assert main(["cycles", "net.npz", *options, "--input", given]) == 2

        assert re.search(message, capsys.readouterr().err)


def test_smooth_networks_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plr.save("tanh.npz", plr.from_arrays("tanh-rnn", W=[[2.0]], b=[0.0]))
    assert main(["cycles", "tanh.npz", "--periods", "1:2", "--plot", "p.png"]) == 0
    shown = capsys.readouterr().out
    assert "3 cycles of a map with 1 states" in shown and "damped Newton steps" in shown
    assert (tmp_path / "p.png").stat().st_size > 10_000
    assert main(["cycles", "tanh.npz", "--solver", "exhaustive"]) == 2
    assert "--solver: is for ReLU networks" in capsys.readouterr().err
