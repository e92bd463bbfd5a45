"""Homoclinic and heteroclinic orbits, against closed forms and published parameter values."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from systems import LOZI, QUIET

import plrjax as plr


def lozi(a: float, b: float) -> plr.PiecewiseAffineMap:
    return plr.PiecewiseAffineMap([[a, 1], [b, 0]], [[-2 * a], [0]], [[1, 0]], [1, 0], [0])


def normal_form(left, right, det_left, det_right) -> plr.PiecewiseAffineMap:
    """x' = tau x + y + 1, y' = -delta x, with the traces and determinants of both sides."""
    W1 = [[right - left], [det_left - det_right]]
    return plr.PiecewiseAffineMap([[left, 1], [-det_left, 0]], W1, [[1, 0]], [1, 0], [0])


def fixed_points(map) -> list[plr.CycleSet]:
    """Return the fixed points from left to right."""
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    return [found[[int(row)]] for row in np.argsort(found.points[:, 0, 0])]


def exist(map, source: int, target: int, max_steps: int) -> bool:
    points = fixed_points(map)
    found = plr.connections(
        map, points[source], points[target], max_steps=max_steps, max_orbits=1, progress=QUIET
    )
    return len(found) > 0


def border(exists, low: float, high: float, inside: bool) -> float:
    """Return where orbits begin to exist, by bisection; `inside`: whether they exist at `high`."""
    assert exists(low) != inside and exists(high) == inside
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (low, middle) if exists(middle) == inside else (middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("b", [0.1, 0.3, 0.5])
def test_the_first_homoclinic_orbit_of_the_lozi_map_is_where_its_manifolds_touch(b):
    """The unstable manifold of the right fixed point X turns at Z on the x axis, and next at F(Z)
    and F^2(Z); the first contact is F^2(Z) on the straight piece of the stable one (both as in
    Misiurewicz, Strange attractors for the Lozi mappings, 1980)."""

    def gap(a: float) -> float:
        x, root = 1 / (1 + a - b), np.sqrt(a * a + 4 * b)
        Z = 1 + b * x + 2 * x * b / (a + root)
        ahead = np.array([1 + a * (1 - a * Z) + b * Z, b * (1 - a * Z)]) - [x, b * x]
        return float(ahead @ [b, (a - root) / 2])

    expected: Any = brentq(gap, 1.0, 2.0)
    found = border(lambda a: exist(lozi(a, b), 1, 1, 14), 1.05, 1.95, inside=True)
    assert abs(found - expected) < 1e-12


@pytest.mark.parametrize("left, det_left, det_right", [(1.5, 0.2, 0.4), (1.7, 0.3, 0.3)])
def test_the_normal_form_has_its_crisis_at_the_published_values(left, det_left, det_right):
    """Banerjee, Yorke, Grebogi, Robust chaos, Phys. Rev. Lett. 80 (1998); as phi = 0 in Ghosh and
    Simpson, Robust Devaney chaos in the two-dimensional border-collision normal form (2022)."""

    def phi(right: float) -> float:
        value = (left + np.sqrt(left * left - 4 * det_left)) / 2
        return det_right - (right + det_left + det_right - (1 + right) * value) * value

    expected: Any = brentq(phi, -6, -1.0001)
    exists = lambda right: exist(normal_form(left, right, det_left, det_right), 0, 0, 12)
    assert abs(border(exists, -6.0, -1.01 - det_right, inside=False) - expected) < 1e-12


def outside(cycle: plr.CycleSet) -> float:
    values = cycle.multipliers[0]
    return float(values[np.abs(values) > 1].real[0])


def two_cycle(map) -> plr.CycleSet:
    return plr.find_cycles(map, 2, solver=plr.Exhaustive(), progress=QUIET)[[0]]


@pytest.mark.parametrize(
    "cycle", [fixed_points(LOZI)[1], two_cycle(LOZI), two_cycle(lozi(1.4, 0.3))]
)
def test_orbits_come_from_the_cycle_and_go_to_it(cycle):
    map = LOZI if cycle == fixed_points(LOZI)[1] or cycle == two_cycle(LOZI) else lozi(1.4, 0.3)
    found = plr.connections(map, cycle, progress=QUIET)
    assert len(found) == 20 and found.homoclinic and not found.proven.any() and not found.horseshoe
    for row in range(len(found)):
        z = found.points[row]
        for region in found.regions(row):
            assert ((map.W2 @ z + map.h2 > 0) == region).all()
            z = map.apply(z)
        away = lambda z: np.linalg.norm(cycle.orbit(0) - z, axis=1).min()
        nearest = min(away(z := map.apply(z)) for _ in range(40))
        assert nearest < 1e-4 < away(found.points[row]), "to the cycle, until rounding errors grow"
        product = map.compose(cycle.regions(0))[0]
        offset = found.points[row] - cycle.orbit(0)[0]
        values = (product @ offset) / offset
        np.testing.assert_allclose(values, outside(cycle), rtol=1e-9)


def test_chaos_of_the_embedded_network_is_proven(tmp_path):
    model, path = plr.example_network(), tmp_path / "chaos.json"
    cycles = plr.find_cycles(model, 1, solver=plr.BranchAndBound(), progress=QUIET)
    inside = cycles[[int(np.abs(cycles.points[:, 0]).max(axis=1).argmin())]]
    found = plr.connections(model, inside, max_orbits=3, certificate=path, progress=QUIET)
    assert found.proven.all() and found.horseshoe
    assert "some iterate has a horseshoe" in str(found)
    checked = plr.verify_connections(model, path)
    assert checked.horseshoe and len(checked.orbits) == 3
    np.testing.assert_allclose([o["point"] for o in checked.orbits], found.points, atol=1e-12)
    found.save(tmp_path / "found.npz")
    assert plr.load(tmp_path / "found.npz") == found
    with pytest.raises(ValueError, match="refused: it was made for another model"):
        plr.verify_connections(LOZI, path)
    with pytest.raises(ValueError, match="refused"):
        plr.verify(model, path)


def flip(word: list[str]) -> None:
    word[0] = "1" if word[0] == "0" else "0"


def forged(path, change) -> None:
    """Change the content of a certificate, and seal it again."""
    from plrjax._exact import sealed

    data = json.loads(path.read_text())
    del data["SHA256"]
    change(data)
    path.write_text(sealed(data))


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda d: d["orbits"][0].update(transit=d["orbits"][0]["transit"][:-1]), "not"),
        (lambda d: flip(d["orbits"][0]["transit"]), "not"),
        (lambda d: flip(d["orbits"][0]["source"]), "not|multipliers"),
        (lambda d: d["orbits"][0].update(source=[]), "a cycle needs a word"),
        (lambda d: d["orbits"][0].update(transit=["x"]), "damaged: words"),
        (lambda d: d["orbits"][0].update(homoclinic=False), "not those of the proof"),
        (lambda d: d["orbits"][0].update(point=[0.1, 0.2]), "not those of the proof"),
        (lambda d: d.update(orbits=[]), "not those of the proof"),
        (lambda d: d.pop("orbits"), "damaged"),
    ],
)
def test_forged_certificates_are_refused(tmp_path, change, reason):
    path = tmp_path / "c.json"
    plr.connections(LOZI, fixed_points(LOZI)[1], max_orbits=1, certificate=path, progress=QUIET)
    assert plr.verify_connections(LOZI, path).horseshoe
    forged(path, change)
    with pytest.raises(ValueError, match=f"refused: .*({reason})"):
        plr.verify_connections(LOZI, path)
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(ValueError, match="refused"):
        plr.verify_connections(LOZI, path)


def test_a_network_without_homoclinic_points_says_what_was_searched(tmp_path):
    """Between its two attractors: the unstable manifold of the saddle runs into both of them."""
    map = plr.PiecewiseAffineMap([[0.5, 0], [0, 0.5]], [[2, -2], [0, 0]], [[1, 0], [1, 0]],
                                 [-0.5, 0], [0.5, -0.5])  # fmt: skip
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=QUIET)
    (saddle,) = found[found.stability == plr.STABILITY.saddle]
    none = plr.connections(map, saddle, certificate=tmp_path / "none.json", progress=QUIET)
    assert not len(none) and not none.horseshoe and not (tmp_path / "none.json").exists()
    assert "no homoclinic orbit of a fixed point found" in str(none)
    assert "up to 30 steps" in str(none) and none.num_pieces > 30
    assert none.notes == ("no certificate was written: nothing is proven",)


def test_heteroclinic_orbits():
    """From the fixed point to the 2-cycle and back: together a horseshoe, each alone is none."""
    point, cycle = fixed_points(LOZI)[1], two_cycle(LOZI)
    there = plr.connections(LOZI, point, cycle, certify=True, progress=QUIET)
    back = plr.connections(LOZI, cycle, point, certify=True, progress=QUIET)
    assert there.proven.all() and back.proven.all() and set(there.phase.tolist()) == {0, 1}
    assert not there.homoclinic and not there.horseshoe and "heteroclinic" in str(there)


def test_misuse_names_the_argument():
    points = fixed_points(LOZI)
    with pytest.raises(ValueError, match="target: expected one cycle of a map with 2 states"):
        plr.connections(LOZI, points[0], fixed_points(plr.example_network())[0])
    with pytest.raises(ValueError, match="max_steps: expected"):
        plr.connections(LOZI, points[0], max_steps=0)
    limited = plr.connections(LOZI, points[0], max_segments=50, progress=QUIET)
    assert "max_segments=50 ended the search" in limited.notes[0]
