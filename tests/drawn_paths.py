"""Random paths between small networks, and the events found on them held against brute force."""

import numpy as np
from path_oracle import words_on_grid

import plrjax as plr

CLOSE = 1e-9
"""Events closer than this fraction of a path may count as one."""

BIFURCATION = plr.BIFURCATION


def drawn_path(seed: int) -> plr.bifurcations.AbstractParameterPath:
    """A path between two random networks with at most 3 states and 4 units.

    Half of them are PLRNNs, the others shallow, clipped, dendritic (whose canonical arrays are not
    affine in s) or bent: every tenth is a function of s that is no straight line.
    """
    draw = np.random.default_rng([seed, 11])
    size = int(draw.integers(1, 4))
    gain = draw.uniform(0.5, 2.5)
    if draw.random() < 0.5:
        ends = [_plrnn(draw, size, gain) for _ in range(2)]
    else:
        hidden = int(draw.integers(1, 4))
        ends = [_shallow(draw, size, hidden, gain) for _ in range(2)]
    other = np.random.default_rng([seed, 12])
    if seed % 5 == 1:
        ends = [_clipped(other, size) for _ in range(2)]
    if seed % 5 == 3:
        ends = [_dendritic(other, min(size, 2), gain) for _ in range(2)]
    path = plr.LinearPath(*ends)
    if seed % 10 == 4:
        return plr.FunctionPath(lambda s: path.model(np.sin(0.5 * np.pi * s) ** 2))
    return path


def _clipped(draw, size):
    return plr.from_arrays(
        "clipped-shallow",
        A=draw.uniform(-0.9, 0.9, size),
        W1=3.0 * draw.standard_normal((size, 1)),
        W2=draw.standard_normal((1, size)),
        h1=draw.standard_normal(size),
        h2=draw.standard_normal(1),
    )


def _dendritic(draw, size, gain):
    W = gain * draw.standard_normal((size, size))
    return plr.from_arrays(
        "dendritic",
        A=draw.uniform(-1.0, 1.0, size),
        W=W,
        h=draw.standard_normal(size),
        alpha=draw.standard_normal(2 if size == 1 else 1),
        thresholds=draw.standard_normal((2 if size == 1 else 1, size)),
    )


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


def family_of(path: plr.bifurcations.AbstractParameterPath):
    """Return the canonical arrays at s, each network lowered by itself."""

    def family(s):
        map = path.model(float(s)).as_piecewise_affine()
        return map.A, map.W1, map.W2, map.h1, map.h2

    return family


def misnamed(found: plr.Bifurcations, family) -> list[str]:
    """Return events at which no word of theirs has what its kind demands, from NumPy alone."""
    faults = []
    for row in range(len(found)):
        here = np.flatnonzero((found.segment_first == row) | (found.segment_last == row))
        kind = BIFURCATION(int(found.kind[row]))
        gaps = [_gap(family(found.s[row]), found.regions(int(k)), kind) for k in here]
        if not min(gaps, default=np.inf) < 1e-7:
            faults.append(f"event {row} at s={found.s[row]:.12g} is no {kind}: {gaps}")
    return faults


def _gap(arrays, word, kind) -> float:
    """Return how far a word is from what a kind of event demands."""
    A, W1, W2, h1, h2 = arrays
    pieces = [(A + (W1 * region) @ W2, (W1 * region) @ h2 + h1) for region in word.astype(float)]
    P, c = np.eye(len(h1)), np.zeros(len(h1))
    for J, offset in pieces:
        P, c = J @ P, J @ c + offset
    multipliers = np.linalg.eigvals(P)
    if kind is BIFURCATION.degenerate_transcritical:
        return float(np.abs(multipliers - 1).min())
    if kind is BIFURCATION.degenerate_flip:
        return float(np.abs(multipliers + 1).min())
    if kind is BIFURCATION.center:
        return float(np.abs(np.abs(multipliers[multipliers.imag > 0]) - 1).min(initial=np.inf))
    z = np.linalg.solve(np.eye(len(h1)) - P, c)
    gaps = []
    for J, offset in pieces:
        gaps.append(np.abs(W2 @ z + h2))  # networks drawn here are of size 1
        z = J @ z + offset
    return float(np.min(gaps))


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
    faults += misnamed(found, family_of(path))
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
