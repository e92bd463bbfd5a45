"""The brute-force oracle of families of maps, against families that are known in closed form."""

import numpy as np
import path_oracle
import pytest
from path_oracle import Change, changes, rotation_classes, words_on_grid


def skew_tent(left, right, mu=1.0):
    """z' = a_l z for z <= 0, a_r z for z > 0, plus mu."""
    one = np.ones((1, 1))
    return left * one, (right - left) * one, one, np.array([mu]), np.zeros(1)


def two_regions(left):
    """The 2-D family with J_L for z_1 <= 0 and J_R for z_1 > 0 of theory.md, section 3."""
    A = np.array([[left, 0.8], [-0.4, 0.2]])
    W1 = np.array([[-1.5 - left], [0.9]])
    return A, W1, np.array([[1.0, 0.0]]), np.array([0.214, 0.0]), np.zeros(1)


def random_family(seed, size=3, units=3):
    """A straight line between two random shallow maps."""
    draw = np.random.default_rng([seed, size, units])
    ends = [
        (
            np.diag(draw.uniform(-0.7, 0.7, size)),
            1.5 * draw.standard_normal((size, units)) / np.sqrt(size),
            draw.standard_normal((units, size)),
            draw.standard_normal(size),
            draw.standard_normal(units),
        )
        for _ in range(2)
    ]
    return lambda s: tuple((1 - s) * first + s * second for first, second in zip(*ends))


def index_of(found, letters):
    """Return the index of a word of a map with one unit, for example "LR"."""
    want = [letter == "R" for letter in letters]
    return [word[:, 0].tolist() for word in found.words].index(want)


def named(found):
    """Return the changes of a map with one unit, with words as letters."""
    texts = ["".join("LR"[int(bit)] for bit in word[:, 0]) for word in found.words]
    return {(change.j, texts[change.word], change.what) for change in changes(found)}


@pytest.mark.parametrize(
    "units, period, number", [(1, 1, 2), (1, 8, 30), (3, 1, 8), (3, 2, 28), (3, 3, 168)]
)
def test_number_of_rotation_classes(units, period, number):
    assert len(rotation_classes(units, period)) == number


def test_skew_tent_along_its_right_slope():
    grid = np.linspace(-2.005, 2.0, 802)
    found = words_on_grid(lambda right: skew_tent(0.2, right), grid, range(1, 5))
    right, both = index_of(found, "R"), index_of(found, "LR")
    assert np.array_equal(found.admissible[:, right], grid < 1)
    assert np.array_equal(found.admissible[:, both], grid <= -1)
    flip, infinity = np.searchsorted(grid, [-1.0, 1.0]) - 1
    assert named(found) == {
        (flip, "R", "stability"),
        (flip, "LR", "vanishes"),
        (infinity, "R", "vanishes"),
    }
    assert np.allclose(found.distance[grid < 1, right], 1 / (1 - grid[grid < 1]), rtol=1e-12)
    least = np.minimum(1.2, -(grid + 1)) / (1 - 0.2 * grid)
    assert np.allclose(found.distance[:, both], least, rtol=1e-12, atol=1e-12)


def test_skew_tent_two_cycle_along_its_left_slope():
    grid = np.linspace(-0.9, 0.9, 900)
    found = words_on_grid(lambda left: skew_tent(left, -1.5), grid, [2])
    infinity, flip = np.searchsorted(grid, [-2 / 3, 2 / 3]) - 1
    assert named(found) == {(infinity, "LR", "appears"), (flip, "LR", "stability")}


def test_border_and_singular_solutions_are_told():
    family = lambda s: skew_tent(0.2, s)
    found = words_on_grid(family, [-1.0, 1.0], [1, 2])
    assert found.admissible[0, index_of(found, "LR")], "a unit at 0 is off"
    assert found.distance[0, index_of(found, "LR")] == 0
    assert np.isnan(found.distance[1, index_of(found, "R")])
    assert not found.admissible[1, index_of(found, "R")]


