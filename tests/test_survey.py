"""`plrjax manifolds`, and what it does in Python."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from command import main
from local_bistable import bistable
from systems import QUIET

import plrjax as plr


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    def call(*arguments) -> Answer:
        code = main([str(one) for one in arguments])
        return Answer(code, *capsys.readouterr())

    return call


def test_the_embedded_network_is_proven_chaotic_and_its_proof_verified(run, tmp_path):
    proof, picture = tmp_path / "chaos.json", tmp_path / "m.png"
    told = run("manifolds", "--certificate", proof, "--plot", picture, "--out", tmp_path / "all")
    assert told.code == 0 and picture.stat().st_size > 20_000
    assert "2 saddles" in told.out and "20 (20 proven)" in told.out
    assert "proven: some iterate has a horseshoe" in told.out
    checked = run("verify", proof)
    assert checked.code == 0 and "a transversal homoclinic orbit, periods 1 to 1" in checked.out
    facts = json.loads(run("verify", proof, "--json").out)
    assert len(facts["orbits"]) == 20 and facts["orbits"][0]["homoclinic"]
    saved = plr.load(tmp_path / "all" / "saddle_0_homoclinic.npz")
    assert isinstance(saved, plr.Connections) and saved.horseshoe
    again = json.loads(run("manifolds", "--json").out)
    assert again["horseshoe"] and len(again["saddles"]) == 2
    assert again["saddles"][0]["unstable"]["dimension"] == 1


def test_a_network_that_is_not_chaotic_has_no_certificate(run, tmp_path):
    map = bistable(1735)
    path = tmp_path / "net.npz"
    plr.save(path, map)
    proof = tmp_path / "none.json"
    told = run("manifolds", path, "--low=-3", "--high=3", "--certificate", proof)
    assert told.code == 0 and not proof.exists()
    assert "no certificate was written: no homoclinic orbit is proven" in told.out
    assert "horseshoe" not in told.out


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--length", "0"], "--length: expected a positive number"),
        (["--low=9"], "--high: expected numbers above low"),
        (["--low=1,2,3", "--high=4"], "--low: expected a number or 2 of them"),
        (["--workers", "3"], "--workers: this command does one network"),
        (["--certificate", "proof.txt"], "--certificate: expected a name ending in .json"),
        (["--max-saddles", "0"], "--max-saddles: expected an integer"),
    ],
)
def test_wrong_arguments_are_named(run, arguments, told):
    answer = run("manifolds", *arguments)
    assert answer.code == 2 and told in answer.err


def test_what_a_saddle_lacks_is_said():
    """Five states and one multiplier outside: the stable manifold has four dimensions."""
    draw = np.random.default_rng(0)
    turn = np.linalg.qr(draw.standard_normal((5, 5)))[0]
    J = turn @ np.diag([1.5, 0.6, -0.4, 0.3, 0.2]) @ turn.T
    W1, W2 = 0.1 * draw.standard_normal((5, 2)), draw.standard_normal((2, 5))
    map = plr.PiecewiseAffineMap(J, W1, W2, np.zeros(5), [-1.0, -1.0])
    cycles = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    cycles = cycles[[int(np.abs(cycles.points[:, 0]).max(axis=1).argmin())]]
    found = plr.manifolds.survey(map, cycles, low=-5, high=5, length=5, progress=QUIET)
    assert found.stable == (None,) and found.unstable[0] is not None
    assert "4 of its 5 multipliers are inside the unit circle" in found.why[0]
    assert "plr.basin_boundary samples it" in found.why[0]
    with pytest.raises(ValueError, match="found: expected at least one Manifold"):
        plr.plot.manifold()
