"""Prunings under attack: no inequalities of a node contradict a cycle that passes through it.

Nor is a box said to hold all bounded orbits, or cycles, where it does not.
"""

import itertools

import flint
import numpy as np
import pytest
from forgery import CASES, FAMILY, IDENTITY, KINK, certificate, refused, sealed, verified
from systems import LOZI, chaotic, tent

from plrjax import PiecewiseAffineMap, _checker, _exact
from plrjax._checker import BOTH, ON_EMPTY, Refused, Tree


def at_node(map, box, bits, facet=None, length=4):
    """Return the checker's walk, of words of `length` letters, at a prefix, and its position."""
    system = _exact.System(*_exact.with_a_unit(map.A, map.W1, map.W2, map.h1, map.h2))
    tree = Tree(system, box, length, {}, lambda *_: None, False, facet)
    node = (0, 0, True)
    for bit in bits:
        node = tree.append(*node, int(bit))
    return tree, len(bits)


def attack(tree, pos, bit, draw, tries):
    """Assert that `empty` never holds at the node, nor for the child the cycle goes to."""
    numbers = available(tree, pos)
    sets = list(itertools.combinations(numbers, 1)) + list(itertools.combinations(numbers, 2))
    if len(sets) > tries:
        sets = [sets[i] for i in draw.choice(len(sets), tries, replace=False)]
    sizes = draw.integers(2, 6, tries)
    sets += [tuple(draw.choice(numbers, min(n, len(numbers)), replace=False)) for n in sizes]
    t, i = divmod(pos, tree.units)
    own = t * tree.stride + 2 * tree.system.size + i
    for rows in sets:
        rows = [int(n) for n in rows]
        assert not tree.empty(rows, pos), (rows, pos)
        if bit is not None:
            assert not tree.empty([*rows, own], pos, bit), (rows, pos, bit)


