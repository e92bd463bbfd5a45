"""Random paths between small networks, and the events found on them held against brute force."""

import numpy as np
from path_oracle import words_on_grid

import plrjax as plr
from plrjax.bifurcations._march import CLOSE

BIFURCATION = plr.BIFURCATION


def drawn_path(seed: int) -> plr.LinearPath:
    """A straight line between two random networks with at most 3 states and 3 units."""
    draw = np.random.default_rng([seed, 11])
    size = int(draw.integers(1, 4))
    gain = draw.uniform(0.5, 2.5)
    if draw.random() < 0.5:
        ends = [_plrnn(draw, size, gain) for _ in range(2)]
    else:
        hidden = int(draw.integers(1, 4))
        ends = [_shallow(draw, size, hidden, gain) for _ in range(2)]
    return plr.LinearPath(*ends)


def _plrnn(draw, size, gain):
    W = gain * draw.standard_normal((size, size))
    if size > 1:
        np.fill_diagonal(W, 0.0)
    A = draw.uniform(-1.2, 1.2, size)
    return plr.from_arrays("plrnn", A=A, W=W, h=draw.standard_normal(size))


def _shallow(draw, size, hidden, gain):
    return plr.from_arrays(
        "shallow",
        A=draw.uniform(-1.0, 1.0, size),
        W1=gain * draw.standard_normal((size, hidden)) / np.sqrt(hidden),
        W2=draw.standard_normal((hidden, size)),
        h1=draw.standard_normal(size),
        h2=draw.standard_normal(hidden),
    )


def family_of(path: plr.LinearPath):
    """Return the canonical arrays at s, from NumPy alone."""
    ends = [end.as_piecewise_affine() for end in (path.first, path.last)]
    names = ("A", "W1", "W2", "h1", "h2")

    def family(s):
        return tuple((1 - s) * getattr(ends[0], n) + s * getattr(ends[1], n) for n in names)

    return family


def alive(found: plr.Bifurcations, s: float) -> dict[tuple, tuple[int, float]]:
    """Return stability of every word alive at s, and how far s is from the ends of its piece."""
    words = {}
    for row in range(len(found.segment_low)):
        low, high = found.segment_low[row], found.segment_high[row]
        if low - CLOSE <= s <= high + CLOSE:
            regions = found.regions(row)
            key = min(
                tuple(np.roll(regions, shift, axis=0).ravel().tolist())
                for shift in range(len(regions))
            )
            room = min(
                s - low if found.segment_first[row] >= 0 else np.inf,
                high - s if found.segment_last[row] >= 0 else np.inf,
            )
            words[len(regions), key] = (int(found.segment_stability[row]), room)
    return words


def disagreements(seed: int, num_points: int, periods=(1, 2, 3)) -> list[str]:
    """Return, in words, where events and brute force disagree on one drawn path."""
    path = drawn_path(seed)
    found = plr.detect_bifurcations(path, periods, progress=plr.NoProgress())
    size = path.shape[0]
    faults = [f"note: {note}" for note in found.notes]
    edges = np.array([0.0, *found.s, 1.0])
    gaps = np.diff(np.unique(edges))
    grid = np.linspace(0.0, 1.0, num_points)
    beside = []
    for s in found.s:
        room = np.abs(edges - s)
        delta = 0.4 * room[room > 10 * CLOSE].min()
        beside += [s - delta, s + delta]
    grid = np.unique(np.concatenate([grid, beside]))
    oracle = words_on_grid(family_of(path), grid, periods)
    keys = [(len(word), tuple(word.ravel().tolist())) for word in oracle.words]
    for j, s in enumerate(grid):
        mine = alive(found, s)
        for column, key in enumerate(keys):
            near = abs(oracle.distance[j, column]) < 1e-7
            if oracle.admissible[j, column] != (key in mine) and not near:
                faults.append(f"s={s:.9g} word {key}: oracle {oracle.admissible[j, column]}")
            elif oracle.admissible[j, column] and key in mine and mine[key][1] > 1e-7:
                outside = oracle.unstable[j, column]
                code = 0 if outside == 0 else 2 if outside == size else 1
                if code != mine[key][0]:
                    faults.append(f"s={s:.9g} word {key}: stability {code} {mine[key]}")
    faults += _unconfirmed(found, oracle, beside, gaps)
    return faults


def _unconfirmed(found, oracle, beside, gaps) -> list[str]:
    """Return events that change nothing between s - delta and s + delta."""
    faults = []
    for row in range(len(found)):
        low, high = (int(np.searchsorted(oracle.grid, s)) for s in beside[2 * row : 2 * row + 2])
        changed = (oracle.unstable[low] != oracle.unstable[high]).any()
        if not changed:
            faults.append(f"event {row} at s={found.s[row]:.12g} changes nothing")
    return faults
