"""The benchmark of the complete search runs at small size, and its networks are what they say."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from systems import tent

from benchmarks import complete, complete_systems


def quick(folder, parts):
    """Run the script; return its numbers by part."""
    figure, numbers = folder / "complete.png", folder / "numbers.json"
    arguments = [str(figure), "--quick", "--parts", parts, "--json", str(numbers)]
    command = [sys.executable, "-m", "benchmarks.complete", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert figure.read_bytes().startswith(b"\x89PNG")
    return json.loads(numbers.read_text())


@pytest.mark.slow
def test_quick_run_measures_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    known = quick(tmp_path, "floats,rigorous")
    floats, rigorous = ([complete.Row(*row) for row in known[p]] for p in ("floats", "rigorous"))
    assert {row.coverage for row in floats} == {"complete_in_floating_point"}
    assert {row.coverage for row in rigorous} == {"certified"}
    assert [row.cycles for row in floats] == [row.cycles for row in rigorous]


@pytest.mark.slow
def test_race_waits_for_all_cycles(tmp_path):
    (race,) = (complete.Race(*row) for row in quick(tmp_path, "races")["races"])
    assert race.cycles > 0 and np.isfinite(list(race.heuristics.values())).all()


def test_growth_agrees_with_enumeration():
    """A full tent map has 2, 1, 2 cycles of period 1, 2, 3."""
    found = complete.grow("tent", complete_systems.System("", tent(2.0), 3), 3)
    assert found.periods == [2, 3] and found.cycles == [3, 5]
    assert np.isfinite(found.enumerated).all()


def test_networks_are_drawn_from_their_seeds():
    for one, other in zip(complete_systems.own_systems(), complete_systems.own_systems()):
        assert np.array_equal(one.map.W1, other.map.W1) and one.name == other.name
    assert len({system.name for system in complete_systems.own_systems()}) == 10


def test_fitted_network_predicts_one_step_of_lorenz63():
    orbit = complete_systems.lorenz()
    error = complete_systems.fitted(50).apply(orbit[:-1]) - orbit[1:]
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean((orbit[1:] - orbit[:-1]) ** 2))