def available(tree, pos):
    size, found = tree.system.size, []
    for n in range((pos // tree.units + 1) * tree.stride):
        t, r = divmod(n, tree.stride)
        at = t * tree.units + max(r - 2 * size, 0)
        if at < pos or (at == pos and r < 2 * size):
            found.append(n)
    return found


ADVERSARIES = {
    "as it is": None,
    "random": lambda rows: (np.random.default_rng(len(rows)).random(len(rows)) ** 9).tolist(),
    "ones": lambda rows: [1.0] * len(rows),
    "huge": lambda rows: [1e308, *[0.0] * (len(rows) - 1)],
    "tiny": lambda rows: [5e-324] * len(rows),
    "inf": lambda rows: [np.inf] * len(rows),
    "nan": lambda rows: [np.nan] * len(rows),
    "zero": lambda rows: [0.0] * len(rows),
}


@pytest.mark.parametrize("weights", ADVERSARIES)
@pytest.mark.parametrize("name", CASES)
def test_no_inequalities_exclude_a_cycle(name, weights, monkeypatch):
    """Whatever the multipliers are: also on switching boundaries, and on the faces of the box."""
    if ADVERSARIES[weights]:
        monkeypatch.setattr(_checker, "_multipliers", ADVERSARIES[weights])
    map, data = certificate(name)
    draw = np.random.default_rng(5)
    for cycle in data["cycles"]:
        points = np.array(cycle["points"])
        tight = np.stack([points.min(axis=0), points.max(axis=0)])
        wide = np.array(data["box"])
        exact = name.startswith(("border", "kink"))
        with flint.ctx.workprec(144):
            for box in (wide, *([tight - [[0.0], [1.0 - exact]]] if exact else [])):
                if not (box[0] < box[1]).all():
                    continue
                bits = "".join(cycle["word"])
                for pos in range(len(bits) + 1):
                    tree, pos = at_node(map, box, bits[:pos], length=len(cycle["word"]))
                    attack(tree, pos, int(bits[pos]) if pos < len(bits) else None, draw, 12)


def test_no_inequalities_exclude_a_cycle_from_the_outside():
    """Homogenised, the 4-cycle of the Lozi map puts u on a facet; s may lie on its bound."""
    map, data = certificate("lozi")
    draw = np.random.default_rng(6)
    cycle = data["cycles"][-1]
    points, word = np.array(cycle["points"]), cycle["word"]
    assert len(word) == 4
    largest = np.abs(points).max()
    arrays = (map.A, map.W1, map.W2, map.h1, map.h2)
    for radius in (0.9, 0.99, np.nextafter(largest, 0), 0.1):
        far, bounds, facets = _exact.far_away(arrays, np.array([[-radius] * 2, [radius] * 2]))
        far_map = PiecewiseAffineMap(*far)
        scale = np.abs(points / radius)
        on = [(t, j) for t, j in np.ndindex(scale.shape) if scale[t, j] == scale.max()]
        for (t, j), time in itertools.product(on, range(4)):
            facet = facets[2 * j + int(points[t, j] > 0)]
            turned = np.roll(word, time - t)
            bits = "".join(turned)
            with flint.ctx.workprec(144):
                for pos in range(len(bits) + 1):
                    tree, pos = at_node(far_map, bounds, bits[:pos], (time, facet))
                    attack(tree, pos, int(bits[pos]) if pos < len(bits) else None, draw, 40)


def test_strict_inequalities_are_used_where_they_are_and_only_there():
    """In the box [0, 1] the set z > 0, z <= 0 is empty; z <= 0 with z >= 0 is the point 0."""
    map = PiecewiseAffineMap([[0.5]], [[0.5]], [[1.0]], [0.0], [0.0])
    tree, _ = at_node(map, np.array([[-1.0], [0.0]]), "")
    assert tree.empty([0, 2], 0, 1)
    assert not tree.empty([1, 2], 0, 0) and not tree.empty([0, 1, 2], 0, 0)
    tree, _ = at_node(map, np.array([[0.0], [1.0]]), "")
    assert not tree.empty([1, 2], 0, 0) and not tree.empty([2], 0, 1)
    tree, pos = at_node(map, np.array([[-1.0], [1.0]]), "1")
    assert tree.empty([2, 5], pos, 0) and not tree.empty([2, 5], pos, 1)
    homogeneous = PiecewiseAffineMap([[0.5]], [[0.6]], [[1.0]], [0.0], [0.0])
    tree, pos = at_node(homogeneous, np.array([[-1.0], [1.0]]), "1")
    assert tree.empty([2, 5], pos, 0) and not tree.empty([2, 5], pos, 1)


def test_multipliers_below_zero_prove_nothing():
    """z_0 > 0 and z_1 = 1.1 z_0 > 0 cancel, but as 1.1 z_0 - z_1."""
    map = PiecewiseAffineMap([[0.5]], [[0.6]], [[1.0]], [0.0], [0.0])
    tree, pos = at_node(map, np.array([[-1.0], [1.0]]), "1")
    assert not tree._touching([2, 5], pos, 1, [1.0, 1.0])
    assert tree._touching([2, 5], pos, 0, [1.0, 1.0])


def test_a_node_has_no_inequalities_of_later_times():
    tree, pos = at_node(LOZI, np.array([[-2.0, -2.0], [2.0, 2.0]]), "01")
    for row in (-1, -5, 14, 15, 10**6, 10**30):
        with pytest.raises(Refused, match="does not have"):
            tree.empty([row], pos)
    assert available(tree, pos) == list(range(14))


@pytest.mark.parametrize("seed", range(3))
def test_signs_that_are_met_are_never_proven_empty(seed):
    """Points are drawn and followed: what their signs are is no empty polytope."""
    map, draw = chaotic(seed), np.random.default_rng([7, seed])
    box = np.array([[-3.0] * 3, [3.0] * 3])
    z, signs = draw.uniform(-3, 3, (4_000, 3)), []
    for _ in range(3):
        signs.append(z > 0)
        staying = np.abs(map.apply(z)).max(axis=1) <= 3
        z, signs = map.apply(z)[staying], [on[staying] for on in signs]
    seen = {
        "".join(map_signs) for map_signs in np.concatenate(signs, axis=1).astype(int).astype(str)
    }
    proven = 0
    for number in range(2**6):
        bits = f"{number:06b}"
        met = any(word.startswith(bits) for word in seen)
        with flint.ctx.workprec(144):
            tree, pos = at_node(map, box, bits)
            rows = available(tree, pos)
            for _ in range(60):
                if tree.empty(draw.choice(rows, 4, replace=False).tolist(), pos):
                    assert not met
                    proven += 1
                    break
    assert seen and proven


@pytest.mark.parametrize("name", CASES)
def test_last_digits_of_multipliers_do_not_matter(name, monkeypatch):
    """Another linear algebra library rounds differently: what was proven is proven there too."""
    honest, draw = _checker._multipliers, np.random.default_rng(9)
    map, data = certificate(name)
    noisy = lambda rows: [w * (1 + 1e-13 * draw.standard_normal()) for w in honest(rows)]
    monkeypatch.setattr(_checker, "_multipliers", noisy)
    assert verified(map, data)["cycles"] == data["cycles"]


def test_bound_of_a_cancelling_pair_is_sharp():
    """z' = z/2 + relu(z + 3) - relu(z + 1) has the fixed point 4: nothing below 4 may pass."""
    arrays = [np.array(x, float) for x in ([[0.5]], [[1, -1]], [[1], [1]], [0], [3, 1])]
    assert PiecewiseAffineMap(*arrays).apply(np.array([4.0])) == 4.0
    for radius, passes in ((4.0, True), (5.0, True), (np.nextafter(4.0, 0.0), False), (1.0, False)):
        assert _exact.bounded(arrays, np.array([[-radius], [radius]])) == passes
    assert not _exact.bounded(arrays, np.array([[-5.0], [6.0]]))


@pytest.mark.parametrize("slope", [-1.0, 1.0, 1.5])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_nothing_is_bounded_where_a_multiplier_is_not_below_one(slope, offset):
    arrays = [np.array(x, float) for x in ([[slope]], [[0.0]], [[1.0]], [offset], [0.0])]
    for radius in (1e-3, 1.0, 1e12):
        assert not _exact.bounded(arrays, np.array([[-radius], [radius]]))


@pytest.mark.parametrize("map", [IDENTITY, FAMILY, tent(1.0)], ids=["identity", "family", "tent"])
def test_no_tree_proves_that_a_family_stays_inside(map):
    """All these have cycles of period one or two outside of |z| <= 1/4."""
    draw, box = np.random.default_rng(4), np.array([[-0.25], [0.25]])
    system = _exact.System(map.A, map.W1, map.W2, map.h1, map.h2)
    arrays = (map.A, map.W1, map.W2, map.h1, map.h2)
    for _ in range(300):
        trees = []
        for _ in range(2):
            numbers = draw.integers(0, (4, 20)[draw.integers(2)], 60)
            trees.append([int(draw.integers(3)), {"": numbers.tolist()}])
        with pytest.raises((Refused, IndexError)):
            _checker.check_radius(system, arrays, box, [1, 2], trees)


def test_trees_that_prune_nothing_decide_every_word():
    """Then all words of up to four letters are closed: no cycle may reach the box."""
    for map, ends in (
        (LOZI, ((8.0, None), (0.9, "a 4-cycle leaves"), (0.4, "a 1-cycle leaves"))),
        (tent(2.0), ((np.nextafter(1.0, 2.0), None), (1.0, "a 1-cycle leaves"))),
        (KINK, ((1e-3, None),)),
        (FAMILY, ((2.0, "degenerate family"),)),
        (IDENTITY, ((2.0, "degenerate family"),)),
    ):
        arrays = (map.A, map.W1, map.W2, map.h1, map.h2)
        system, size = _exact.System(*arrays), map.state_size
        for radius, says in ends:
            box = np.array([[-radius] * size, [radius] * size])
            for time in range(4):
                trees = [[time, {"": [BOTH] * 15}] for _ in range(2 * size)]
                if says is None:
                    _checker.check_radius(system, arrays, box, [1, 2, 3, 4], trees)
                    continue
                with pytest.raises(Refused, match=says):
                    _checker.check_radius(system, arrays, box, [1, 2, 3, 4], trees)


def test_box_of_integers_that_floats_cannot_hold_is_refused():
    """(3 y, (2^53 + 1) / 3) has a fixed point with x = 2^53 + 1, which is no float: so no box."""
    edge, none = 2**53 + 1, np.zeros((2, 0))
    map = PiecewiseAffineMap([[0.0, 3.0], [0.0, 0.0]], none, none.T, [0.0, edge // 3], [])
    assert 3 * int(map.h1[1]) == edge
    arrays = _exact.with_a_unit(map.A, map.W1, map.W2, map.h1, map.h2)
    data = {"format": 1, "model": _checker.fingerprint(*arrays), "periods": [1],
            "box": [[-edge] * 2, [edge] * 2], "everywhere": None, "degenerate": [], "cycles": [],
            "tree": {"": [ON_EMPTY, 0]}, "file": None}  # fmt: skip
    refused(map, data, "box: expected finite floats")
    inside, outside = ([[-x, -x], [x, x]] for x in (float(edge - 1), float(edge + 1)))
    assert verified(map, {**data, "box": inside})["cycles"] == []
    refused(map, {**data, "box": outside}, "not those of the proof")


def test_parameters_that_are_not_finite_are_refused():
    map, data = certificate("lozi")
    for value in (np.nan, np.inf):
        arrays = [np.full((2, 2), value), map.W1, map.W2, map.h1, map.h2]
        data["model"] = _checker.fingerprint(*arrays)
        with pytest.raises(Refused, match="damaged"):
            _checker.verify(sealed(data), *arrays)
