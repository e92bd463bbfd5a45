"""`plrjax lyapunov`: numbers, files, inputs, what is said where orbits are lost."""

import json

import numpy as np
import pytest
from command import main
from systems import LOZI

import plrjax as plr


def saved(tmp_path, **arrays) -> str:
    path = tmp_path / "network.npz"
    plr.save(path, plr.from_arrays("shallow", **arrays))
    return str(path)


@pytest.fixture
def lozi(tmp_path) -> str:
    return saved(tmp_path, A=LOZI.A, W1=LOZI.W1, W2=LOZI.W2, h1=LOZI.h1, h2=LOZI.h2)


@pytest.fixture
def halves(tmp_path) -> str:
    """z' = A z + C s with eigenvalues 1/2 and -1/4: nothing depends on the input."""
    unused = {"W1": [[0.0], [0.0]], "W2": [[0.0, 0.0]], "h1": [0.0, 0.0], "h2": [0.0]}
    return saved(tmp_path, A=[[0.5, 1.0], [0.0, -0.25]], C=[[1.0], [0.0]], **unused)


def facts_of(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_numbers_and_files(lozi, tmp_path, capsys):
    """Lozi (1978) at 1.7, .5: the sum of the exponents is ln .5, and the first is .470."""
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "spectrum.npz", tmp_path / "spectrum.png"
    options = f"--state 0.1,0.1 --num-steps 2000 --out {out} --plot {plot} --json".split()
    assert main(["lyapunov", lozi, *options]) == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert "Lyapunov exponents from" in streams.err
    first, second = facts["exponents"]
    assert abs(first + second - np.log(0.5)) < 1e-10
    assert abs(first - 0.470) < 3 * facts["standard_error"][0] + 5e-4
    assert facts["network"] == lozi and facts["result"] == "successful"
    found = plr.load(out)
    assert found.exponents.tolist() == facts["exponents"]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_inputs_and_units(halves, tmp_path, capsys):
    inputs = tmp_path / "inputs.npy"
    np.save(inputs, np.random.default_rng(0).normal(size=(3, 300, 1)))
    options = f"--inputs {inputs} --num-transient 50 --unit bits --dt 0.5 --json".split()
    assert main(["lyapunov", halves, *options]) == 0
    facts = facts_of(capsys)
    assert (facts["num_orbits"], facts["num_steps"]) == (3, 200)
    assert np.allclose(facts["in_units"]["exponents"], [-2.0, -4.0])
    assert np.allclose(facts["orbit_deviation"], 0.0, atol=1e-12)


def test_same_seed_same_numbers(lozi, capsys):
    printed = []
    for seed in "001":
        assert main(["lyapunov", lozi, "--num-steps", "200", "--seed", seed, "--json"]) == 0
        printed.append(facts_of(capsys)["exponents"])
    assert printed[0] == printed[1] != printed[2]


def test_orbits_that_escape_are_a_failure(tmp_path, capsys):
    file = saved(tmp_path, A=[2.0], W1=[[0.0]], W2=[[0.0]], h1=[1.0], h2=[0.0])
    out = tmp_path / "spectrum.npz"
    assert main(["lyapunov", file, "--num-transient", "2000", "--out", str(out)]) == 1
    streams = capsys.readouterr()
    assert "did not stay finite" in streams.out and not out.exists()


def test_time_limit_keeps_what_was_measured(lozi, tmp_path, capsys):
    out = tmp_path / "spectrum.npz"
    steps = str(10**12)
    options = ["--num-steps", steps, "--max-seconds", "6", "--out", str(out)]
    assert main(["lyapunov", lozi, *options]) == 3
    found = plr.load(out)
    assert 0 < found.num_steps < 10**12 and abs(found.exponents.sum() - np.log(0.5)) < 1e-8


def test_dead_units_are_said_to_be_minus_infinity(tmp_path, capsys):
    unused = {"W1": [[0.0], [0.0]], "W2": [[0.0, 0.0]], "h1": [0.0, 0.0], "h2": [0.0]}
    file = saved(tmp_path, A=[0.5, 0.0], **unused)
    assert main(["lyapunov", file, "--num-steps", "100", "--json"]) == 0
    facts = facts_of(capsys)
    assert facts["num_minus_infinity"] == 1 and facts["exponents"][1] is None
