"""Maps with two stable fixed points and a saddle between them, found among random ones."""

import numpy as np

import plrjax as plr


def bistable(seed: int, states: int = 2) -> plr.PiecewiseAffineMap:
    """Return a random map; of a thousand, one or two are bistable."""
    draw = np.random.default_rng(seed)
    units = draw.integers(3, 9) if states == 2 else draw.integers(4, 10)
    A = np.diag(draw.uniform(-0.5, 0.5, states))
    gain = 0.8 if states == 2 else 0.7
    W1, W2 = gain * draw.standard_normal((states, units)), draw.standard_normal((units, states))
    if states == 2:
        h2, h1 = draw.standard_normal(units), 0.5 * draw.standard_normal(states)
    else:
        h1, h2 = 0.5 * draw.standard_normal(states), draw.standard_normal(units)
    return plr.PiecewiseAffineMap(A, W1, W2, h1, h2)


def coupled(states: int) -> plr.PiecewiseAffineMap:
    """z_1' = 2 clip(z_1) in [-1, 1], all others lean on it: the boundary is a plane through 0."""
    draw = np.random.default_rng(states)
    A = np.zeros((states, states))
    A[1:, 1:] = 0.4 * np.linalg.qr(draw.standard_normal((states - 1, states - 1)))[0]
    A[0, 1:] = 0.3 * draw.standard_normal(states - 1) / np.sqrt(states)
    W1, W2 = np.zeros((states, 2)), np.zeros((2, states))
    W2[:, 0], W1[0] = 1.0, [1.8, -1.8]
    return plr.PiecewiseAffineMap(A, W1, W2, np.r_[-0.9, np.zeros(states - 1)], [0.5, -0.5])


def fixed_points(map) -> tuple[plr.CycleSet, np.ndarray]:
    """Return the saddle, and the two stable fixed points."""
    found = plr.find_cycles(map, 1, solver=plr.Exhaustive(), progress=plr.NoProgress())
    (saddle,) = found[found.stability == plr.STABILITY.saddle]
    return saddle, found.points[found.stability == plr.STABILITY.stable, 0]


def ends(map, states, attractors, num_steps: int = 600) -> np.ndarray:
    """Return the fixed point that each state runs to."""
    z = states
    for _ in range(num_steps):
        z = map.apply(z)
    off = np.linalg.norm(z[:, None] - attractors, axis=2)
    assert off.min(axis=1).max() < 1e-6
    return off.argmin(axis=1)