def test_two_cycle_of_a_planar_map():
    grid = np.linspace(-0.48, 0.5, 99)
    found = words_on_grid(two_regions, grid, [1, 2])
    word = index_of(found, "LR")
    left = np.array([[grid, 0.8 + 0 * grid], [-0.4 + 0 * grid, 0.2 + 0 * grid]])
    trace = -1.5 * left[0, 0] - 0.4 * 0.8 + 0.5 * 0.8 + 0.04
    determinant = (left[0, 0] * 0.2 + 0.32) * (-0.3 - 0.4)
    roots = np.array([np.roots([1, -t, d]) for t, d in zip(trace, determinant)])
    here = found.admissible[:, word]
    assert here.all()
    assert np.array_equal(found.unstable[:, word], (np.abs(roots) > 1).sum(axis=1))
    at = np.flatnonzero(np.abs(grid) < 1e-12)[0]
    assert np.allclose(np.sort(np.abs(roots[at])), [0.417, 0.537], atol=5e-4)
    assert np.isclose(found.distance[at, word], 0.26097561, atol=5e-9)


@pytest.mark.parametrize("seed", range(4))
def test_admissible_words_are_cycles_of_the_map(seed):
    family, grid = random_family(seed), np.linspace(0, 1, 7)
    found = words_on_grid(family, grid, range(1, 4))
    for j, index in np.argwhere(found.admissible & (found.distance > 1e-9)):
        A, W1, W2, h1, h2 = family(grid[j])
        word, total = found.words[index], []
        J = [A + (W1 * region) @ W2 for region in word]
        c = [(W1 * region) @ h2 + h1 for region in word]
        size, period = len(h1), len(word)
        system = np.eye(size * period)
        for t in range(period):
            rows = slice(((t + 1) % period) * size, ((t + 1) % period + 1) * size)
            system[rows, t * size : (t + 1) * size] -= J[t]
        right = np.concatenate([c[t - 1] for t in range(period)])
        orbit = np.linalg.solve(system, right).reshape(period, size)
        for t, z in enumerate(orbit):
            assert np.array_equal(W2 @ z + h2 > 0, word[t])
            image = A @ z + W1 @ np.maximum(W2 @ z + h2, 0) + h1
            total.append(np.abs(image - orbit[(t + 1) % period]).max())
        assert max(total) <= 1e-9 * (1 + np.abs(orbit).max())


@pytest.mark.parametrize("seed", range(4))
def test_attractors_of_simulated_orbits_are_among_the_words(seed):
    family = random_family(seed, size=2, units=3)
    A, W1, W2, h1, h2 = family(0.3)
    found = words_on_grid(family, [0.3], range(1, 4))
    known = {word.tobytes() for word, here in zip(found.words, found.admissible[0]) if here}
    states = np.random.default_rng(seed).standard_normal((200, 2))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(2000):
            states = states @ A.T + np.maximum(states @ W2.T + h2, 0) @ W1.T + h1
    for z in states[np.isfinite(states).all(axis=1)]:
        orbit = [z]
        for _ in range(3):
            z = A @ z + W1 @ np.maximum(W2 @ z + h2, 0) + h1
            orbit.append(z)
        closes = [np.abs(orbit[k] - orbit[0]).max() < 1e-9 for k in (1, 2, 3)]
        if any(closes) and np.abs(orbit[0]).max() < 1e6:
            period = closes.index(True) + 1
            word = (np.array(orbit[:period]) @ W2.T + h2 > 0).tolist()
            least = min(word[shift:] + word[:shift] for shift in range(period))
            assert np.array(least, bool).tobytes() in known


def test_changes_are_sorted_and_complete():
    found = words_on_grid(random_family(3), np.linspace(0, 1, 201), range(1, 4))
    events = changes(found)
    assert events == sorted(events)
    assert all(isinstance(change, Change) for change in events)
    walked = found.admissible[0].copy()
    for j, word, what in events:
        if what != "stability":
            assert walked[word] == (what == "vanishes")
            walked[word] = what == "appears"
            assert found.admissible[j + 1, word] == walked[word]
    assert np.array_equal(walked, found.admissible[-1])


def test_the_oracle_knows_no_engine():
    assert "plrjax" not in vars(path_oracle)
